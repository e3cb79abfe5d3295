"""Compute the augmentation of a view, for a whole batch at a time: one matrix for resize, flip, rotation and crop, and
one table for its tone curve.

Both are made of random draws and, the matrices, of the sizes of the images. The DALI graph applies the matrices; the
tables are looked up on the device that trains, where pixels are normalised.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shards.errors import SubsetError

DRAWS = 7
"""Numbers in [0, 1) behind a view: flip, angle, crop across, crop down, zoom, shift across, shift down."""
_PLAIN_DRAWS = 4

GRAY_LEVELS = 256
_BRIGHTEST, _MID_GRAY = 255.0, 127.5

EVALUATION_VIEW = 3
"""Version of the evaluation view: changes with its pixels. Cached embeddings of another version are not read.

1 and 2 were those of the loader's state. Since 3 the window lies on whole pixels, as torchvision's does.
"""

ANTIALIAS_BELOW = 0.67
"""Scale under which an antialiased resize comes before the warp, which does not antialias."""

WARPED_AT = 0.75
"""Scale that is left to the warp after a resize for one view alone.

A resize to the very scale of the view would lose detail twice, in the resize and in the warp's interpolation. Of the
mean difference of neighbours in a right view of real radiographs (96 px, zoom 2) it leaves 0.92; 0.8, 0.75 and 0.7
leave 0.97, 0.99 and 1.01 (docs/experiments/views.md).
"""


class LaterDraw(enum.IntEnum):
    """Draws that came after the first seven. They have numbers of their own, so that those of a view do not shift."""

    GAIN = 0
    OFFSET = 1
    GAMMA = 2
    AREA = 3

    def number(self, view: int) -> int:
        """The draw's number for `draws.streams`, for the view 0 (query) or 1 (key)."""
        return 1000 + 16 * view + self.value


@dataclass(frozen=True)
class ViewRange:
    """Range of an augmented view. Defaults are the paper's (Sowrirajan et al. 2021, 3.2).

    degrees: the rotation is uniform within plus and minus this angle. flip: mirror left and right half of the time.
    scale: the zoom about the image's centre is uniform from the first to the second. translate: the shift across and
    the one down are uniform within plus and minus this fraction of the view.

    crop_area: the area of the window that is cut out, as a fraction of the largest square in the image, is uniform from
    the first to the second; its place is uniform over all inside the image, and rotation and zoom are about its centre.
    1 to 1: the largest square, with rotation and zoom about the image's centre.

    gain, offset, gamma: the tone curve. The distance of a gray level from mid-gray is multiplied by the gain (uniform),
    the offset (uniform, in gray levels) is added, the result is clipped to 0..255, and, as a fraction of 255, raised to
    the power of gamma (uniform in its logarithm). Raises SubsetError for what is no range.
    """

    degrees: float = 10.0
    flip: bool = True
    scale: tuple[float, float] = (1.0, 1.0)
    translate: float = 0.0
    crop_area: tuple[float, float] = (1.0, 1.0)
    gain: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    gamma: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        low, high = self.scale
        if not (0 <= self.degrees <= 180 and 0 < low <= high < math.inf and 0 <= self.translate <= 1):
            raise SubsetError(
                f"{self}: degrees are 0 to 180, the scale goes from a number above 0 to one that is not smaller, and "
                "translate is 0 to 1"
            )
        if not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise SubsetError(
                f"{self}: the crop area goes from a fraction above 0 to one of at most 1 that is not smaller"
            )
        if not (all(0 < low <= high < math.inf for low, high in (self.gain, self.gamma))):
            raise SubsetError(f"{self}: gain and gamma go from a number above 0 to one that is not smaller")
        if not -_BRIGHTEST <= self.offset[0] <= self.offset[1] <= _BRIGHTEST:
            raise SubsetError(
                f"{self}: the offset goes from -255 or more to a number of at most 255 that is not smaller"
            )

    @property
    def moves(self) -> bool:
        """Whether there is any zoom or shift."""
        return self.scale != (1.0, 1.0) or self.translate != 0

    @property
    def crops(self) -> bool:
        """Whether the window has an area and a place of its own."""
        return self.crop_area != (1.0, 1.0)

    @property
    def tones(self) -> bool:
        """Whether views have a tone curve."""
        return any(draw is not LaterDraw.AREA for draw in self.later_draws)

    @property
    def has_own_scale(self) -> bool:
        """Whether a view's scale is another than that of the image to the view's size."""
        return self.scale != (1.0, 1.0) or self.crops

    @property
    def smallest_scale(self) -> float:
        """The smallest scale of a view, as a fraction of that of the image to the view's size."""
        return self.scale[0] / math.sqrt(self.crop_area[1])

    @property
    def draws(self) -> int:
        """Number of the first seven draws that this range needs: those for zoom and shift only where there are any."""
        return DRAWS if self.moves else _PLAIN_DRAWS

    @property
    def later_draws(self) -> tuple[LaterDraw, ...]:
        """The other draws that this range needs, in the order of their columns behind the first `draws`."""
        needed = {
            LaterDraw.GAIN: self.gain != (1.0, 1.0),
            LaterDraw.OFFSET: self.offset != (0.0, 0.0),
            LaterDraw.GAMMA: self.gamma != (1.0, 1.0),
            LaterDraw.AREA: self.crops,
        }
        return tuple(draw for draw, is_needed in needed.items() if is_needed)

    def draw_numbers(self, view: int) -> list[int]:
        """Number the draws of one view: 0 (query) or 1 (key). The columns of a view's draws have this order."""
        first = [DRAWS * view + number for number in range(self.draws)]
        return first + [draw.number(view) for draw in self.later_draws]

    def identity(self) -> list[Any]:
        """Describe the range for a loader's state, as plain values; what came later only where it differs."""
        later = {
            name: list(getattr(self, name))
            for name in ("crop_area", "gain", "offset", "gamma")
            if getattr(self, name) != getattr(ViewRange, name)
        }
        return [self.degrees, self.flip, *self.scale, self.translate, *([later] if later else [])]


