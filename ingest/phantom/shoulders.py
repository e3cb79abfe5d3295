"""Clavicles, shoulder blades and upper arms of the frontal chest."""

import numpy as np

from ingest.phantom.canvas import Canvas, Points, ellipse, mirrored, spline
from ingest.phantom.raster import Mask
from ingest.phantom.thorax import LEFT, RIGHT, Thorax


def shoulders(canvas: Canvas, thorax: Thorax, arms: float) -> Mask:
    """Relative density [H, W] of both shoulder girdles; arms as for `bones`."""
    target = canvas.blank()
    for side in (RIGHT, LEFT):
        _shoulder_blade(canvas, thorax, arms, side, target)
        _arm(canvas, thorax, arms, side, target)
        _clavicle(canvas, thorax, side, target)
    return target


def upper_arm(thorax: Thorax, arms: float) -> Points:
    """Axis of the humerus [n, 2] with x >= 0, from its head."""
    scale = thorax.half_width / 13.6
    return spline(np.array([(18.6, 4.6), (20.4 + 3 * arms, 13.0), (21.5 + 7 * arms, 26 - 6 * arms)]) * scale, 6)


def _shoulder_blade(canvas: Canvas, thorax: Thorax, arms: float, side: int, target: Mask) -> None:
    scale, out = thorax.half_width / 13.6, 2.6 * arms
    inner = [(9.0 + out, 2.3), (10.4 + 1.2 * out, 8.0), (11.9 + 1.5 * out, 14.2)]
    blade = np.array([*inner, (13.6 + out, 11), (17.0, 5.0), (15, 2.6)]) * scale
    ridge = np.array([(9.6 + out, 4.6), (13.5, 2.4), (17.6, 0.6)]) * scale
    canvas.fill(mirrored(spline(blade, 5, closed=True), side), value=38, onto=target)
    canvas.stroke([mirrored(spline(blade[2:5], 6), side)], 0.6, 85, target)
    canvas.stroke([mirrored(spline(blade[:3], 6), side)], 0.22, 70, target)
    canvas.stroke([mirrored(spline(ridge, 6), side)], 0.8, 75, target)


def _arm(canvas: Canvas, thorax: Thorax, arms: float, side: int, target: Mask) -> None:
    scale = thorax.half_width / 13.6
    head = ellipse((18.3 * scale, 4.2 * scale), (2.3 * scale, 2.4 * scale))
    shaft = mirrored(upper_arm(thorax, arms), side)
    canvas.fill(mirrored(head, side), value=105, onto=target)
    canvas.stroke([shaft], 2.0 * scale, 125, target)
    canvas.stroke([shaft], 1.1 * scale, 85, target)  # the marrow


def _clavicle(canvas: Canvas, thorax: Thorax, side: int, target: Mask) -> None:
    a, scale = thorax.anatomy, thorax.half_width / 13.6
    y, rise = a.clavicle_y, a.clavicle_rise
    outer = np.array([(4.4, y + 0.15), (8.6, y - 0.75 * rise), (13.0, y - 1.35 * rise), (17.3, y - rise)])
    outer[:, 0] *= scale
    axis = spline(np.vstack([[(1.5 * scale + side * thorax.turn * 6, y)], outer]), 7)
    along = np.gradient(axis, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], -1) / (np.linalg.norm(along, axis=1)[:, None] + 1e-9)
    half = 0.56 * scale * (1 + 0.45 * np.linspace(1, -1, len(axis)) ** 2)[:, None]  # broad at both ends
    top, bottom = mirrored(axis - half * normal, side), mirrored(axis + half * normal, side)
    canvas.fill(np.vstack([top, bottom[::-1]]), value=80, onto=target)
    canvas.stroke([top, bottom], 0.22, 150, target)
