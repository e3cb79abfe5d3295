"""Pulmonary tuberculosis, mostly of the upper zones: patches, nodules, strands to the hilum and cavities."""

from dataclasses import dataclass

import numpy as np

from ingest.phantom.canvas import Canvas, Points, closed_curve, ellipse, mirrored, spline
from ingest.phantom.opacities import cloud
from ingest.phantom.places import Places
from ingest.phantom.raster import Field
from ingest.phantom.thorax import RIGHT, Thorax

_LEVELS = {"upper": 0.2, "middle": 0.5, "lower": 0.78}  # share of the lung's height


@dataclass(frozen=True)
class Focus:
    """The disease of one side: centre [2] with x >= 0, and a generator for its details."""

    side: int
    centre: Points
    rng: np.random.Generator


def tuberculous_sides(places: Places) -> tuple[int, ...]:
    return places.sides("Tuberculosis", both=0.42)


def tuberculous_zone(places: Places) -> str:
    """`upper` mostly, else `middle` or `lower`."""
    return str(places.rng("Tuberculosis zone").choice(list(_LEVELS), p=[0.84, 0.11, 0.05]))


def has_cavity(places: Places, extent: float) -> bool:
    return extent > 0.55 and places.rng("cavity").random() < 0.5


def infiltrate(canvas: Canvas, thorax: Thorax, extent: float, places: Places) -> Field:
    """Share of the air [H, W] that patches have taken."""
    x, y = canvas.reduced(4).grid()
    kept = np.ones_like(x)
    for focus in _foci(thorax, places, "patches"):
        rng = focus.rng
        for _ in range(int(rng.integers(2, 5))):
            away = focus.centre + 1.9 * rng.normal(size=2)
            radius = rng.uniform(0.9, 2.2) * (0.65 + 0.6 * extent)
            share = (0.08 + 0.28 * extent) * rng.uniform(0.6, 1.0)
            radii = (radius, radius * rng.uniform(0.7, 1.1))
            kept *= 1 - np.float32(share) * cloud(x, y, (focus.side * away[0], away[1]), radii, rng, 2.2)
    return canvas.enlarge(1 - kept)


def strands(canvas: Canvas, thorax: Thorax, extent: float, places: Places) -> Field:
    """Attenuation [H, W] of nodules, fibrous strands and the wall of a cavity."""
    target = canvas.blank()
    hilum = np.array([3.0, thorax.anatomy.hilum_y * thorax.height / thorax.anatomy.lung_height])
    for number, focus in enumerate(_foci(thorax, places, "strands")):
        rng, side = focus.rng, focus.side
        count = int(6 + 26 * extent * rng.uniform(0.6, 1.3))
        spots = focus.centre + rng.normal(size=(count, 2)) * [2.3, 2.1]
        for (x, y), radius in zip(spots, rng.uniform(0.12, 0.36, count), strict=True):
            dot = mirrored(ellipse((x, y), (radius, 0.9 * radius), steps=10), side)
            canvas.fill(dot, value=int(60 + 100 * extent), onto=target)
        for _ in range(int(2 + 4 * extent)):
            start = focus.centre + 1.1 * rng.normal(size=2)
            end = start + (hilum - start) * rng.uniform(0.3, 0.7)
            strand = spline(np.stack([start, (start + end) / 2 + 0.35 * rng.normal(size=2), end]), 6)
            canvas.stroke([mirrored(strand, side)], 0.22, 50 + 70 * extent, target)
        if number == 0 and has_cavity(places, extent):
            radius = rng.uniform(0.8, 1.7)
            ring = ellipse((focus.centre[0], focus.centre[1]), (radius, 0.85 * radius), rng.uniform(0, 90), 14)
            wall = spline(ring + rng.normal(0, 0.06, ring.shape), 4, closed=True)
            canvas.stroke([mirrored(closed_curve(wall), side)], rng.uniform(0.33, 0.55), 190, target)
    return canvas.soften(target, 0.12) * np.float32(0.26)


def _foci(thorax: Thorax, places: Places, detail: str) -> list[Focus]:
    """One focus a side; the centre is the same for every detail."""
    foci = []
    for side in tuberculous_sides(places):
        name = f"Tuberculosis {'right' if side == RIGHT else 'left'}"
        rng = places.rng(name)
        y = (_LEVELS[tuberculous_zone(places)] + 0.07 * rng.normal()) * thorax.height
        centre = np.array([rng.uniform(0.5, 0.68) * float(thorax.wall(y)) + 0.6, y])
        foci.append(Focus(side, centre, places.rng(f"{name} {detail}")))
    return foci
