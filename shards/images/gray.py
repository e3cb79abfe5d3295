"""Decode an image file to a small gray image: shrunk by area averaging, upright."""

import cv2
import numpy as np
import numpy.typing as npt

from shards.images.decode import ENOUGH, Pixels, decode
from shards.images.unusable_image import MAX_PIXELS, Fault, UnusableImage

WHITE = 65535
"""The value of a 16-bit PNG that is white unless another one is given."""

_TAIL = 0.01  # per cent of the pixels that the range of a file leaves out at each end

Gray = npt.NDArray[np.uint8]


def read_gray(content: bytes, short_side: int | None, max_pixels: int = MAX_PIXELS, white: int | None = WHITE) -> Gray:
    """Decode an image, shrink it by area averaging until its short side is `short_side` pixels, turn it upright.

    Nothing is enlarged; short_side None keeps the size. Returns uint8 [H, W], contiguous. white: the value of a 16-bit
    PNG that becomes 255; None takes the range of the file's own pixels. Of colours the luminance is taken, and
    transparency is ignored. Raises UnusableImage for anything that is not a whole image of a sensible size, and for a
    16-bit PNG with values above `white`.
    """
    decoded = decode(content, short_side, max_pixels)
    pixels = decoded.pixels
    image = _shrink(pixels, *target_size(decoded.height, decoded.width, short_side))
    if image.dtype == np.uint16:
        if white is not None and white < WHITE and (most := int(pixels.max())) > white:
            raise UnusableImage(
                Fault.BEYOND_RANGE, f"its largest value is {most}, and white is {white}: see --png-range"
            )
        image = _own_range(image, pixels) if white is None else cv2.convertScaleAbs(image, alpha=255 / white)
    return np.ascontiguousarray(_upright(image, decoded.orientation), dtype=np.uint8)


def target_size(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    """Height and width after shrinking to a short side, aspect ratio kept to the nearest pixel."""
    short = min(height, width)
    if short_side is None or short <= short_side:
        return height, width
    return round(height * short_side / short), round(width * short_side / short)


def _own_range(image: Pixels, pixels: Pixels) -> Pixels:
    """The image, uint8, over the range of the file's own pixels, _TAIL left out at each end."""
    least, most = np.percentile(pixels, [_TAIL, 100 - _TAIL], method="inverted_cdf").astype(np.float64)
    if most <= least:
        least, most = float(pixels.min()), float(pixels.max())
    scale = 255 / (most - least) if most > least else 0.0
    shown: Pixels = np.clip(np.round((image.astype(np.float64) - least) * scale), 0, 255).astype(np.uint8)
    return shown


def _shrink(image: Pixels, height: int, width: int) -> Pixels:
    """Average over areas; where that is far, two by two pixels first, for which alone OpenCV has SIMD code.

    Once only: each time may cost a last odd row, which moves what is below it.
    """
    rows, columns = image.shape[0] // 2, image.shape[1] // 2
    if min(rows / height, columns / width) >= 2 * ENOUGH:
        image = cv2.resize(image[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA)
    if image.shape != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return image


def _upright(image: Pixels, orientation: int) -> Pixels:
    """The image as it is to be seen, by Exif's orientation, 1..8."""
    if orientation in (5, 6, 7, 8):
        image = image.T
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image
