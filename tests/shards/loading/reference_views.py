"""Views made without DALI, in float, for the tests to compare with.

The plain chain (torchvision's resize, flip, rotate, crop, one after the other) and one exact bilinear warp.
"""

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
    angle = np.deg2rad((2 * draws[1] - 1) * view_range.degrees)
    mirror = -1.0 if view_range.flip and draws[0] < 0.5 else 1.0
    zoom, across, down = 1.0, 0.0, 0.0
    if view_range.draws > 4:
        low, high = view_range.scale
        zoom = low + draws[4] * (high - low)
        across, down = (2 * draws[5:7] - 1) * view_range.translate * size

    def move(x: float, y: float) -> Gray:
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])

    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    steps = [
        np.diag([scale, scale, 1]),
        move(-width / 2, -height / 2),
        np.diag([mirror, 1, 1]),
        turn,
        np.diag([zoom, zoom, 1]),
        move(width / 2, height / 2),
        move(across, down),
        move(-draws[2] * (width - size), -draws[3] * (height - size)),
    ]
    product = np.eye(3)
    for step in steps:
        product = step @ product
    return product[:2]


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
