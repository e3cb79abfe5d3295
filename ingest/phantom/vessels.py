"""Pulmonary vessels: a branching tree from each hilum, the same for a patient in every exposure."""

import functools

import numpy as np

from ingest.phantom.canvas import Canvas, Points, ellipse, mirrored
from ingest.phantom.raster import Field
from ingest.phantom.thorax import LEFT, RIGHT, Thorax

_GENERATIONS = 5
_TRUNKS = 10
_WIDEST = 0.72  # cm, of the first generation
_STEP = 0.06  # cm; vessels of about one width are drawn together


def vessels(canvas: Canvas, thorax: Thorax, calibre: float = 1.0, upper: float = 0.0, blur_cm: float = 0.0) -> Field:
    """Attenuation [H, W] of the vessels of both lungs and the hila, not yet clipped to the lungs.

    calibre: relative. upper: share by which the upper zones' vessels are widened (redistribution in oedema).
    """
    a, target, hila = thorax.anatomy, canvas.blank(), []
    span = np.array([thorax.half_width - 2.6, thorax.height * 0.56])
    for side in (RIGHT, LEFT):
        level = (a.hilum_y - 0.9 * (side == LEFT)) * thorax.height / a.lung_height
        hilum = np.array([2.6 + side * thorax.turn * 2 + side * thorax.drawn * 0.6, level])
        hila.append(mirrored(ellipse((hilum[0] + 0.6, level + 0.9), (1.3, 2.5), steps=12), side))
        pieces, relative = vessel_tree(a.vessel_seed + (side == LEFT))
        gravity = 1 + np.where(pieces[:, 1, 1] < 0, upper - 0.22, 0.12)
        rank = np.minimum(_WIDEST * a.vessels * calibre * relative * gravity / _STEP, 14).astype(int)
        placed = mirrored(pieces * span + hilum, side)
        for step in np.unique(rank)[::-1]:  # thin ones last, over the thick
            width = _STEP * (int(step) + 1.5)
            canvas.stroke(placed[rank == step], width, 255 * min(1.0, 0.05 + width), target)
    field = np.float32(0.42 / 255) * target
    field += np.float32(0.16) * canvas.soften(canvas.reduced(4).fill(*hila), 0.6)
    return canvas.soften(field, blur_cm)


@functools.lru_cache(maxsize=8)
def vessel_tree(seed: int) -> tuple[Points, Points]:
    """Pieces of vessel [n, 2, 2] in a lung of unit size, and their calibres [n] relative to the first generation.

    The hilum is the origin, x points outwards, y down. Every branch is cut in three that taper, and forks in two.
    """
    rng = np.random.default_rng(seed)
    direction = np.deg2rad(np.linspace(-82, 80, _TRUNKS) + rng.normal(0, 7, _TRUNKS))
    start = np.stack([np.zeros(_TRUNKS), np.linspace(-0.05, 0.09, _TRUNKS)], -1)
    length = 0.27 * rng.uniform(0.75, 1.2, _TRUNKS) * (1 + 0.25 * np.abs(np.sin(direction)))
    calibre = rng.uniform(0.75, 1.15, _TRUNKS)
    steps = np.linspace(0, 1, 4)
    pieces, calibres = [], []
    for _ in range(_GENERATIONS):
        bend = rng.normal(0, 0.28, len(direction))
        heading = direction[:, None] + bend[:, None] * (2 * steps - 1)  # [branches, 4]
        reach = (steps * length[:, None])[..., None]
        curves = start[:, None] + reach * np.stack([np.cos(heading), np.sin(heading)], -1)  # [branches, 4, 2]
        pieces.append(np.stack([curves[:, :-1], curves[:, 1:]], 2).reshape(-1, 2, 2))
        calibres.append((calibre[:, None] * np.array([1.1, 0.97, 0.85])).reshape(-1))
        fork = rng.uniform(0.12, 0.75, (2, len(direction))) * np.array([[-1.0], [1.0]])
        direction = (heading[:, -1] + fork).reshape(-1)
        start = np.tile(curves[:, -1], (2, 1))
        length = np.tile(length, 2) * rng.uniform(0.55, 1.0, len(direction))
        calibre = np.tile(calibre, 2) * rng.uniform(0.6, 0.86, len(direction))
    return np.concatenate(pieces), np.concatenate(calibres)
