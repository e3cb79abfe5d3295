"""Where a view lies in its image: one matrix for resize, flip, rotation and crop.

The DALI graph computes the same matrix (`shards.graph`); this is its definition, in numpy.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ANTIALIAS_BELOW = 0.67
"""Scale under which an antialiased resize comes before the warp, which does not antialias."""


@dataclass(frozen=True)
class ViewRange:
    """What a view may be. Defaults are the paper's (Sowrirajan et al. 2021, 3.2).

    degrees: the rotation is uniform within plus and minus this angle. flip: mirror left and right half of the time.
    """

    degrees: float = 10.0
    flip: bool = True


def view_matrix(
    height: float, width: float, size: int, draws: npt.NDArray[np.float32], view_range: ViewRange
) -> npt.NDArray[np.float64]:
    """The affine map from image to view coordinates, float64 [2, 3].

    Coordinates are (x, y) in pixels from the upper left corner of the upper left pixel. In order: the short side is
    scaled to `size`, the image mirrored if draws[0] < 0.5, rotated about its centre by (2 draws[1] - 1) x degrees
    (clockwise as seen), and a size x size window cut out, at draws[2] of the room across and draws[3] of that down.
    """
    scale = size / min(height, width)
    mirror = -1.0 if view_range.flip and draws[0] < 0.5 else 1.0
    angle = np.deg2rad((2 * draws[1] - 1) * view_range.degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror * scale, scale])
    room = np.array([width * scale - size, height * scale - size])
    offset = size / 2 + (0.5 - draws[2:4]) * room
    return np.column_stack([linear, offset - linear @ np.array([width / 2, height / 2])])


def shrunk_size(height: float, width: float, size: int) -> tuple[float, float]:
    """(height, width) that an image has when it is warped: its own, or with the short side at `size`.

    The latter where the scale is under ANTIALIAS_BELOW; sides are rounded to whole pixels.
    """
    scale = size / min(height, width)
    if scale >= ANTIALIAS_BELOW:
        return height, width
    return float(np.floor(height * scale + 0.5)), float(np.floor(width * scale + 0.5))
