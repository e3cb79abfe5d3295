"""The lateral projection of the same patients: sternum to the left, spine to the right, both lungs superimposed."""

import numpy as np

from ingest.phantom.acquisition import Acquisition
from ingest.phantom.anatomy import Anatomy
from ingest.phantom.canvas import Canvas, ellipse, spline
from ingest.phantom.film import Picture, expose
from ingest.phantom.opacities import cloud
from ingest.phantom.places import Places, Severity
from ingest.phantom.profile import Profile, profile_of
from ingest.phantom.raster import Field, clouds

_TISSUE = 0.155  # 1/cm; a harder beam than the frontal's
_AERATION = 0.76
_WIDTH = 26.0  # cm of chest that the beam crosses
_LUNG_SHARE = 0.66


def lateral(
    anatomy: Anatomy,
    acquisition: Acquisition,
    severity: Severity,
    seed: int,
    size: tuple[int, int],
    oversampling: float,
) -> Picture:
    """The 8-bit picture [height, width]; arguments as for `frontal`."""
    a, (width, height) = acquisition, size
    profile = profile_of(anatomy, a, severity.get("Cardiomegaly", 0.0))
    scale = a.magnification * width / a.film.width_cm * oversampling
    centre = (a.shift_x + 1.0, 0.5 * a.film.height_cm / a.magnification - 4.5 + a.shift_y)
    canvas = Canvas(round(width * oversampling), round(height * oversampling), scale, centre, a.rotation)

    air = canvas.bulge(canvas.fill(profile.lung(0.0)), 0.4 * profile.depth)
    air += canvas.bulge(canvas.fill(profile.lung(anatomy.dome_drop + 0.4)), 0.4 * profile.depth)
    air *= np.float32(0.5 * _LUNG_SHARE * _WIDTH)
    air *= 1 - np.float32(0.6) * canvas.bulge(canvas.fill(profile.heart()), 8.5)
    air *= 1 - _replaced_air(canvas, profile, severity, Places(seed))

    attenuation = np.float32(_TISSUE) * (_soft_tissue(canvas, profile, anatomy.wall) - np.float32(_AERATION) * air)
    tile = clouds(np.random.default_rng(anatomy.texture_seed), (96, 96), (12, 24, 48, 96))
    texture = canvas.enlarge(canvas.reduced(2).sampled(tile, 0.4, (-19.2, -6.0)))
    attenuation += np.float32(0.0028) * texture * air
    attenuation += _hila(canvas, profile, anatomy, severity.get("Edema", 0.0))
    attenuation += _bones(canvas, profile, anatomy)
    if extent := severity.get("Support Devices", 0.0):
        attenuation += _central_line(canvas, profile, extent)
    return expose(canvas, attenuation, a, width, height)


def _soft_tissue(canvas: Canvas, profile: Profile, wall: float) -> Field:
    """Thickness [H, W] of the body without its lungs, in cm; the arms are raised in front of the neck."""
    coarse, d = canvas.reduced(2), profile.depth
    arms = coarse.stroke([spline([(0.1 * d, -1.0), (-0.1 * d, -8.0), (-0.5 * d, -14.0)], 6)], 9.0)
    trachea = coarse.stroke([spline([(0.0, -8.0), (0.05 * d, 1.0), (0.1 * d, 0.34 * profile.height)], 8)], 1.6)
    depth = np.float32(0.96 * _WIDTH) * coarse.bulge(coarse.fill(profile.torso(wall)), 0.5 * d)
    depth += np.float32(7) * coarse.soften(arms, 0.8) - np.float32(2.6) * coarse.soften(trachea, 0.15)
    return canvas.soften(depth, 0.3)


def _replaced_air(canvas: Canvas, profile: Profile, severity: Severity, places: Places) -> Field:
    """Share of the air [H, W] that disease has taken; less than in the frontal, since the lungs overlap."""
    x, y = canvas.reduced(4).grid()
    kept = np.ones_like(x)
    if extent := severity.get("Edema", 0.0):
        across = x * np.float32(1 / (0.3 * profile.depth))
        down = (y - np.float32(0.5 * profile.height)) * np.float32(1 / (0.35 * profile.height))
        kept *= 1 - np.float32(0.07 + 0.28 * extent) * np.exp(-(across**2) - down**2)
    for finding in ("Consolidation", "Pneumonia", "Atelectasis", "Lung Lesion"):
        if extent := severity.get(finding, 0.0):
            rng = places.rng(f"{finding} lateral")
            centre = (rng.uniform(-0.3, 0.35) * profile.depth, rng.uniform(0.35, 0.95) * profile.height)
            radius = 1.4 + 2.2 * extent
            share = np.float32(0.12 + 0.28 * extent)
            kept *= 1 - share * cloud(x, y, centre, (1.2 * radius, radius), rng, 2.5)
    fine = canvas.enlarge(kept)
    if extent := severity.get("Pleural Effusion", 0.0):
        both = len(places.sides("Pleural Effusion")) == 2
        fluid = canvas.soften(canvas.fill(profile.effusion(extent)), 0.25)
        fine *= 1 - np.float32(0.95 if both else 0.6) * fluid
    return 1 - fine


