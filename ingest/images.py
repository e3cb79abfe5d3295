"""Image files in, small gray JPEGs out: decode at a reduced scale, average down, encode; or pass through as they are.

Bytes and sizes only: knows nothing of paths, tables or shards.
"""

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from ingest.jpeg_structure import JpegStructure, JpegStructureError, exif_orientation, read_structure, without_metadata

JPEG_QUALITY = 95
MAX_PIXELS = 100_000_000
"""Five times the largest radiograph in the archives; beyond it an image is taken for a decompression bomb."""

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_EXACT = 1 << 24  # OpenCV counts in float32, ten times as fast as numpy
_DICOM = b"DICM"  # behind a preamble of 128 bytes
_PNG_END = b"IEND\xaeB`\x82"

Gray = npt.NDArray[np.uint8]
Decoded = npt.NDArray[np.integer | np.floating]
"""What OpenCV's stubs say of its arrays; here always uint8 or uint16."""


class UnusableImage(Exception):  # noqa: N818 - not an error of the program: a reason to reject one input
    """An image that cannot be ingested. The message is the reason, `<kind>: <detail>`."""


@dataclass(frozen=True)
class Ingested:
    """One image as a shard stores it.

    histogram: int64 [256], gray levels of the decoded JPEG. pixels: equal for equal decoded JPEGs, the first 32 hex
    digits of a SHA-256. passed_through: whether the JPEG's own data were kept.
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
    digest = hashlib.sha256(f"{height} {width} ".encode())
    digest.update(decoded)
    return Ingested(jpeg, height, width, _histogram(decoded), digest.hexdigest()[:32], passed_through)


def read_gray(content: bytes, short_side: int | None, max_pixels: int = MAX_PIXELS) -> Gray:
    """Decode an image, shrink it by area averaging until its short side is `short_side` pixels, turn it upright.

    Nothing is enlarged; short_side None keeps the size. Returns uint8 [H, W], contiguous. 16-bit PNGs are scaled so
    that 65535 becomes 255; of colours the luminance is taken, and transparency is ignored. Raises UnusableImage for
    anything that is not a whole image of a sensible size.
    """
    image, size, orientation = _decode(content, short_side, max_pixels)
    height, width = target_size(*size, short_side)
    if image.shape != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=255 / 65535)
    return np.ascontiguousarray(_upright(image, orientation), dtype=np.uint8)


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


def _histogram(image: Gray) -> npt.NDArray[np.int64]:
    """How often each gray level occurs, int64 [256]."""
    if image.size <= _EXACT:
        return cv2.calcHist([image], [0], None, [256], [0, 256]).reshape(-1).astype(np.int64)
    return np.bincount(image.reshape(-1), minlength=256)


def _passed_through(content: bytes, short_side: int | None, max_pixels: int) -> bytes | None:
    """A gray, upright JPEG that need not shrink, without its metadata; None for anything else.

    Only of the common processes: the shards are to be read by any decoder, a GPU's too.
    """
    if not content.startswith(_JPEG):
        return None
    found = _structure(content)
    _check_size(found.height, found.width, max_pixels)
    shrinks = target_size(found.height, found.width, short_side) != (found.height, found.width)
    if shrinks or found.components != 1 or not found.common or found.orientation != 1:
        return None
    try:
        return without_metadata(content)
    except JpegStructureError as error:
        raise UnusableImage(f"unreadable image: not a whole JPEG: {error}") from error


def _decode(content: bytes, short_side: int | None, max_pixels: int) -> tuple[Decoded, tuple[int, int], int]:
    """The image, perhaps at a reduced scale, its full size as it is stored, and its orientation."""
    if content.startswith(_JPEG):
        return _decode_jpeg(content, short_side, max_pixels)
    if content.startswith(_PNG):
        return _decode_png(content, max_pixels)
    if content[128:132] == _DICOM:
        return _decode_dicom(content, max_pixels)
    if not content:
        raise UnusableImage("unreadable image: the file is empty")
    raise UnusableImage(f"unreadable image: neither JPEG, PNG nor DICOM (it begins with {content[:4].hex(' ')})")


def _decode_jpeg(content: bytes, short_side: int | None, max_pixels: int) -> tuple[Gray, tuple[int, int], int]:
    """At the smallest of libjpeg's scales that keeps twice the short side."""
    found = _structure(content)
    _check_size(found.height, found.width, max_pixels)
    least = 0 if short_side is None else 2 * short_side
    if found.components == 4:
        return _decode_cmyk(content), (found.height, found.width), found.orientation
    try:
        image = simplejpeg.decode_jpeg(content, colorspace="GRAY", min_height=least, min_width=least)
    except ValueError as error:
        raise UnusableImage(f"unreadable image: {error}") from error
    return image[:, :, 0], (found.height, found.width), found.orientation


