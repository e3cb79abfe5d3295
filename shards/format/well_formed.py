"""Hold a dataset's tables to what a build writes, when it is opened: it may come from somebody else.

Names become paths, offsets and sizes are read from files, ids tell patients apart. What cannot be seen without reading
the shards (whether rows are those of the tars) is `shards.format.verify`'s.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from shards.errors import DatasetError
from shards.format.description import ShardSummary
from shards.format.identity import LONGEST_KEY, is_key
from shards.format.schema import COLUMNS, SPLITS

SHARD = re.compile(rf"({'|'.join(SPLITS)})-[0-9]{{6}}")
LARGEST_SIDE = 65535
"""Of a JPEG."""

_BLOCK = 512
_LARGEST_TAR = 1 << 50
_HEX = re.compile(r"[0-9a-f]{64}")
_ADVICE = "It is no dataset that build-shards wrote: copy it again, or ask its maker for another copy"


def check_names(path: Path, name: str, labels: Sequence[str], shards: Sequence[ShardSummary]) -> None:
    """Raise DatasetError for names, sizes and digests in dataset.json that a build would not write."""
    for wrong in _wrong_names(name, labels, shards):
        raise DatasetError(f"{path}: {wrong}. {_ADVICE}")


def check_rows(path: Path, rows: pd.DataFrame, labels: Sequence[str], shards: Sequence[ShardSummary]) -> None:
    """Raise DatasetError for rows of samples.parquet that contradict dataset.json, each other or the format."""
    for wrong in _wrong_rows(rows, labels, shards):
        raise DatasetError(f"{path}: {wrong}. {_ADVICE}")


def _wrong_names(name: str, labels: Sequence[str], shards: Sequence[ShardSummary]) -> Iterator[str]:
    if not is_key(name) or len(name) > LONGEST_KEY:
        yield f"its name is {name[:80]!r}, not one of letters, digits, '_' and '-'"
    twice = sorted({label for label in labels if list(labels).count(label) > 1 or label in COLUMNS})
    if twice:
        yield f"the label {twice[0]!r} is named twice, or is a column of its own"
    names = [shard.name for shard in shards]
    for shard in shards:
        match = SHARD.fullmatch(shard.name)
        if match is None:
            yield f"a shard is called {shard.name[:80]!r}, not such as train-000000"
        elif match[1] != shard.split:
            yield f"the shard {shard.name} is said to be of the split {shard.split[:80]!r}"
        elif names.count(shard.name) > 1:
            yield f"the shard {shard.name} is listed twice"
        elif not (0 < shard.bytes < _LARGEST_TAR and 0 < shard.samples <= shard.bytes // _BLOCK):
            yield f"the shard {shard.name} is said to have {shard.samples:,} samples in {shard.bytes:,} bytes"
        elif not (_HEX.fullmatch(shard.sha256) and _HEX.fullmatch(shard.idx_sha256)):
            yield f"the shard {shard.name} has no SHA-256 of tar and index"


def _wrong_rows(rows: pd.DataFrame, labels: Sequence[str], shards: Sequence[ShardSummary]) -> Iterator[str]:
    keys = rows["key"].astype(object)
    odd = ~(keys.str.fullmatch(r"[A-Za-z0-9_-]+").astype(bool) & (keys.str.len() <= LONGEST_KEY))
    if odd.any():
        yield f"row {_first(odd)} has the key {str(keys[odd].iloc[0])[:80]!r}, which no sample can have"
    for column in ("key", "sample_id"):
        again = rows[column].duplicated()
        if again.any():
            yield f"row {_first(again)} has the {column} {rows[column][again].iloc[0]} of an earlier row"
    ids = rows["sample_id"] < 0
    if ids.any():
        yield f"row {_first(ids)} has the sample_id {rows['sample_id'][ids].iloc[0]}, below 0"
    for column in ("width", "height"):
        wrong = ~rows[column].between(1, LARGEST_SIDE)
        if wrong.any():
            yield f"row {_first(wrong)} has the {column} {rows[column][wrong].iloc[0]}"
    for label in labels:
        wrong = rows[label].notna() & ~rows[label].isin((1, 0, -1))
        if wrong.any():
            yield f"row {_first(wrong)} has {rows[label][wrong].iloc[0]} for {label!r}, not 1, 0, -1 or null"
    yield from _wrong_places(rows, shards)


def _wrong_places(rows: pd.DataFrame, shards: Sequence[ShardSummary]) -> Iterator[str]:
    """Rows that do not fill the shards: each sample after the one before, inside of its tar."""
    known = {shard.name: shard for shard in shards}
    strange = ~rows["shard"].isin(known)
    if strange.any():
        yield f"row {_first(strange)} is in the shard {str(rows['shard'][strange].iloc[0])[:80]!r}, which is not listed"
        return
    wrong = rows["split"] != rows["shard"].str.rpartition("-")[0]
    if wrong.any():
        yield f"row {_first(wrong)} is of the split {str(rows['split'][wrong].iloc[0])[:80]!r}, its shard of another"
    counts = rows["shard"].value_counts()
    for shard in shards:
        if int(counts.get(shard.name, 0)) != shard.samples:
            yield f"{counts.get(shard.name, 0)} rows are in {shard.name}, which has {shard.samples} samples"
    place = rows.groupby("shard", sort=False).cumcount()
    wrong = rows["position"] != place
    if wrong.any():
        found, wanted = rows["position"][wrong].iloc[0], place[wrong].iloc[0]
        yield f"row {_first(wrong)} has the position {found}, where {wanted} is next"
    size = rows["shard"].map({name: shard.bytes for name, shard in known.items()}).to_numpy(np.int64)
    offset, length = rows["offset"].to_numpy(np.int64), rows["bytes"].to_numpy(np.int64)
    # Compared without a sum that could overflow.
    outside = (length < 1) | (offset < _BLOCK) | (offset % _BLOCK != 0) | (length > size) | (offset > size - length)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        yield f"row {first} lies at byte {offset[first]}, {length[first]} long, not in a tar of {size[first]:,} bytes"
        return
    same = rows["shard"].to_numpy(object)[1:] == rows["shard"].to_numpy(object)[:-1]
    overlap = same & (offset[1:] < offset[:-1] + length[:-1])
    if overlap.any():
        yield f"row {int(np.flatnonzero(overlap)[0]) + 1} begins inside of the sample before it"


def _first(mask: "pd.Series[bool]") -> int:
    return int(np.flatnonzero(mask.to_numpy())[0])
