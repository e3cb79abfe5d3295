"""Find out which bits 16-bit PNGs use: the largest value of a file, and the fewest bits that hold a value.

Files of 10, 12 or 14 bits are stored in 16; scaled as 16 bits, 12-bit pixels would keep 16 of 256 gray levels. A range
for each file would make brightness depend on what the file shows, so one range is decided for all, on a sample.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shards.images.decode import decode
from shards.images.png_chunks import SIGNATURE
from shards.images.ranges import FILE, PNG_BITS
from shards.images.unusable_image import UnusableImage, most_bytes
from shards.input_files import open_watched

SAMPLED = 200

_DEPTH = 24  # place of IHDR's bit depth


def spread(count: int) -> npt.NDArray[np.int64]:
    """At most 200 places of `count`, evenly spread, int64."""
    return np.unique(np.linspace(0, count - 1, SAMPLED).astype(np.int64))


def range_of(paths: Sequence[Path], max_pixels: int, threads: int) -> str | None:
    """The fewest bits, one of PNG_BITS, that hold all 16-bit PNGs among these files; None where there is none."""
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda path: _most(path, max_pixels), paths))
    most = [value for value in found if value is not None]
    return str(fewest_bits(max(most))) if most else None


def fewest_bits(most: int) -> int:
    """The fewest of PNG_BITS that hold a value."""
    return next(bits for bits in PNG_BITS if most < 1 << bits)


def white_of(png_range: str | None) -> int | None:
    """The value that becomes 255; None for the range of each file."""
    if png_range == FILE:
        return None
    return (1 << int(png_range or 16)) - 1


def _most(path: Path, max_pixels: int) -> int | None:
    """The largest value of a 16-bit PNG; None for any other file, and for one that will be rejected."""
    try:
        if not path.is_file() or path.stat().st_size > most_bytes(max_pixels):
            return None
        with open_watched(path) as file:
            head = file.read(_DEPTH + 1)
            if not head.startswith(SIGNATURE) or head[_DEPTH:] != b"\x10":
                return None
            content = head + file.read()
        return int(decode(content, None, max_pixels).pixels.max())
    except (OSError, ValueError, UnusableImage):
        return None
