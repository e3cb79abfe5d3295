"""Decode image files of every format that the archives hold to gray pixels; choose the library for each format."""

import io
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from shards.images.dicom_process import read_dicom_apart
from shards.images.jpeg_markers import JpegStructure, JpegStructureError, check_scans, read_structure
from shards.images.native_stderr import quiet_libraries
from shards.images.png_chunks import SIGNATURE, PngStructureError, read_png_structure
from shards.images.unusable_image import Fault, UnusableImage, check_size

ENOUGH = 1.8
"""So many times the wanted size keep the result within a gray level of a full decode: see docs/ingest-speed.md."""

JPEG = b"\xff\xd8\xff"
_DICOM = b"DICM"  # behind a preamble of 128 bytes
_EIGHTHS = (1, 2, 4)  # the scales for which libjpeg-turbo has SIMD code; 3 costs more than 4

Pixels = npt.NDArray[np.integer | np.floating]
"""What OpenCV's stubs say of its arrays; here always uint8 or uint16."""


@dataclass(frozen=True)
class Decoded:
    """pixels: uint8 or uint16 [H, W], perhaps at a reduced scale, as they are stored.

    height, width: the full size. orientation: Exif's, 1..8, of the stored pixels.
    """

    pixels: Pixels
    height: int
    width: int
    orientation: int


def decode(content: bytes, short_side: int | None, max_pixels: int) -> Decoded:
    """Decode a file by what it begins with, never by its name.

    A JPEG is decoded at the smallest scale that is ENOUGH for an image of that short side; None for its full size. Of
    colours the luminance is taken, and transparency is ignored. Raises UnusableImage for anything that is not a whole
    image of at most `max_pixels` pixels, which is judged by its header.
    """
    if content.startswith(JPEG):
        return _decode_jpeg(content, short_side, max_pixels)
    if content.startswith(SIGNATURE):
        return _decode_png(content, max_pixels)
    if content[128:132] == _DICOM:
        return _decode_dicom(content, max_pixels)
    if not content:
        raise UnusableImage(Fault.UNREADABLE, "the file is empty")
    raise UnusableImage(Fault.UNREADABLE, f"neither JPEG, PNG nor DICOM (it begins with {content[:4].hex(' ')})")


def jpeg_structure(content: bytes, max_pixels: int) -> JpegStructure:
    """What the markers of a JPEG of a sensible size say. Raises UnusableImage."""
    try:
        found = read_structure(content)
    except JpegStructureError as error:
        raise UnusableImage(Fault.UNREADABLE, f"not a whole JPEG: {error}") from error
    check_size(found.height, found.width, max_pixels)
    return found


def _decode_jpeg(content: bytes, short_side: int | None, max_pixels: int) -> Decoded:
    found = jpeg_structure(content, max_pixels)
    try:
        if not found.one_scan:
            check_scans(content)
    except JpegStructureError as error:
        raise UnusableImage(Fault.UNREADABLE, f"not a whole JPEG: {error}") from error
    height, width = found.height, found.width
    if found.components == 4:
        return Decoded(_decode_cmyk(content), height, width, found.orientation)
    least = (0, 0)
    if short_side is not None:
        wanted = ENOUGH * short_side
        eighths = next((scale for scale in _EIGHTHS if min(height, width) * scale >= 8 * wanted), 8)
        least = (-(-height * eighths // 8), -(-width * eighths // 8))
    try:
        image = simplejpeg.decode_jpeg(content, colorspace="GRAY", min_height=least[0], min_width=least[1])
    except ValueError as error:
        raise UnusableImage(Fault.UNREADABLE, f"{error}") from error
    return Decoded(image[:, :, 0], height, width, found.orientation)


def _decode_cmyk(content: bytes) -> npt.NDArray[np.uint8]:
    """Four inks: libjpeg knows no way to gray, Pillow does."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("L"))
    except (OSError, ValueError, SyntaxError) as error:
        raise UnusableImage(Fault.UNREADABLE, f"{error}") from error


def _decode_png(content: bytes, max_pixels: int) -> Decoded:
    try:
        found = read_png_structure(content)
    except PngStructureError as error:
        raise UnusableImage(Fault.UNREADABLE, f"not a whole PNG: {error}") from error
    check_size(found.height, found.width, max_pixels)
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        with quiet_libraries():
            image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags)
    except cv2.error as error:
        raise UnusableImage(Fault.UNREADABLE, f"{error.err}") from error
    if image is None or image.shape != (found.height, found.width) or image.dtype not in (np.uint8, np.uint16):
        raise UnusableImage(Fault.UNREADABLE, "the PNG cannot be decoded")
    return Decoded(image, found.height, found.width, found.orientation)


def _decode_dicom(content: bytes, max_pixels: int) -> Decoded:
    image = read_dicom_apart(content, max_pixels)
    height, width = image.shape
    return Decoded(image, height, width, 1)