def _hila(canvas: Canvas, profile: Profile, anatomy: Anatomy, oedema: float) -> Field:
    """Attenuation [H, W] of the hilar vessels and their first branches."""
    rng = np.random.default_rng(anatomy.vessel_seed)
    x, y = 0.09 * profile.depth, 0.42 * profile.height
    target = canvas.blank()
    for angle in rng.uniform(0, 2 * np.pi, 26):
        reach = rng.uniform(2.0, 7.0)
        end = (x + reach * np.cos(angle), y + 1.1 * reach * np.sin(angle))
        middle = ((x + end[0]) / 2 + rng.normal(0, 0.5), (y + end[1]) / 2 + rng.normal(0, 0.5))
        canvas.stroke([spline([(x, y), middle, end], 5)], rng.uniform(0.25, 0.55), 120, target)
    knot = canvas.soften(canvas.reduced(4).fill(ellipse((x, y), (1.9, 2.3))), 0.7)
    branches = canvas.soften(target, 0.1 * (1 + oedema))
    return np.float32(0.16 * (1 + oedema)) * knot + np.float32(0.16) * branches


def _bones(canvas: Canvas, profile: Profile, anatomy: Anatomy) -> Field:
    """Attenuation [H, W] of spine, sternum and the ribs of both sides."""
    spacing = anatomy.rib_spacing * profile.height / anatomy.lung_height
    h, d = profile.height, profile.depth
    column, ribs = canvas.blank(), canvas.blank()
    for level in range(-5, 22):
        y, half = -1.0 + spacing * level, 1.25 + 0.03 * level
        x = float(profile.back(y)) + 1.7
        tilt = 0.09 * float(profile.back(y + 1) - profile.back(y - 1))
        body = np.array(
            [(-half, -0.41), (half, -0.41), (0.9 * half, 0), (half, 0.41), (-half, 0.41), (-0.88 * half, 0)]
        )
        body = np.stack([x + body[:, 0], y + spacing * body[:, 1] + tilt * body[:, 0]], -1)
        canvas.fill(body, value=75, onto=column)
        canvas.stroke([np.vstack([body, body[:1]])], 0.2, 140, column)
        canvas.stroke([np.array([(x + half, y - 0.3), (x + half + 2.6, y + 0.9)])], 0.8, 70, column)
    sternum = spline([(-0.29 * d - 0.5, 2.8), (-0.42 * d - 0.5, 0.36 * h), (-0.49 * d - 0.5, 0.78 * h)], 8)
    canvas.stroke([sternum], 1.0, 90, column)
    half_width = np.array([0.0, 0.4])
    for rib in range(1, 10):
        drop = anatomy.rib_drop * (0.9 + 0.09 * rib)
        for offset in (0.0, 0.9):  # the far side's ribs are thrown a little lower
            y = -1.4 + spacing * rib + offset
            back = float(profile.back(y)) + 0.17 * d
            behind = [(back - 2.0, y - 0.5), (back, y + 1.0)]
            curve = spline([*behind, (back - 0.35 * d, y + drop), (-0.44 * d, y + 1.6 * drop)], 6)
            canvas.stroke([curve], 0.9 * anatomy.rib_width, 60, ribs)
            canvas.stroke([curve + half_width, curve - half_width], 0.16, 115, ribs)
    return canvas.soften(np.float32(0.55 / 255) * column + np.float32(0.3 / 255) * ribs, 0.09)


def _central_line(canvas: Canvas, profile: Profile, extent: float) -> Field:
    d, h = profile.depth, profile.height
    path = spline([(-0.05 * d, -8.0), (0.0, 0.1 * h), (-0.02 * d, 0.45 * h), (-0.1 * d, 0.75 * h)], 10)
    return canvas.soften(canvas.stroke([path], 0.24), 0.05) * np.float32(0.35 + 0.3 * extent)
