"""Views made without DALI, in float, for the tests to compare with.

The plain chain (torchvision's resize, flip, rotate, crop, one after the other) and one exact bilinear warp.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torchvision.transforms.v2.functional as tv
from scipy import ndimage

from shards.loading.augmentation import ViewRange

Gray = npt.NDArray[np.float64]


def plain_chain(image: npt.NDArray[np.uint8], size: int, draws: npt.NDArray[np.float32], view_range: ViewRange) -> Gray:
    """Resize -> flip -> rotate, zoom, shift -> crop, float64 [size, size] in gray levels.

    image: [H, W]. draws: flip, angle, crop across, crop down (zoom, shift across and down), as in
    `shards.loading.augmentation`.
    """
    height, width = image.shape
    scale = size / min(height, width)
    pixels = torch.from_numpy(image.astype(np.float64))[None, None]
    pixels = tv.resize(pixels, [round(height * scale), round(width * scale)], antialias=True)
    if view_range.flip and draws[0] < 0.5:
        pixels = tv.hflip(pixels)
    degrees = float(2 * draws[1] - 1) * view_range.degrees
    # torchvision turns counter-clockwise for positive angles.
    if view_range.draws == 4:
        pixels = tv.rotate(pixels, -degrees, interpolation=tv.InterpolationMode.BILINEAR)
    else:
        low, high = view_range.scale
        shift = [float(2 * draw - 1) * view_range.translate * size for draw in draws[5:7]]
        zoom = low + float(draws[4]) * (high - low)
        pixels = tv.affine(pixels, degrees, shift, zoom, [0.0, 0.0], interpolation=tv.InterpolationMode.BILINEAR)
    height, width = pixels.shape[-2:]
    return _crop(pixels, size, left=float(draws[2]) * (width - size), top=float(draws[3]) * (height - size))


def steps_in_turn(
    height: float, width: float, size: int, draws: npt.NDArray[np.float32], view_range: ViewRange
) -> Gray:
    """Scale, mirror, rotate, zoom, shift, crop as one matrix each, multiplied: float64 [2, 3], image to view."""
    scale = size / min(height, width)
    height, width = height * scale, width * scale
    if view_range.crop_area != (1.0, 1.0):
        return _cut_out_first(height / scale, width / scale, size, draws, view_range)
    angle = np.deg2rad((2 * draws[1] - 1) * view_range.degrees)
    mirror = -1.0 if view_range.flip and draws[0] < 0.5 else 1.0
    zoom, across, down = 1.0, 0.0, 0.0
    if view_range.draws > 4:
        low, high = view_range.scale
        zoom = low + draws[4] * (high - low)
        across, down = (2 * draws[5:7] - 1) * view_range.translate * size

    steps = [
        np.diag([scale, scale, 1]),
        move(-width / 2, -height / 2),
        np.diag([mirror, 1, 1]),
        turn(angle),
        np.diag([zoom, zoom, 1]),
        move(width / 2, height / 2),
        move(across, down),
        move(-draws[2] * (width - size), -draws[3] * (height - size)),
    ]
    return _product(steps)


def _cut_out_first(
    height: float, width: float, size: int, draws: npt.NDArray[np.float32], view_range: ViewRange
) -> Gray:
    """The same where a window of an area of its own is cut out of the image before anything else."""
    low, high = view_range.crop_area
    window = min(height, width) * np.sqrt(low + float(draws[-1]) * (high - low))  # the area is the last draw
    left, top = float(draws[2]) * (width - window), float(draws[3]) * (height - window)
    zoom, across, down = 1.0, 0.0, 0.0
    if view_range.scale != (1.0, 1.0) or view_range.translate:
        zoom = view_range.scale[0] + float(draws[4]) * (view_range.scale[1] - view_range.scale[0])
        across, down = (float(2 * draw - 1) * view_range.translate * size for draw in draws[5:7])
    return _product(
        [
            move(-left, -top),
            np.diag([size / window, size / window, 1]),
            move(-size / 2, -size / 2),
            np.diag([-1.0 if view_range.flip and draws[0] < 0.5 else 1.0, 1, 1]),
            turn(np.deg2rad(float(2 * draws[1] - 1) * view_range.degrees)),
            np.diag([zoom, zoom, 1]),
            move(size / 2 + across, size / 2 + down),
        ]
    )


def move(x: float, y: float) -> Gray:
    """A shift to the right and down, float64 [3, 3]."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])


def turn(angle: float) -> Gray:
    """A rotation about the origin, clockwise as seen, float64 [3, 3]."""
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def _product(steps: Sequence[Gray]) -> Gray:
    product = np.eye(3)
    for step in steps:
        product = step @ product
    return product[:2]