def draw_numbers(view_ranges: Sequence[ViewRange | None]) -> list[int]:
    """Number the draws that a sample needs, for `draws.streams`: those of each view in turn, none for a fixed one."""
    return [
        number
        for view, view_range in enumerate(view_ranges)
        if view_range is not None
        for number in view_range.draw_numbers(view)
    ]


def tone_tables(draws: npt.NDArray[np.float32], view_range: ViewRange) -> npt.NDArray[np.float32] | None:
    """Compute the tone curve of each view, float32 [N, 256]: the gray level, 0..255, that each pixel value stands for.

    draws: float32 [N, D], in the order of `ViewRange.draw_numbers`. None for a range without a tone curve. The curve:
    see `ViewRange`.
    """
    if not view_range.tones:
        return None
    levels = np.arange(GRAY_LEVELS, dtype=np.float64)[None]
    gain = _from_range(draws, view_range, LaterDraw.GAIN, view_range.gain)
    offset = _from_range(draws, view_range, LaterDraw.OFFSET, view_range.offset)
    curve = np.clip((levels - _MID_GRAY) * gain + (_MID_GRAY + offset), 0, _BRIGHTEST)
    if LaterDraw.GAMMA in view_range.later_draws:
        low, high = view_range.gamma
        gamma = np.exp(_from_range(draws, view_range, LaterDraw.GAMMA, (math.log(low), math.log(high))))
        curve = _BRIGHTEST * (curve / _BRIGHTEST) ** gamma
    return np.broadcast_to(curve, (len(draws), GRAY_LEVELS)).astype(np.float32)


def view_scales(
    shapes: npt.NDArray[np.float64], size: int, draws: npt.NDArray[np.float32], view_range: ViewRange
) -> npt.NDArray[np.float64]:
    """Compute the scale of each view against the stored image, crop and zoom included, float64 [N].

    Parameters: as of `view_matrices`.
    """
    scale: npt.NDArray[np.float64] = size / _window(shapes, draws, view_range)
    if view_range.moves:
        low, high = view_range.scale
        scale = scale * (low + draws[:, 4] * (high - low))
    return scale


def view_matrices(
    shapes: npt.NDArray[np.float64],
    size: int,
    draws: npt.NDArray[np.float32],
    view_range: ViewRange,
) -> npt.NDArray[np.float32]:
    """Compute the maps from image to view coordinates, float32 [N, 3, 3], last row (0, 0, 1).

    shapes: (height, width) of each image, float64 [N, 2]. draws: float32 [N, D], in the order of
    `ViewRange.draw_numbers`. Coordinates are (x, y) in pixels from the upper left corner
    of the upper left pixel. In order: the short side is scaled to `size`, the image mirrored if draws[0] < 0.5, rotated
    about its centre by (2 draws[1] - 1) x degrees (clockwise as seen), zoomed about it by low + draws[4] x (high -
    low), shifted by (2 draws[5:7] - 1) x translate x size to the right and down, and a size x size window cut out, at
    draws[2] of the room across and draws[3] of that down.

    With a crop area the window is cut out of the image first, at draws[2] of its room across and draws[3] of that down,
    and the window takes the place of the image: it is scaled to `size`, mirrored, rotated, zoomed and shifted.
    """
    sides = shapes[:, ::-1]  # width, height: as coordinates are
    scale = view_scales(shapes, size, draws, view_range)
    if view_range.crops:
        window = _window(shapes, draws, view_range)[:, None]
        point, lands = window / 2 + draws[:, 2:4] * (sides - window), np.full_like(sides, size / 2)
    else:
        fitted = (size / shapes.min(axis=1))[:, None]
        point, lands = sides / 2, size / 2 + (0.5 - draws[:, 2:4]) * (sides * fitted - size)
    if view_range.moves:
        lands = lands + (2 * draws[:, 5:7] - 1) * (view_range.translate * size)
    mirror = np.where(draws[:, 0] < 0.5, -1, 1) if view_range.flip else 1
    angle = np.deg2rad((2 * draws[:, 1] - 1) * view_range.degrees)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.stack([mirror * cos, -sin, mirror * sin, cos], axis=1).reshape(-1, 2, 2)
    return _matrices(linear, lands - (linear @ point[:, :, None])[:, :, 0])


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