def _decode_cmyk(content: bytes) -> Gray:
    """Four inks: libjpeg knows no way to gray, Pillow does."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("L"))
    except (OSError, ValueError, SyntaxError) as error:
        raise UnusableImage(f"unreadable image: {error}") from error


def _structure(content: bytes) -> JpegStructure:
    try:
        return read_structure(content)
    except JpegStructureError as error:
        raise UnusableImage(f"unreadable image: not a whole JPEG: {error}") from error


def _decode_png(content: bytes, max_pixels: int) -> tuple[Decoded, tuple[int, int], int]:
    if len(content) < 33 or not content.rstrip(b"\0").endswith(_PNG_END):
        raise UnusableImage("unreadable image: the PNG is cut off")
    width, height = struct.unpack(">II", content[16:24])
    _check_size(height, width, max_pixels)
    buffer = np.frombuffer(content, dtype=np.uint8)
    try:
        image = cv2.imdecode(buffer, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise UnusableImage(f"unreadable image: {error.err}") from error
    if image is None or image.shape != (height, width) or image.dtype not in (np.uint8, np.uint16):
        raise UnusableImage("unreadable image: the PNG cannot be decoded")
    return image, (height, width), _png_orientation(content)


def _decode_dicom(content: bytes, max_pixels: int) -> tuple[Gray, tuple[int, int], int]:
    from ingest.dicom import UnreadableDicom, dicom_size, read_dicom  # few archives need pydicom

    try:
        size = dicom_size(content)
        _check_size(*size, max_pixels)
        image = read_dicom(content)
    except UnreadableDicom as error:
        raise UnusableImage(f"unreadable image: {error}") from error
    if image.shape != size:
        raise UnusableImage(f"unreadable image: its header says {size[1]} x {size[0]}, its pixels are {image.shape}")
    return image, size, 1


def _png_orientation(content: bytes) -> int:
    """That of the chunk eXIf, which lies before the image data or after it; 1 where there is none."""
    place = content.find(b"eXIf")
    while place >= 8:
        (length,) = struct.unpack_from(">I", content, place - 4)
        exif = content[place + 4 : place + 4 + length]
        checksum = content[place + 4 + length : place + 8 + length]
        if len(checksum) == 4 and zlib.crc32(b"eXIf" + exif).to_bytes(4, "big") == checksum:
            return exif_orientation(exif)
        place = content.find(b"eXIf", place + 4)  # the letters stood in the image data
    return 1


def _upright(image: Decoded, orientation: int) -> Decoded:
    """The image as it is to be seen, by Exif's orientation, 1..8."""
    if orientation in (5, 6, 7, 8):
        image = image.T
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def _check_size(height: int, width: int, max_pixels: int) -> None:
    if height < 1 or width < 1:
        raise UnusableImage(f"unreadable image: {width} x {height} pixels")
    if height * width > max_pixels:
        raise UnusableImage(f"image too large: {width} x {height} is more than {max_pixels:,} pixels")
