"""Ribs and spine of the frontal chest: curves in body centimetres, and the map of all bones' attenuation."""

import numpy as np
import numpy.typing as npt

from ingest.phantom.canvas import Canvas, Points, closed_curve, ellipse, mirrored
from ingest.phantom.raster import Field, Mask
from ingest.phantom.shoulders import shoulders
from ingest.phantom.thorax import LEFT, RIGHT, Thorax

RIBS = 10
_FRONT_RIBS = 7  # the lower ones end in cartilage
_POSTERIOR = np.deg2rad(np.linspace(9, 96, 15))
_ANTERIOR = np.deg2rad(np.linspace(84, 141, 10))
_VERTEBRA = np.array([(-1, -0.42), (1, -0.42), (0.86, 0), (1, 0.42), (-1, 0.42), (-0.86, 0)])

Fracture = tuple[int, int, float]
"""Side, rib (from 0) and displacement in cm."""


def bones(canvas: Canvas, thorax: Thorax, arms: float, broken: Fracture | None = None) -> Field:
    """Attenuation [H, W] of ribs, spine, clavicles, shoulder blades and upper arms.

    arms: 0 hanging, 1 drawn forward, which takes the shoulder blades off the lungs.
    """
    density = thorax.anatomy.rib_density
    back, front, edges = _ribs(canvas, thorax, broken)
    total = np.float32(0.16 * density / 255) * back
    for raster, peak in (
        (front, 0.1 * density),
        (edges, 0.24 * density),
        (_spine(canvas, thorax), 0.5),
        (shoulders(canvas, thorax, arms), 0.8),
    ):
        total += np.float32(peak / 255) * raster
    return canvas.soften(total, 0.08)


def rib_curves(thorax: Thorax, front: bool) -> Points:
    """Centre lines of one side's ribs, [RIBS, n, 2] with x >= 0: tilted half ellipses seen from the front.

    The back half runs out from the spine, the front half comes down and in again, so that the two cross.
    """
    a = thorax.anatomy
    angle = (_ANTERIOR if front else _POSTERIOR)[None, :]
    rank = np.arange(1, RIBS + 1)[:, None]
    breath = thorax.height / a.lung_height
    start = (-2.0 + a.rib_spacing * rank) * breath + 0.3
    drop = a.rib_drop * np.clip(0.55 + 0.09 * rank, 0.6, 1.3) / breath**0.5
    reach = (thorax.wall(start + drop) + 0.4) * np.clip(0.8 + 0.05 * rank, 0.8, 1.0)
    arch = 0.7 * np.sin(2 * angle) * (angle < np.pi / 2)
    return np.stack([reach * np.sin(angle), start + drop * (1 - np.cos(angle)) - arch], -1)


def spine_x(thorax: Thorax, y: npt.ArrayLike) -> Points:
    """The midline of the vertebral bodies at heights y, scoliosis and rotation included."""
    sway: Points = thorax.anatomy.scoliosis * np.sin(2 * np.pi * (np.asarray(y) / thorax.height - 0.1))
    return sway - thorax.turn * 4


def _ribs(canvas: Canvas, thorax: Thorax, broken: Fracture | None) -> tuple[Mask, Mask, Mask]:
    """Posterior parts, anterior parts, and the dense edges of both."""
    back, front, edges = canvas.blank(), canvas.blank(), canvas.blank()
    for count, target, shade, is_front in ((RIBS, back, 200, False), (_FRONT_RIBS, front, 110, True)):
        upper, lower = _edges(thorax, is_front)
        for side in (RIGHT, LEFT):
            top, bottom = mirrored(upper[:count], side), mirrored(lower[:count], side)
            if broken is not None and broken[0] == side and not is_front:
                top, bottom = _fractured(top, broken), _fractured(bottom, broken)
            canvas.fill(*np.concatenate([top, bottom[:, ::-1]], 1), onto=target)
            canvas.stroke(top, 0.09, shade * 0.8, edges)
            canvas.stroke(bottom, 0.2, shade, edges)
    return back, front, edges


def _edges(thorax: Thorax, front: bool) -> tuple[Points, Points]:
    """Upper and lower edges of the ribs, each [RIBS, n, 2] with x >= 0."""
    centre = rib_curves(thorax, front)
    along = np.gradient(centre, axis=1)
    normal = np.stack([-along[..., 1], along[..., 0]], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    half = thorax.anatomy.rib_width * (0.58 if front else 0.5)
    return centre - half * normal, centre + half * normal


def _fractured(edge: Points, broken: Fracture) -> Points:
    _, rib, displacement = broken
    moved = edge.copy()
    outer = edge.shape[1] * 6 // 10
    moved[rib, outer:, 1] += displacement
    moved[rib, outer:, 0] -= 0.35 * np.sign(edge[rib, -1, 0]) * displacement
    return moved


def _spine(canvas: Canvas, thorax: Thorax) -> Mask:
    spacing = thorax.anatomy.rib_spacing * thorax.height / thorax.anatomy.lung_height
    wide = thorax.half_width / 13.6
    level = np.arange(-5, 27)
    y = -1.2 + spacing * level
    centre = np.stack([spine_x(thorax, y), y], -1)[:, None]  # [vertebrae, 1, 2]
    size = np.stack([(1.45 + 0.035 * level) * wide, np.full(len(level), spacing)], -1)[:, None]
    bodies = centre + size * _VERTEBRA
    target = canvas.fill(*bodies, value=95)
    canvas.stroke(np.concatenate([bodies, bodies[:, :1]], 1), 0.2, 150, target)
    ring = closed_curve(ellipse((0, 0), (0.3 * wide, 0.45 * wide), steps=13))
    for side in (RIGHT, LEFT):
        canvas.stroke(centre + size * np.array([0.66 * side, -0.12]) + ring, 0.2, 165, target)
    process = np.array([-6.6 * thorax.turn, 0.36 * spacing]) + ellipse((0, 0), (0.22, 0.5), steps=12)
    return canvas.fill(*(centre + process), value=165, onto=target)
