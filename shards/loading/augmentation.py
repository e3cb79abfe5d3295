"""Compute the augmentation of a view: one matrix for resize, flip, rotation and crop, for a whole batch at a time.

The matrices are made of the sizes of the images and of random draws; the DALI graph applies them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shards.errors import SubsetError

DRAWS = 7
"""Numbers in [0, 1) behind a view: flip, angle, crop across, crop down, zoom, shift across, shift down."""
_PLAIN_DRAWS = 4

EVALUATION_VIEW = 3
"""Version of the evaluation view: changes with its pixels. Cached embeddings of another version are not read.

1 and 2 were those of the loader's state. Since 3 the window lies on whole pixels, as torchvision's does.
"""

ANTIALIAS_BELOW = 0.67
"""Scale under which an antialiased resize comes before the warp, which does not antialias."""


@dataclass(frozen=True)
class ViewRange:
    """Range of an augmented view. Defaults are the paper's (Sowrirajan et al. 2021, 3.2).

    degrees: the rotation is uniform within plus and minus this angle. flip: mirror left and right half of the time.
    scale: the zoom about the image's centre is uniform from the first to the second. translate: the shift across and
    the one down are uniform within plus and minus this fraction of the view. Raises SubsetError for what is no range.
    """

    degrees: float = 10.0
    flip: bool = True
    scale: tuple[float, float] = (1.0, 1.0)
    translate: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.scale
        if not (0 <= self.degrees <= 180 and 0 < low <= high < math.inf and 0 <= self.translate <= 1):
            raise SubsetError(
                f"{self}: degrees are 0 to 180, the scale goes from a number above 0 to one that is not smaller, and "
                "translate is 0 to 1"
            )

    @property
    def moves(self) -> bool:
        """Whether there is any zoom or shift."""
        return self.scale != (1.0, 1.0) or self.translate != 0

    @property
    def draws(self) -> int:
        """Number of a view's draws that this range needs: those for zoom and shift only where there are any."""
        return DRAWS if self.moves else _PLAIN_DRAWS


def draw_numbers(view_ranges: Sequence[ViewRange | None]) -> list[int]:
    """Number the draws that a sample needs, for `draws.streams`: those of each view in turn, none for a fixed one."""
    needed = [0 if view_range is None else view_range.draws for view_range in view_ranges]
    return [DRAWS * view + number for view, count in enumerate(needed) for number in range(count)]


def view_matrices(
    shapes: npt.NDArray[np.float64], size: int, draws: npt.NDArray[np.float32], view_range: ViewRange
) -> npt.NDArray[np.float32]:
    """Compute the maps from image to view coordinates, float32 [N, 3, 3], last row (0, 0, 1).

    shapes: (height, width) of each image, float64 [N, 2]. draws: float32 [N, D], D at least `view_range.draws`.
    Coordinates are (x, y) in pixels from the upper left corner of the upper left pixel. In order: the short side is
    scaled to `size`, the image mirrored if draws[0] < 0.5, rotated about its centre by (2 draws[1] - 1) x degrees
    (clockwise as seen), zoomed about it by low + draws[4] x (high - low), shifted by (2 draws[5:7] - 1) x translate x
    size to the right and down, and a size x size window cut out, at draws[2] of the room across and draws[3] of that
    down.
    """
    sides = shapes[:, ::-1]  # width, height: as coordinates are
    scale = size / shapes.min(axis=1)
    centre = size / 2 + (0.5 - draws[:, 2:4]) * (sides * scale[:, None] - size)
    if view_range.moves:
        low, high = view_range.scale
        scale = scale * (low + draws[:, 4] * (high - low))
        centre = centre + (2 * draws[:, 5:7] - 1) * (view_range.translate * size)
    mirror = np.where(draws[:, 0] < 0.5, -1, 1) if view_range.flip else 1
    angle = np.deg2rad((2 * draws[:, 1] - 1) * view_range.degrees)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.stack([mirror * cos, -sin, mirror * sin, cos], axis=1).reshape(-1, 2, 2)
    return _matrices(linear, centre - (linear @ sides[:, :, None] / 2)[:, :, 0])


def fixed_matrices(shapes: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float32]:
    """Compute the matrices of the evaluation view: resize and centre crop as torchvision does them, nothing else.

    shapes, and what is returned: as in `view_matrices`. The window lies on whole pixels of the resized image, half a
    pixel rounded to even, so that at scale 1 the view is a piece of the stored image.
    """
    resized = resized_shapes(shapes, size)
    scale = (resized / shapes)[:, ::-1]  # across, down: the long side is a whole number of pixels too
    return _matrices(scale[:, :, None] * np.eye(2), -np.rint((resized[:, ::-1] - size) / 2))


def resized_shapes(shapes: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """(height, width) after torchvision's Resize(size): the long side is rounded down. float64 [N, 2] both."""
    resized: npt.NDArray[np.float64] = np.floor(size * shapes / shapes.min(axis=1, keepdims=True))
    return resized


def shrunk_shapes(shapes: npt.NDArray[np.float64], size: int, *, fixed: bool = False) -> npt.NDArray[np.float64]:
    """(height, width) that images have when they are warped: their own, or with the short side at `size`.

    The latter where the scale is under ANTIALIAS_BELOW; the long side is then rounded to whole pixels, or down for the
    evaluation view (fixed), as in `resized_shapes`. float64 [N, 2] both.
    """
    scale = size / shapes.min(axis=1, keepdims=True)
    smaller = resized_shapes(shapes, size) if fixed else np.floor(shapes * scale + 0.5)
    shrunk: npt.NDArray[np.float64] = np.where(scale < ANTIALIAS_BELOW, smaller, shapes)
    return shrunk


def _matrices(linear: npt.NDArray[np.float64], offset: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    matrices = np.zeros((len(linear), 3, 3), dtype=np.float32)
    matrices[:, :2, :2], matrices[:, :2, 2], matrices[:, 2, 2] = linear, offset, 1
    return matrices
