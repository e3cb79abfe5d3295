"""Image files in, small gray JPEGs out: average down and encode, or pass through as they are.

Bytes and sizes only: knows nothing of paths, tables or shards.
"""

import hashlib
from dataclasses import dataclass

import cv2
import google_crc32c
import numpy as np
import numpy.typing as npt
import simplejpeg

from ingest.decoding import ENOUGH, JPEG, Pixels, decode, jpeg_structure
from ingest.jpeg_structure import JpegStructureError, without_metadata
from ingest.unusable import UnusableImage

__all__ = [
    "JPEG_QUALITY",
    "MAX_PIXELS",
    "Gray",
    "Ingested",
    "UnusableImage",
    "encode_gray",
    "ingest_image",
    "read_gray",
    "target_size",
]

JPEG_QUALITY = 95
MAX_PIXELS = 100_000_000
"""Five times the largest radiograph in the archives; beyond it an image is taken for a decompression bomb."""

_EXACT = 1 << 24  # OpenCV counts in float32, ten times as fast as numpy

Gray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Ingested:
    """One image as a shard stores it.

    histogram: int64 [256], gray levels of the decoded JPEG. pixels: 32 hex digits, equal for equal decoded JPEGs, and
    different for others but by a chance that no archive meets. passed_through: whether the JPEG's own data were kept.
    """

    jpeg: bytes
    height: int
    width: int
    histogram: npt.NDArray[np.int64]
    pixels: str
    passed_through: bool


def ingest_image(content: bytes, short_side: int | None, max_pixels: int) -> Ingested:
    """A file's bytes as a small gray JPEG with its statistics.

    A gray JPEG that is small enough already keeps its data and loses its metadata; anything else is decoded, shrunk
    and encoded. Either way the result is decoded once, whole: that is its check and its statistics. Raises
    UnusableImage.
    """
    jpeg = _passed_through(content, short_side, max_pixels)
    passed_through = jpeg is not None
    if jpeg is None:
        jpeg = encode_gray(read_gray(content, short_side, max_pixels))
    try:
        decoded = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")
    except ValueError as error:
        raise UnusableImage(f"unreadable image: {error}") from error
    height, width = decoded.shape[:2]
    histogram = _histogram(decoded)
    return Ingested(jpeg, height, width, histogram, _digest(decoded, histogram), passed_through)


def read_gray(content: bytes, short_side: int | None, max_pixels: int = MAX_PIXELS) -> Gray:
    """Decode an image, shrink it by area averaging until its short side is `short_side` pixels, turn it upright.

    Nothing is enlarged; short_side None keeps the size. Returns uint8 [H, W], contiguous. 16-bit PNGs are scaled so
    that 65535 becomes 255; of colours the luminance is taken, and transparency is ignored. Raises UnusableImage for
    anything that is not a whole image of a sensible size.
    """
    decoded = decode(content, short_side, max_pixels)
    image = _shrink(decoded.pixels, *target_size(decoded.height, decoded.width, short_side))
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=255 / 65535)
    return np.ascontiguousarray(_upright(image, decoded.orientation), dtype=np.uint8)


def encode_gray(image: Gray) -> bytes:
    """JPEG of a uint8 [H, W] image: gray, quality 95, no metadata."""
    jpeg: bytes = simplejpeg.encode_jpeg(
        image[:, :, None], quality=JPEG_QUALITY, colorspace="GRAY", colorsubsampling="Gray"
    )
    return jpeg


def target_size(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    """Height and width after shrinking to a short side, aspect ratio kept to the nearest pixel."""
    short = min(height, width)
    if short_side is None or short <= short_side:
        return height, width
    return round(height * short_side / short), round(width * short_side / short)


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


def _histogram(image: Gray) -> npt.NDArray[np.int64]:
    """How often each gray level occurs, int64 [256]."""
    if image.size <= _EXACT:
        return cv2.calcHist([image], [0], None, [256], [0, 256]).reshape(-1).astype(np.int64)
    return np.bincount(image.reshape(-1), minlength=256)


def _digest(image: Gray, histogram: npt.NDArray[np.int64]) -> str:
    """32 hex digits of shape, gray levels and their places: a SHA-256 of all pixels would take ten times as long.

    Radiographs of one histogram are rare enough; crc32c tells those that are mirrored, turned or otherwise rearranged.
    """
    places = google_crc32c.value(image.reshape(-1))
    told = f"{image.shape[:2]} {places} ".encode() + histogram.astype("<i8").tobytes()
    return hashlib.sha256(told).hexdigest()[:32]


def _passed_through(content: bytes, short_side: int | None, max_pixels: int) -> bytes | None:
    """A gray, upright JPEG that need not shrink, without its metadata; None for anything else.

    Only of the common processes: the shards are to be read by any decoder, a GPU's too.
    """
    if not content.startswith(JPEG):
        return None
    found = jpeg_structure(content, max_pixels)
    shrinks = target_size(found.height, found.width, short_side) != (found.height, found.width)
    if shrinks or found.components != 1 or not found.common or found.orientation != 1:
        return None
    try:
        return without_metadata(content)
    except JpegStructureError as error:
        raise UnusableImage(f"unreadable image: not a whole JPEG: {error}") from error


def _upright(image: Pixels, orientation: int) -> Pixels:
    """The image as it is to be seen, by Exif's orientation, 1..8."""
    if orientation in (5, 6, 7, 8):
        image = image.T
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image
