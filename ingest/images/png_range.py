"""Decide what value of a 16-bit PNG is white: one range for the whole dataset, decided once, in the plan."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ingest.images.sample_check import sampled
from ingest.workers import cores
from shards.images.png_range import range_of
from shards.images.ranges import AUTO, PNG_BITS


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
    return range_of(paths, max_pixels, cores())