def right_view(image: npt.NDArray[np.uint8], matrix: Gray, size: int) -> Gray:
    """The image under an affine map [2, 3] from image to view coordinates as it should be, float64 [size, size].

    Where the map shrinks, each pixel of the view is the mean of the stored pixels around it, weighted by a triangle in
    the view's coordinates that ends a pixel away: what an antialiased linear resize is, at any angle. Where it
    enlarges: bilinear. NaN where the image does not cover the pixel and a margin around it.
    """
    height, width = image.shape
    at_y, at_x = np.mgrid[0:size, 0:size] + 0.5
    back = np.tensordot(np.linalg.inv(matrix[:, :2]), np.stack([at_x, at_y]) - matrix[:, 2, None, None], axes=1)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    margin = 2 * max(1.0, 1 / scale)
    covered = (back[0] > margin) & (back[0] < width - margin) & (back[1] > margin) & (back[1] < height - margin)
    view = warp(image, matrix, size) if scale >= 1 else _means(image.astype(np.float64), matrix, size)
    return np.where(covered, view, np.nan)


def _means(image: Gray, matrix: Gray, size: int) -> Gray:
    """Spread each stored pixel over the four pixels of the view around it, and divide by the weights."""
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] + 0.5
    across, down = (row[0] * x + row[1] * y + row[2] - 0.5 for row in matrix)
    left, top = np.floor(across).astype(int), np.floor(down).astype(int)
    total, weights = np.zeros(size * size), np.zeros(size * size)
    for right in (0, 1):
        for below in (0, 1):
            weight = abs(1 - right - (across - left)) * abs(1 - below - (down - top))
            column, row = left + right, top + below
            seen = (column >= 0) & (column < size) & (row >= 0) & (row < size)
            spot = row[seen] * size + column[seen]
            total += np.bincount(spot, (weight * image)[seen], size * size)
            weights += np.bincount(spot, weight[seen], size * size)
    return (total / np.maximum(weights, 1e-9)).reshape(size, size)


def toned(levels: Gray, draws: npt.NDArray[np.float32], view_range: ViewRange) -> Gray:
    """The tone curve on gray levels that need not be whole, step after step. draws: in the order of their numbers."""
    plain = 4 if view_range.scale == (1.0, 1.0) and view_range.translate == 0 else 7
    rest = [float(draw) for draw in draws[plain:]]
    gain = offset = gamma = None
    if view_range.gain != (1.0, 1.0):
        gain = view_range.gain[0] + rest.pop(0) * (view_range.gain[1] - view_range.gain[0])
    if view_range.offset != (0.0, 0.0):
        offset = view_range.offset[0] + rest.pop(0) * (view_range.offset[1] - view_range.offset[0])
    if view_range.gamma != (1.0, 1.0):
        gamma = view_range.gamma[0] * (view_range.gamma[1] / view_range.gamma[0]) ** rest.pop(0)
    if gain is not None:
        levels = 127.5 + gain * (levels - 127.5)
    if offset is not None:
        levels = levels + offset
    levels = np.minimum(np.maximum(levels, 0), 255)
    return levels if gamma is None else 255 * (levels / 255) ** gamma


def centre_of(image: npt.NDArray[np.uint8], size: int) -> Gray:
    """torchvision's antialiased resize of the short side to `size`, then its centre crop, float64 [size, size]."""
    pixels = torch.from_numpy(image.astype(np.float64))[None]
    resized = tv.resize(pixels, [size], antialias=True)
    return np.asarray(tv.center_crop(resized, [size, size])[0].numpy())


def warp(image: npt.NDArray[np.uint8], matrix: Gray, size: int) -> Gray:
    """The image under an affine map [2, 3] from image to view coordinates: exactly bilinear, zero outside."""
    inverse = np.linalg.inv(matrix[:, :2])
    y, x = np.mgrid[0:size, 0:size] + 0.5
    source = np.tensordot(inverse, np.stack([x, y]) - matrix[:, 2, None, None], axes=1)
    at = [source[1] - 0.5, source[0] - 0.5]  # scipy counts from the centre of the first pixel
    return np.asarray(ndimage.map_coordinates(image.astype(np.float64), at, order=1, mode="grid-constant", cval=0.0))


def _crop(pixels: torch.Tensor, size: int, left: float, top: float) -> Gray:
    """A size x size window at a fractional offset, bilinear."""
    height, width = pixels.shape[-2:]
    theta = torch.tensor(
        [
            [size / width, 0, (2 * left + size) / width - 1],
            [0, size / height, (2 * top + size) / height - 1],
        ],
        dtype=torch.float64,
    )
    grid = torch.nn.functional.affine_grid(theta[None], [1, 1, size, size], align_corners=False)
    return np.asarray(torch.nn.functional.grid_sample(pixels, grid, align_corners=False)[0, 0].numpy())
