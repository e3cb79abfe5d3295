"""Support devices on the frontal chest, lines, tubes and a pacemaker, and the leads of monitors, which are none."""

import numpy as np

from ingest.phantom.canvas import Canvas, Points, closed_curve, ellipse, mirrored, spline
from ingest.phantom.raster import Field, Mask
from ingest.phantom.thorax import LEFT, RIGHT, Thorax

Generator = np.random.Generator


def devices(canvas: Canvas, thorax: Thorax, extent: float, rng: Generator) -> Field:
    """Attenuation [H, W] of one to three devices. extent: 0..1, how many and how opaque."""
    target = canvas.blank()
    shares = [share for share, _ in _KINDS]
    for kind in rng.choice(len(_KINDS), 1 + int(3 * extent), replace=False, p=shares):
        _KINDS[kind][1](canvas, thorax, rng, target)
    return canvas.soften(target, 0.05) * np.float32(0.45 + 0.4 * extent)


def electrodes(canvas: Canvas, thorax: Thorax, rng: Generator) -> Field:
    """Attenuation [H, W] of monitoring leads: bedside clutter that reports do not count as support devices."""
    target = canvas.blank()
    for _ in range(int(rng.integers(2, 5))):
        x, y = rng.uniform(-0.95, 0.95) * thorax.half_width, rng.uniform(0.0, 1.0) * thorax.height
        canvas.fill(ellipse((x, y), (0.55, 0.55)), value=110, onto=target)
        canvas.fill(ellipse((x, y), (0.25, 0.25)), value=255, onto=target)
        end_x, end_y = x + rng.normal(0, 4), thorax.height + 14
        middle = ((x + end_x) / 2 + rng.normal(0, 3), (y + end_y) / 2 + rng.normal(0, 3))
        canvas.stroke([spline([(x, y), middle, (end_x, end_y)], 12)], 0.18, 190, target)
    return canvas.soften(target, 0.05) * np.float32(0.4)


def _central_line(canvas: Canvas, thorax: Thorax, rng: Generator, target: Mask) -> None:
    half, height = thorax.mediastinum_half_width, thorax.height
    tip = (-0.75 * half, rng.uniform(0.3, 0.48) * height)
    if rng.random() < 0.5:  # from the neck, else from the arm
        path = [(-4.5, -7.0), (-3.6, -2.5), (-2.6, 1.5), (-0.85 * half, 0.2 * height), tip]
    else:
        path = [(-19.0, 9.0), (-15.0, 2.8), (-9.0, 1.2), (-4.0, 2.6), (-0.9 * half, 4.4), tip]
    canvas.stroke([spline(path, 10)], 0.24, 200, target)


def _tracheal_tube(canvas: Canvas, thorax: Thorax, rng: Generator, target: Mask) -> None:
    axis = spline([(0.3, -9.0), (-0.1, -3.0), (-0.2, rng.uniform(0.1, 0.24) * thorax.height)], 10)
    canvas.stroke(_parallel(axis, 0.42), 0.16, 120, target)
    canvas.stroke(_parallel(axis, 0.3)[1:], 0.2, 235, target)


def _gastric_tube(canvas: Canvas, thorax: Thorax, rng: Generator, target: Mask) -> None:
    low = thorax.dome(LEFT)
    below = [(1.6, low), (4.5, low + 3.5), (7.0 + rng.normal(), low + 4.5)]
    canvas.stroke([spline([(0.4, -9.0), (0.5, 3.0), (0.6, 0.6 * low), *below], 10)], 0.3, 170, target)


def _pacemaker(canvas: Canvas, thorax: Thorax, rng: Generator, target: Mask) -> None:
    side, height = (LEFT if rng.random() < 0.85 else RIGHT), thorax.height
    x, y = 0.68 * thorax.half_width, 0.16 * height
    case = spline(ellipse((x, y), (2.1, 1.7), 20, 9), 5, closed=True)
    canvas.fill(mirrored(case, side), value=215, onto=target)
    vein = mirrored(np.array([(x, y), (6.5, 1.6), (3.0, 3.4)]), side)
    ventricle = [(-2.2, 0.3 * height), (-2.6, 0.66 * height), (0.5, 0.93 * height), (4.6, 0.92 * height)]
    canvas.stroke([spline(np.vstack([vein, ventricle]), 10)], 0.18, 255, target)
    if rng.random() < 0.6:
        atrium = [(-2.3, 0.32 * height), (-2.9, 0.6 * height), (-2.0, 0.52 * height)]
        canvas.stroke([spline(np.vstack([vein, atrium]), 10)], 0.18, 255, target)


def _sternal_wires(canvas: Canvas, thorax: Thorax, rng: Generator, target: Mask) -> None:
    for level in np.linspace(0.18, 0.78, int(rng.integers(4, 7))) * thorax.height:
        ring = ellipse((thorax.turn * 8 + rng.normal(0, 0.15), level), (0.75, 0.4), rng.normal(0, 12), 14)
        canvas.stroke([closed_curve(ring)], 0.18, 235, target)


def _chest_tube(canvas: Canvas, thorax: Thorax, rng: Generator, target: Mask) -> None:
    side, wall, height = int(rng.choice([RIGHT, LEFT])), thorax.half_width, thorax.height
    path = [(wall + 6, 0.8 * height), (wall, 0.7 * height), (0.72 * wall, 0.4 * height), (0.45 * wall, 0.12 * height)]
    axis = mirrored(spline(path, 10), side)
    canvas.stroke(_parallel(axis, 0.28), 0.16, 110, target)
    canvas.stroke([axis], 0.2, 200, target)


def _parallel(axis: Points, distance: float) -> list[Points]:
    """The curve moved to either side, along x."""
    return [axis + np.array([-distance, 0.0]), axis + np.array([distance, 0.0])]


_KINDS = (  # how often each is chosen first
    (0.34, _central_line),
    (0.18, _tracheal_tube),
    (0.2, _gastric_tube),
    (0.1, _pacemaker),
    (0.12, _sternal_wires),
    (0.06, _chest_tube),
)
