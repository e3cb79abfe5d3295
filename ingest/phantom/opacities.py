"""What takes the place of air on the frontal chest: fluid, oedema, consolidation, pneumonia, pleural thickening."""

import numpy as np

from ingest.phantom.canvas import Canvas, Points, ellipse, mirrored, spline
from ingest.phantom.places import Places, Severity
from ingest.phantom.raster import Field, Mask, blurred, clouds
from ingest.phantom.thorax import LEFT, RIGHT, Thorax

_LOBES = (  # side, centre (shares of half width and height), radii in cm, how often pneumonia is there
    (RIGHT, 0.5, 0.24, 3.6, 2.9, 0.15),
    (RIGHT, 0.46, 0.66, 3.4, 2.5, 0.2),
    (RIGHT, 0.56, 0.84, 4.0, 3.2, 0.3),
    (LEFT, 0.52, 0.3, 3.6, 3.4, 0.1),
    (LEFT, 0.58, 0.84, 3.8, 3.2, 0.25),
)


def replaced_air(canvas: Canvas, thorax: Thorax, severity: Severity, places: Places, supine: bool) -> Field:
    """Share of the air [H, W], 0..1, that is gone. supine: effusions lie flat and veil the lung."""
    coarse = canvas.reduced(4)
    x, y = coarse.grid()
    kept = np.ones_like(x)
    if extent := severity.get("Edema", 0.0):
        kept *= 1 - _oedema(x, y, thorax, extent, places.rng("Edema"))
    if extent := severity.get("Consolidation", 0.0):
        kept *= _consolidated(x, y, thorax, extent, places.rng("Consolidation"))
    if extent := severity.get("Pneumonia", 0.0):
        kept *= _inflamed(x, y, thorax, extent, places.rng("Pneumonia"))
    fluid = _effusions(severity, places)
    for side, extent in fluid if supine else ():
        veil = (y * np.float32(1 / thorax.height) - np.float32(0.15)).clip(0, 1) * (side * x > 0)
        kept *= 1 - np.float32(0.1 + 0.32 * extent) * blurred(veil, 4)
    fine = canvas.enlarge(kept)
    if fluid:
        level = canvas.fill(*(effusion_outline(thorax, side, extent, supine) for side, extent in fluid))
        fine *= 1 - np.float32(0.97) * canvas.soften(level, 0.22)
    if extent := severity.get("Pleural Other", 0.0):
        fine *= 1 - np.float32(0.75) * canvas.soften(_thickening(canvas, thorax, extent, places), 0.15)
    return 1 - fine


def effusion_outline(thorax: Thorax, side: int, extent: float, supine: bool) -> Points:
    """Fluid in the costophrenic angle up to a meniscus that climbs the lateral wall, [n, 2]."""
    _, tip_y = thorax.angle(side)
    high = (2.0 + 9.5 * extent**1.2) * (0.75 if supine else 1.0)
    share = np.array([1.05, 0.975, 0.93, 0.82, 0.6, 0.35, 0.06])  # of the distance to the wall
    level = tip_y - high + high * np.array([-0.85, -0.3, 0.0, 0.27, 0.46, 0.55, 0.58])
    level[:2] -= [0.9, 0.3]
    meniscus = spline(np.stack([share * thorax.wall(np.minimum(level, tip_y)), level], -1), 8)
    outside = thorax.half_width + 2  # beyond the wall all the way up, for the wall is convex
    around = [(0.8, tip_y + 5), (outside, tip_y + 5), (outside, level[0])]
    return mirrored(np.vstack([meniscus, around]), side)


