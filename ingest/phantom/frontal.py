"""Draw the frontal projection of an anatomy with findings, for one exposure.

Thickness maps of soft tissue and air add up to an attenuation, and film.expose takes the exponential.
"""

import numpy as np

from ingest.phantom import devices, pathology, tuberculosis
from ingest.phantom.acquisition import Acquisition
from ingest.phantom.anatomy import Anatomy
from ingest.phantom.canvas import Canvas, Points, closed_curve, ellipse, mirrored, spline
from ingest.phantom.film import Picture, expose
from ingest.phantom.opacities import replaced_air
from ingest.phantom.places import Places, Severity
from ingest.phantom.raster import Field, clouds
from ingest.phantom.shoulders import upper_arm
from ingest.phantom.skeleton import bones, spine_x
from ingest.phantom.thorax import LEFT, RIGHT, Thorax, pose
from ingest.phantom.vessels import vessels

TISSUE = 0.185
"""Attenuation of soft tissue, 1/cm: about water's at the mean energy of a 120 kV beam."""

_AERATION = 0.76  # share of a lung's thickness that is air
_LUNG_SHARE = 0.66  # of the torso's depth, where the lung is deepest


def frontal(
    anatomy: Anatomy,
    acquisition: Acquisition,
    severity: Severity,
    seed: int,
    size: tuple[int, int],
    oversampling: float,
) -> Picture:
    """The 8-bit picture [height, width].

    seed: of the patient, for the places of disease. size: width and height. oversampling: pixels of the maps for
    each pixel of the picture, along an edge.
    """
    a, places = acquisition, Places(seed)
    width, height = size
    thorax = pathology.diseased(pose(anatomy, a), severity, places)
    scale = a.magnification * width / a.film.width_cm * oversampling
    centre = (a.shift_x, 0.5 * a.film.height_cm / a.magnification - 4.0 + a.shift_y)
    canvas = Canvas(round(width * oversampling), round(height * oversampling), scale, centre, a.rotation)

    air, markings = _lungs(canvas, thorax, severity, places, supine=a.projection == "AP" and a.arms < 0.2)
    attenuation = _soft_tissue(canvas, thorax, a.arms)
    attenuation -= np.float32(_AERATION * _LUNG_SHARE * anatomy.torso_depth * TISSUE) * air
    attenuation += markings * air
    attenuation += bones(canvas, thorax, a.arms, pathology.broken_rib(severity, places))
    if extent := severity.get("Support Devices", 0.0):
        attenuation += devices.devices(canvas, thorax, extent, places.rng("Support Devices"))
    if a.monitored:
        attenuation += devices.electrodes(canvas, thorax, np.random.default_rng(a.noise_seed))
    return expose(canvas, attenuation, a, width, height)


def _lungs(canvas: Canvas, thorax: Thorax, severity: Severity, places: Places, supine: bool) -> tuple[Field, Field]:
    """Depth of aerated lung [H, W] relative to its deepest, and attenuation of the structures seen against it."""
    air = canvas.bulge(canvas.fill(thorax.lung(RIGHT), thorax.lung(LEFT)), 0.4 * thorax.half_width)
    air *= 1 - _blocked(canvas, thorax)
    markings = _markings(canvas, thorax, severity)
    if (collapse := pathology.collapsed(thorax, severity, places)) is not None:
        _detach(canvas, air, markings, *collapse)
    air *= 1 - replaced_air(canvas, thorax, severity, places, supine)
    if extent := severity.get("Tuberculosis", 0.0):
        air *= 1 - tuberculosis.infiltrate(canvas, thorax, extent, places)
        markings += tuberculosis.strands(canvas, thorax, extent, places)
    markings += pathology.lines(canvas, thorax, severity, places)
    return air, markings


