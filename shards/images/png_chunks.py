"""Read the chunks of a PNG, each checked against its checksum, without decoding it.

Chunks as in the PNG specification (third edition), 5.3; bytes behind IEND are ignored.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from shards.images.jpeg_markers import exif_orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = 13  # bytes of IHDR


class PngStructureError(ValueError):
    """The chunks are not those of a whole PNG file."""


@dataclass(frozen=True)
class PngStructure:
    """orientation: that of the chunk eXIf, 1..8; 1 where nothing is said."""

    height: int
    width: int
    orientation: int


def read_png_structure(content: bytes) -> PngStructure:
    """Size and orientation. Raises PngStructureError for a chunk that is damaged, out of place or missing.

    A chunk that a decoder may skip, by the case of its name, may also be damaged; eXIf then says nothing.
    """
    size: tuple[int, int] | None = None
    orientation, image_data = 1, False
    for kind, begin, end, intact in _chunks(content):
        needed = not kind[0] & 0x20
        if needed and not intact:
            raise PngStructureError(f"its chunk {_name(kind)} at byte {begin - 8:,} is damaged (CRC)")
        if (kind == b"IHDR") != (size is None):
            raise PngStructureError("it does not begin with one header")
        if size is None:
            if end - begin != _HEADER:
                raise PngStructureError("its header has another length")
            width, height = struct.unpack_from(">II", content, begin)
            size = height, width
        elif kind == b"eXIf" and intact:
            orientation = exif_orientation(content[begin:end])
        elif kind == b"IDAT":
            image_data = True
    if size is None or not image_data:
        raise PngStructureError("it has no image data")
    return PngStructure(*size, orientation)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int, bool]]:
    """Name, begin and end of the data, and whether the checksum agrees, of each chunk before IEND."""
    view = memoryview(content)
    place = len(SIGNATURE)
    while True:
        if place + 12 > len(content):
            raise PngStructureError("it is cut off")
        length, kind = struct.unpack_from(">I4s", content, place)
        begin, end = place + 8, place + 8 + length
        if end + 4 > len(content):
            raise PngStructureError("it is cut off, or the length of a chunk is damaged")
        if kind == b"IEND":
            return
        (checksum,) = struct.unpack_from(">I", content, end)
        yield kind, begin, end, zlib.crc32(view[place + 4 : end]) == checksum
        place = end + 4


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")