@dataclass(frozen=True)
class ViewResize:
    """Antialiased resizes for one view each: the window of the image that the view shows, and the size that it gets.

    size, start, end: (height, width), (top, left) and (bottom, right), float32 [N, 2]. matrices: from the coordinates
    of the resized window to those of the view, float32 [N, 3, 3].
    """

    size: npt.NDArray[np.float32]
    start: npt.NDArray[np.float32]
    end: npt.NDArray[np.float32]
    matrices: npt.NDArray[np.float32]


def view_resizes(
    shapes: npt.NDArray[np.float64], size: int, matrices: npt.NDArray[np.float32], scales: npt.NDArray[np.float64]
) -> ViewResize:
    """Compute the resize of each image for one view of a scale of its own.

    shapes: as in `view_matrices`. matrices: of the views, float32 [N, 3, 3]. scales: of `view_scales`, float64 [N].
    Where the scale is under ANTIALIAS_BELOW, the window is what the view shows and _MARGIN pixels around it, and gets
    so many whole pixels that the warp shrinks by WARPED_AT. Elsewhere the image stays as it is.
    """
    sides = shapes[:, ::-1]
    shrinks = (scales < ANTIALIAS_BELOW)[:, None]
    factor = np.where(shrinks, scales[:, None] / WARPED_AT, 1.0)
    maps = matrices.astype(np.float64)
    corners = np.linalg.inv(maps) @ np.array([[0, size, 0, size], [0, 0, size, size], [1, 1, 1, 1]], dtype=np.float64)
    margin = _MARGIN / factor
    start = np.clip(np.floor(corners[:, :2].min(axis=2) - margin), 0, sides - 1)
    end = np.clip(np.ceil(corners[:, :2].max(axis=2) + margin), start + 1, sides)
    start, end = np.where(shrinks, start, 0), np.where(shrinks, end, sides)
    resized = np.maximum(np.floor((end - start) * factor + 0.5), 1)
    linear = maps[:, :2, :2]
    offset = maps[:, :2, 2] + (linear @ start[:, :, None])[:, :, 0]
    shrunk = _matrices(linear * ((end - start) / resized)[:, None, :], offset)
    size_hw, start_hw, end_hw = (values[:, ::-1].astype(np.float32) for values in (resized, start, end))
    return ViewResize(size_hw, start_hw, end_hw, shrunk)


_MARGIN = 2.5
"""Resized pixels around a view that its resize and its warp may look at: one each, and half a pixel of rounding."""


def _window(
    shapes: npt.NDArray[np.float64], draws: npt.NDArray[np.float32], view_range: ViewRange
) -> npt.NDArray[np.float64]:
    """Side of the square that a view shows of each image where it is not zoomed, in pixels, float64 [N]."""
    short: npt.NDArray[np.float64] = shapes.min(axis=1)
    if not view_range.crops:
        return short
    area = _from_range(draws, view_range, LaterDraw.AREA, view_range.crop_area)[:, 0]
    return short * np.sqrt(area)


def _from_range(
    draws: npt.NDArray[np.float32], view_range: ViewRange, draw: LaterDraw, bounds: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Uniform values from the first bound to the second, float64 [N, 1]; [1, 1] where nothing is drawn."""
    low, high = bounds
    if draw not in view_range.later_draws:
        return np.array([[low]])
    column = view_range.draws + view_range.later_draws.index(draw)
    return low + draws[:, column : column + 1].astype(np.float64) * (high - low)


def _matrices(linear: npt.NDArray[np.float64], offset: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    matrices = np.zeros((len(linear), 3, 3), dtype=np.float32)
    matrices[:, :2, :2], matrices[:, :2, 2], matrices[:, 2, 2] = linear, offset, 1
    return matrices
