"""Findings on the frontal chest that change outlines or draw lines: heart, mediastinum, collapse, nodules, fractures.

Place depends on the patient's seed alone, extent on the severity, so that the studies of one patient show the same
disease at different stages.
"""

from dataclasses import replace

import numpy as np

from ingest.phantom.canvas import Canvas, Points, ellipse, mirrored, spline
from ingest.phantom.places import Places, Severity
from ingest.phantom.raster import Field, Mask
from ingest.phantom.skeleton import Fracture
from ingest.phantom.thorax import LEFT, RIGHT, Thorax


def diseased(thorax: Thorax, severity: Severity, places: Places) -> Thorax:
    """Outlines changed by disease: a wider heart or mediastinum, a raised dome, a mediastinum pushed aside."""
    heart, wide = severity.get("Cardiomegaly", 0.0), severity.get("Enlarged Cardiomediastinum", 0.0)
    raised = [0.0, 0.0]
    if collapse := severity.get("Atelectasis", 0.0):
        for side in places.sides("Atelectasis", 0.2):
            raised[side == LEFT] = 0.2 + 1.6 * collapse
    pushed = 0.0
    if air := severity.get("Pneumothorax", 0.0):
        pushed = -places.sides("Pneumothorax", 0.0)[0] * 1.2 * max(0.0, air - 0.6)
    return replace(
        thorax,
        cardiothoracic_ratio=thorax.cardiothoracic_ratio + (0.05 + 0.1 * heart if heart else 0.0),
        mediastinum_half_width=thorax.mediastinum_half_width * (1.12 + 0.35 * wide if wide else 1.0),
        raised=(raised[0], raised[1]),
        drawn=thorax.drawn + pushed,
    )


def lines(canvas: Canvas, thorax: Thorax, severity: Severity, places: Places) -> Field:
    """Attenuation [H, W] of septal lines, plates of collapse and nodules, as seen against air."""
    target = canvas.blank()
    if extent := severity.get("Edema", 0.0):
        _septal_lines(canvas, thorax, extent, places, target)
    if extent := severity.get("Atelectasis", 0.0):
        _plates(canvas, thorax, extent, places, target)
    field = canvas.soften(target, 0.1) * np.float32(0.3) if target.any() else np.zeros(target.shape, np.float32)
    if extent := severity.get("Lung Lesion", 0.0):
        field += _nodules(canvas, thorax, extent, places)
    return field


def collapsed(thorax: Thorax, severity: Severity, places: Places) -> tuple[int, Points] | None:
    """With a pneumothorax: its side, and the outline [n, 2] of the lung that has come off the wall."""
    extent = severity.get("Pneumothorax", 0.0)
    if not extent:
        return None
    side = places.sides("Pneumothorax", 0.0)[0]
    outline = mirrored(thorax.lung(side), side)
    gap = 0.9 + 4.2 * extent**1.4
    upper = np.clip(1.25 - outline[:, 1] / thorax.height, 0.12, 1)
    outline[:, 0] -= gap * upper * np.clip(outline[:, 0] / thorax.half_width, 0, 1)
    outline[:, 1] += 1.1 * gap * np.clip(upper - 0.45, 0, 1)
    return side, mirrored(outline, side)


def broken_rib(severity: Severity, places: Places) -> Fracture | None:
    """With a fracture: which rib, and how far it is displaced."""
    extent = severity.get("Fracture", 0.0)
    if not extent:
        return None
    rng = places.rng("Fracture")
    return int(rng.choice([RIGHT, LEFT])), int(rng.integers(3, 9)), 0.3 + 0.5 * extent


def _septal_lines(canvas: Canvas, thorax: Thorax, extent: float, places: Places, target: Mask) -> None:
    """Short horizontal lines that end at the lateral wall (Kerley B)."""
    rng = places.rng("septal lines")
    count = int(4 + 10 * extent)
    for side in (RIGHT, LEFT):
        level = rng.uniform(0.6, 0.98, count) * thorax.height
        end = thorax.wall(level) - 0.3
        start = end - rng.uniform(0.8, 1.8, count)
        curves = np.stack([end, level, start, level + rng.normal(0, 0.12, count)], -1).reshape(count, 2, 2)
        canvas.stroke(mirrored(curves, side), 0.1, 40 + 60 * extent, target)


def _plates(canvas: Canvas, thorax: Thorax, extent: float, places: Places, target: Mask) -> None:
    """One to three flat bands above the dome."""
    rng = places.rng("plates")
    for side in places.sides("Atelectasis", 0.2):
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform(0.4, 0.7) * thorax.half_width, thorax.dome(side) - rng.uniform(0.6, 3.6)
            tilt, reach, thick = rng.normal(0.25, 0.2), rng.uniform(1.4, 3.2), rng.uniform(0.33, 0.65)
            dx, dy = reach * np.cos(tilt), reach * np.sin(tilt)
            plate = spline([(x - dx, y - dy), (x, y - 0.15), (x + dx, y + dy)], 8)
            canvas.stroke([mirrored(plate, side)], thick * (0.6 + 0.7 * extent), 70 + 110 * extent, target)


def _nodules(canvas: Canvas, thorax: Thorax, extent: float, places: Places) -> Field:
    rng = places.rng("Lung Lesion")
    total = np.zeros((canvas.height, canvas.width), np.float32)
    for number in range(int(rng.choice([1, 1, 2, 3]))):
        side = int(rng.choice([RIGHT, LEFT]))
        level = rng.uniform(0.2, 0.9) * thorax.height
        centre = (side * rng.uniform(0.35, 0.85) * float(thorax.wall(level)), level)
        radius = (0.45 + 1.5 * extent**1.6) * (1.0 if number == 0 else 0.6)
        lumpy = ellipse(centre, (radius, radius * rng.uniform(0.8, 1.1)), 60 * rng.random(), 18)
        lumpy += rng.normal(0, 0.05 * radius, lumpy.shape)
        ball = canvas.bulge(canvas.fill(spline(lumpy, 4, closed=True)), radius)
        total += np.float32(0.2 * min(radius, 1.3)) * canvas.soften(ball, 0.12)
    return total