def cloud(
    x: Field,
    y: Field,
    centre: tuple[float, float],
    radii: tuple[float, float],
    rng: np.random.Generator,
    edge: float,
) -> Field:
    """A patch 0..1 with an uneven border over the grid x, y. edge: how steep it is."""
    across = (x - np.float32(centre[0])) * np.float32(1 / radii[0])
    down = (y - np.float32(centre[1])) * np.float32(1 / radii[1])
    uneven = clouds(rng, x.shape)
    level = np.float32(edge) * (1 - np.sqrt(across**2 + down**2) + np.float32(0.22) * uneven)
    patch: Field = (np.float32(0.5) * (1 + np.tanh(level)) * (1 + np.float32(0.13) * uneven)).clip(0, 1)
    return patch


def _effusions(severity: Severity, places: Places) -> list[tuple[int, float]]:
    """Side and extent of each effusion; on the second side there is less."""
    if not (extent := severity.get("Pleural Effusion", 0.0)):
        return []
    return list(zip(places.sides("Pleural Effusion"), (extent, 0.8 * extent), strict=False))


def _oedema(x: Field, y: Field, thorax: Thorax, extent: float, rng: np.random.Generator) -> Field:
    """Haze around both hila, like the wings of a bat."""
    across = (np.abs(x) - np.float32(0.3 * thorax.half_width)) * np.float32(1 / (0.36 * thorax.half_width))
    down = (y - np.float32(0.52 * thorax.height)) * np.float32(1 / (0.34 * thorax.height))
    uneven = 1 + np.float32(0.3) * clouds(rng, x.shape, (8, 16, 32))
    haze: Field = (np.float32(0.08 + 0.32 * extent) * np.exp(-(across**2) - down**2) * uneven).clip(0, 0.9)
    return haze


def _consolidated(x: Field, y: Field, thorax: Thorax, extent: float, rng: np.random.Generator) -> Field:
    """Share of the air that is left where a lobe, or two, is filled."""
    kept = np.ones_like(x)
    for lobe in rng.permutation(len(_LOBES))[: 1 + (extent > 0.75)]:
        side, across, down, wide, tall, _ = _LOBES[lobe]
        centre = (side * across * thorax.half_width, down * thorax.height)
        size = 0.55 + 0.6 * extent
        kept *= 1 - np.float32(0.3 + 0.5 * extent) * cloud(x, y, centre, (wide * size, tall * size), rng, 3.5)
    return kept


def _inflamed(x: Field, y: Field, thorax: Thorax, extent: float, rng: np.random.Generator) -> Field:
    """Share of the air that is left under one to three patches of pneumonia."""
    kept = np.ones_like(x)
    for lobe in rng.choice(len(_LOBES), int(rng.integers(1, 4)), p=[often for *_, often in _LOBES]):
        side, across, down, *_ = _LOBES[lobe]
        centre = (side * across * thorax.half_width + rng.normal(), down * thorax.height + 1.2 * rng.normal())
        radius = (0.5 + 0.6 * extent) * rng.uniform(2.0, 3.6)
        kept *= 1 - np.float32(0.16 + 0.42 * extent) * cloud(x, y, centre, (radius, 0.85 * radius), rng, 2.0)
    return kept


def _thickening(canvas: Canvas, thorax: Thorax, extent: float, places: Places) -> Mask:
    """Thickened pleura along part of one lateral wall and over that apex."""
    rng = places.rng("Pleural Other")
    side = int(rng.choice([RIGHT, LEFT]))
    low, high = np.sort(rng.uniform(0.35, 1.0, 2)) * thorax.height + [-2.0, 2.0]
    level = np.linspace(low, high, 10)
    thick = (0.25 + 0.6 * extent) * np.sin(np.linspace(0.15, np.pi - 0.15, 10)) * rng.uniform(0.6, 1.2, 10)
    outer = np.stack([thorax.wall(level) + 0.5, level], -1)
    inner = spline(np.stack([thorax.wall(level) - thick, level], -1), 4)
    cap = ellipse((thorax.anatomy.apex_x, 0.1), (2.6, 0.5 + 0.7 * extent))
    return canvas.fill(mirrored(np.vstack([outer, inner[::-1]]), side), mirrored(cap, side))
