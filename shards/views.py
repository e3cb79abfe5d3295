"""Where a view lies in its image: one matrix for resize, flip, rotation and crop.

The DALI graph computes the same matrix (`shards.graph`); this is its definition, in numpy.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shards.errors import SubsetError

DRAWS = 7
"""Numbers in [0, 1) behind a view: flip, angle, crop across, crop down, zoom, shift across, shift down."""
_PLAIN_DRAWS = 4

ANTIALIAS_BELOW = 0.67
"""Scale under which an antialiased resize comes before the warp, which does not antialias."""


@dataclass(frozen=True)
class ViewRange:
    """What a view may be. Defaults are the paper's (Sowrirajan et al. 2021, 3.2).

    degrees: the rotation is uniform within plus and minus this angle. flip: mirror left and right half of the time.
    scale: the zoom about the image's centre is uniform from the first to the second. translate: the shift across and
    the one down are uniform within plus and minus this share of the view. Raises SubsetError for what is no range.
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
    def draws(self) -> int:
        """How many of a view's draws this range needs: those for zoom and shift only where there are any."""
        return DRAWS if self.scale != (1.0, 1.0) or self.translate else _PLAIN_DRAWS


def view_matrix(
    height: float, width: float, size: int, draws: npt.NDArray[np.float32], view_range: ViewRange
) -> npt.NDArray[np.float64]:
    """The affine map from image to view coordinates, float64 [2, 3].

    Coordinates are (x, y) in pixels from the upper left corner of the upper left pixel. In order: the short side is
    scaled to `size`, the image mirrored if draws[0] < 0.5, rotated about its centre by (2 draws[1] - 1) x degrees
    (clockwise as seen), zoomed about it by low + draws[4] x (high - low), shifted by (2 draws[5:7] - 1) x translate x
    size to the right and down, and a size x size window cut out, at draws[2] of the room across and draws[3] of that
    down. draws: float32, as many as `view_range.draws`.
    """
    scale = size / min(height, width)
    mirror = -1.0 if view_range.flip and draws[0] < 0.5 else 1.0
    angle = np.deg2rad((2 * draws[1] - 1) * view_range.degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    room = np.array([width * scale - size, height * scale - size])
    offset = size / 2 + (0.5 - draws[2:4]) * room
    if view_range.draws > _PLAIN_DRAWS:
        low, high = view_range.scale
        scale *= low + draws[4] * (high - low)
        offset = offset + (2 * draws[5:7] - 1) * view_range.translate * size
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror * scale, scale])
    return np.column_stack([linear, offset - linear @ np.array([width / 2, height / 2])])


def shrunk_size(height: float, width: float, size: int) -> tuple[float, float]:
    """(height, width) that an image has when it is warped: its own, or with the short side at `size`.

    The latter where the scale is under ANTIALIAS_BELOW; sides are rounded to whole pixels.
    """
    scale = size / min(height, width)
    if scale >= ANTIALIAS_BELOW:
        return height, width
    return float(np.floor(height * scale + 0.5)), float(np.floor(width * scale + 0.5))
