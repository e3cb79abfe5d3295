"""Convert an image file to the small gray JPEG of a shard: shrink and encode it, or pass its data through."""

import hashlib
from dataclasses import dataclass

import cv2
import google_crc32c
import numpy as np
import numpy.typing as npt
import simplejpeg

from shards.images.decode import JPEG, jpeg_structure
from shards.images.gray import WHITE, Gray, read_gray, target_size
from shards.images.jpeg_markers import JpegStructureError, without_metadata
from shards.images.unusable_image import Fault, UnusableImage

JPEG_QUALITY = 95

_NOT_FEW = 64  # twice what a build warns of
_EXACT = 1 << 24  # OpenCV counts in float32, ten times as fast as numpy


@dataclass(frozen=True)
class Ingested:
    """One image as a shard stores it.

    histogram: int64 [256], gray levels of the decoded JPEG. levels: how many it uses; where they are few, those that
    the encoder's rounding adds are left out. pixels: 32 hex digits, equal for equal decoded JPEGs, and
    different for others but by a chance that no archive meets. passed_through: whether the JPEG's own data were kept.
    """

    jpeg: bytes
    height: int
    width: int
    histogram: npt.NDArray[np.int64]
    levels: int
    pixels: str
    passed_through: bool


def ingest_image(content: bytes, short_side: int | None, max_pixels: int, white: int | None = WHITE) -> Ingested:
    """A file's bytes as a small gray JPEG with its statistics.

    A gray JPEG that is small enough already keeps its data and loses its metadata; anything else is decoded, shrunk
    and encoded. white: of 16-bit PNGs, see read_gray. Either way the result is decoded once, whole: that is its check
    and its statistics. Raises UnusableImage.
    """
    jpeg = _passed_through(content, short_side, max_pixels)
    passed_through = jpeg is not None
    levels = 256
    if jpeg is None:
        image = read_gray(content, short_side, max_pixels, white)
        levels, jpeg = _few_levels(image), encode_gray(image)
    try:
        decoded = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")
    except ValueError as error:
        raise UnusableImage(Fault.UNREADABLE, f"{error}") from error
    height, width = decoded.shape[:2]
    histogram = _histogram(decoded)
    levels = min(levels, int(np.count_nonzero(histogram)))
    return Ingested(jpeg, height, width, histogram, levels, _digest(decoded, histogram), passed_through)


def encode_gray(image: Gray) -> bytes:
    """JPEG of a uint8 [H, W] image: gray, quality 95, no metadata."""
    jpeg: bytes = simplejpeg.encode_jpeg(
        image[:, :, None], quality=JPEG_QUALITY, colorspace="GRAY", colorsubsampling="Gray"
    )
    return jpeg


def _histogram(image: Gray) -> npt.NDArray[np.int64]:
    """How often each gray level occurs, int64 [256]."""
    if image.size <= _EXACT:
        return cv2.calcHist([image], [0], None, [256], [0, 256]).reshape(-1).astype(np.int64)
    return np.bincount(image.reshape(-1), minlength=256)


def _few_levels(image: Gray) -> int:
    """How many gray levels the image uses; 256 where every eighth row shows that they are not few, which is faster."""
    if np.count_nonzero(_histogram(image[::8])) >= _NOT_FEW:
        return 256
    return int(np.count_nonzero(_histogram(image)))


def _digest(image: Gray, histogram: npt.NDArray[np.int64]) -> str:
    """32 hex digits of shape, gray levels and their places: a SHA-256 of all pixels would take ten times as long.

    Few radiographs have equal histograms; crc32c tells apart those that are mirrored, turned or rearranged.
    """
    places = google_crc32c.value(image.reshape(-1))
    content = f"{image.shape[:2]} {places} ".encode() + histogram.astype("<i8").tobytes()
    return hashlib.sha256(content).hexdigest()[:32]


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
        raise UnusableImage(Fault.UNREADABLE, f"not a whole JPEG: {error}") from error
