"""What value of a 16-bit PNG is white: one range for the whole dataset, decided once, in the plan.

Files of 10, 12 or 14 bits are stored in 16; scaled as 16 bits, 12-bit pixels would keep 16 of 256 gray levels. A range
for each file would make brightness depend on what the file shows, so the range is that of a sample of the files.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from ingest.images.ranges import AUTO, FILE, PNG_BITS
from ingest.images.sample_check import sampled
from ingest.workers import cores
from shards.images.decode import decode
from shards.images.png_chunks import SIGNATURE
from shards.images.unusable_image import UnusableImage, most_bytes

_DEPTH = 24  # place of IHDR's bit depth


def decide(
    samples: pd.DataFrame, roots: Mapping[str, Path], asked: str | None, known: str, max_pixels: int
) -> str | None:
    """The range of this dataset, one of PNG_RANGES but auto: dataset.json names it.

    None stands for 16 bits, which dataset.json does not name: where the sample has no 16-bit PNG, and where the reader
    knows its archive to use them all. asked: None takes what is `known`. samples: rows of the plan, of which 200 are
    looked at, spread evenly.
    """
    wanted = asked or known
    if wanted != AUTO:
        return None if asked is None and wanted == str(PNG_BITS[-1]) else wanted
    order = samples.sort_values(["root", "file"], ignore_index=True)
    rows = sampled(order)
    paths = [roots[root] / file for root, file in zip(rows["root"], rows["file"], strict=True)]
    with ThreadPoolExecutor(cores()) as pool:
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
    """The largest value of a 16-bit PNG; None for any other file, and for one that the build will reject."""
    try:
        if not path.is_file() or path.stat().st_size > most_bytes(max_pixels):
            return None
        with path.open("rb") as file:
            head = file.read(_DEPTH + 1)
            if not head.startswith(SIGNATURE) or head[_DEPTH:] != b"\x10":
                return None
            content = head + file.read()
        return int(decode(content, None, max_pixels).pixels.max())
    except (OSError, ValueError, UnusableImage):
        return None