def _blocked(canvas: Canvas, thorax: Thorax) -> Field:
    """Share of the thickness [H, W] that heart and mediastinum take from the lungs."""
    heart = canvas.bulge(canvas.fill(thorax.heart()), 0.36 * thorax.half_width) * np.float32(0.86)
    column = canvas.bulge(canvas.fill(*thorax.mediastinum()), 2.6) * np.float32(0.97)
    aorta = canvas.soften(canvas.stroke([thorax.descending_aorta()], 2.2), 0.12) * np.float32(0.35)
    np.maximum(heart, column, out=heart)
    np.maximum(heart, aorta, out=heart)
    return heart


def _markings(canvas: Canvas, thorax: Thorax, severity: Severity) -> Field:
    """Attenuation [H, W] of vessels, and of texture too fine to draw; both stay a patient's own."""
    oedema = severity.get("Edema", 0.0)
    field = vessels(canvas, thorax, 1 + 0.25 * oedema, 0.6 * oedema, 0.05 + 0.1 * oedema)
    tile = clouds(np.random.default_rng(thorax.anatomy.texture_seed), (96, 96), (12, 24, 48, 96))
    texture = canvas.enlarge(canvas.reduced(2).sampled(tile, 0.4, (-19.2, -4.0)))
    return field + np.float32(0.022 * (1 + oedema)) * texture


def _detach(canvas: Canvas, air: Field, markings: Field, side: int, outline: Points) -> None:
    """A pneumothorax, in place: beyond the outline no markings and more air, along it the visceral pleura."""
    half = np.array([(0, -40), (60 * side, -40), (60 * side, 80), (0, 80)], np.float64)
    beyond = canvas.soften(canvas.fill(outline, value=0, onto=canvas.fill(half)), 0.04)
    markings *= 1 - beyond
    air *= 1 + np.float32(0.08) * beyond
    markings += np.float32(0.16) * canvas.soften(canvas.stroke([closed_curve(outline)], 0.1), 0.04)


def _soft_tissue(canvas: Canvas, thorax: Thorax, arms: float) -> Field:
    """Attenuation [H, W] of the body without its lungs; gas in trachea and stomach is left out of it."""
    coarse, a, wide = canvas.reduced(2), thorax.anatomy, thorax.half_width
    body = coarse.fill(thorax.torso())
    coarse.stroke([mirrored(upper_arm(thorax, arms), side) for side in (RIGHT, LEFT)], 0.68 * wide, onto=body)
    depth = np.float32(a.torso_depth) * coarse.bulge(body, 0.8 * wide)
    if a.breast:
        spots = [ellipse((side * 0.56 * wide, 0.84 * thorax.height), (5.6, 5.2)) for side in (RIGHT, LEFT)]
        depth += np.float32(4.2 * a.breast) * coarse.bulge(coarse.fill(*spots), 4.0)
    if a.gastric_bubble > 0.35:
        gas = a.gastric_bubble
        centre = (0.42 * wide, thorax.dome(LEFT) + 1.5 + 0.9 * gas)
        bubble = coarse.fill(ellipse(centre, (1.4 + 2.2 * gas, 0.6 + 1.1 * gas), -8))
        depth -= np.float32(5.0) * coarse.soften(coarse.bulge(bubble, 1.6), 0.1)
    depth -= np.float32(2.7) * _airways(coarse, thorax)
    return canvas.soften(depth, 0.3) * np.float32(TISSUE)


def _airways(canvas: Canvas, thorax: Thorax) -> Field:
    """Relative calibre [H, W] of the trachea and the main bronchi."""
    scale, carina = thorax.half_width / 13.6, 0.28 * thorax.height
    middle = thorax.turn * 3 + thorax.drawn
    fork = (middle - 0.3, carina)
    trachea = spline([(float(spine_x(thorax, -4.0)), -8.0), (middle - 0.1, -1.0), fork], 8)
    right = spline([fork, (middle - 1.6, carina + 1.8), (middle - 3.0, carina + 4.2)], 6)
    left = spline([fork, (middle + 1.9, carina + 1.7), (middle + 4.0, carina + 3.2)], 6)
    tubes = canvas.stroke([trachea], 1.7 * scale)
    return canvas.soften(canvas.stroke([right, left], 1.1 * scale, 190, tubes), 0.15)
