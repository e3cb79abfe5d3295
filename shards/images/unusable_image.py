"""Refuse unusable images: the exception with kind and detail, and the limits of size."""

from enum import StrEnum

MAX_PIXELS = 100_000_000
"""Five times the largest radiograph in the archives; beyond it an image is taken for a decompression bomb."""

_BYTES_A_PIXEL = 8
_HEADER_BYTES = 1 << 24


class Fault(StrEnum):
    """Kinds of faults of an image's file."""

    UNREADABLE = "unreadable image"
    TOO_LARGE = "image too large"
    MISSING_FILE = "missing file"
    OUTSIDE = "path leaves the source"
    BEYOND_RANGE = "beyond the range"


class UnusableImage(Exception):  # noqa: N818 - not an error of the program: a reason to reject one input
    """An image that cannot be used: its kind and a detail, all of it printable. The message is `<kind>: <detail>`."""

    def __init__(self, kind: Fault, detail: str) -> None:
        self.kind = kind
        self.detail = detail if detail.isprintable() else detail.encode("unicode_escape").decode("ascii")
        super().__init__(f"{kind}: {self.detail}")


def most_bytes(max_pixels: int) -> int:
    """How long a file may be: `max_pixels` of four 16-bit channels without any compression, and a long header."""
    return max_pixels * _BYTES_A_PIXEL + _HEADER_BYTES


def check_size(height: int, width: int, max_pixels: int) -> None:
    """Raise UnusableImage for a picture without a pixel, or with more than `max_pixels`."""
    if height < 1 or width < 1:
        raise UnusableImage(Fault.UNREADABLE, f"{width} x {height} pixels")
    if height * width > max_pixels:
        raise UnusableImage(Fault.TOO_LARGE, f"{width} x {height} is more than {max_pixels:,} pixels")
