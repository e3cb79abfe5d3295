"""OpenCV's operations on rasters with exact types; its own stubs know only 'some integer or floating array'."""

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]  # [H, W], 0 outside, up to 255 inside
Field = npt.NDArray[np.float32]  # [H, W]


def resized(field: Field, width: int, height: int, method: int = cv2.INTER_LINEAR) -> Field:
    """The raster at another resolution, [height, width]; itself where it has that already."""
    if field.shape == (height, width):
        return field
    return cast(Field, cv2.resize(field, (width, height), interpolation=method))


def blurred(field: Field, sigma: float) -> Field:
    """A Gaussian blur; sigma in pixels."""
    return cast(Field, cv2.GaussianBlur(field, (0, 0), sigma))


def exponential(field: Field) -> Field:
    return cast(Field, cv2.exp(field))


def logarithm(field: Field) -> Field:
    return cast(Field, cv2.log(field))


def square_root(field: Field) -> Field:
    return cast(Field, cv2.sqrt(field))


def clouds(rng: np.random.Generator, shape: tuple[int, ...], cells: tuple[int, ...] = (5, 10, 20, 40)) -> Field:
    """Multi-scale noise [H, W], about standard normal: coarse grids enlarged and added, each finer one weaker."""
    total = np.zeros(shape, np.float32)
    for octave, count in enumerate(cells):
        grid = rng.standard_normal((count, count), np.float32)
        total += np.float32(0.62**octave) * resized(grid, shape[1], shape[0], cv2.INTER_CUBIC)
    return total
