"""Checks that a dataset's bytes are those that were written, and names the shard and the key where they are not.

A shard whose SHA-256 is right needs no more. In one whose SHA-256 is wrong each sample is rebuilt from its row and
its JPEG and compared, so that damage in an image, its metadata or a tar header is pinned to one key.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np
import pandas as pd
import simplejpeg

from shards.format.dataset import DESCRIPTION, SAMPLES, Dataset, open_dataset
from shards.format.description import ShardSummary
from shards.format.identity import sample_id
from shards.format.sample import BLOCK, pack_sample, row_json
from shards.format.schema import Row, records, text, whole
from shards.input_files import open_watched

_CHUNK = 1 << 22
_LONGEST_JSON = 1 << 20
_SIZE = slice(124, 135)  # of a USTAR header


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. kind: missing, size, bytes, index, jpeg, row or decode; key: None for a whole shard."""

    kind: str
    shard: str
    key: str | None
    message: str

    @property
    def unreadable(self) -> str | None:
        """The key of a sample that must not be trained on; None for damage that reading samples does not meet."""
        return self.key if self.kind in ("jpeg", "decode") else None


def verify(
    root: Path,
    *,
    decode: bool = False,
    quick: bool = False,
    threads: int = 2,
    on_shard: Callable[[ShardSummary], None] | None = None,
) -> list[Finding]:
    """Read every byte of a dataset and compare it with dataset.json and samples.parquet.

    decode: also decode each JPEG. quick: do not compare the rows of undamaged shards with the JSON members of their
    tars, which agree unless somebody has written both tables anew. on_shard is called after each shard (for progress).
    Returns the findings in storage order; an empty list means that all is well. Raises DatasetError where dataset.json
    or samples.parquet themselves cannot be read.
    """
    dataset = open_dataset(root, check_shards=False)
    rows_by_shard = dict(list(dataset.samples.groupby("shard", sort=False)))
    findings: list[Finding] = []
    pool = ThreadPoolExecutor(threads)
    try:
        work = pool.map(lambda s: list(verify_shard(dataset, s, rows_by_shard[s.name], decode, quick)), dataset.shards)
        for shard, found in zip(dataset.shards, work, strict=True):
            findings += found
            if on_shard is not None:
                on_shard(shard)
    except BaseException:  # of a Ctrl-C too: shards that wait are not begun, and nobody waits for the others
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return findings


def verify_shard(
    dataset: Dataset, shard: ShardSummary, rows: pd.DataFrame, decode: bool, quick: bool = False
) -> Iterator[Finding]:
    """The findings of one shard. rows: its rows of samples.parquet, in order of position."""
    yield from _verify_index(dataset, shard)
    path = dataset.shard_path(shard.name)
    if not path.is_file():
        yield Finding("missing", shard.name, None, f"{path} is missing: copy it again, or build the dataset again")
        return
    size = path.stat().st_size
    if size != shard.bytes:
        cut = f"{path} has {size:,} bytes, {DESCRIPTION} says {shard.bytes:,}: copy it again"
        yield Finding("size", shard.name, _first_cut_key(rows, size, dataset.label_names), cut)
        return
    damaged = set()
    if _sha256(path) != shard.sha256:
        for finding in _locate_damage(path, shard, rows, dataset.label_names):
            damaged.add(finding.key)
            yield finding
    elif not quick:
        yield from _compare_rows(path, shard, rows, dataset)
    if decode:
        yield from _decode_all(path, shard, rows[~rows["key"].isin(damaged)])


def _verify_index(dataset: Dataset, shard: ShardSummary) -> Iterator[Finding]:
    path = dataset.shard_path(shard.name).with_suffix(".idx")
    if not path.is_file():
        yield Finding("index", shard.name, None, f"{path} is missing: copy it again, or make it with `wds2idx`")
    elif _sha256(path) != shard.idx_sha256:
        yield Finding("index", shard.name, None, f"{path} is not the index that was written: copy it again")


def _locate_damage(
    path: Path, shard: ShardSummary, rows: pd.DataFrame, label_names: tuple[str, ...]
) -> Iterator[Finding]:
    located = False
    with open_watched(path) as file:
        end = 0
        for row in records(rows):
            key, offset = text(row, "key"), whole(row, "offset")
            file.seek(offset)
            jpeg = file.read(whole(row, "bytes"))
            start = offset - BLOCK
            # What is excluded may have become so after its shard was written (duplicates are found at the end).
            packed = [pack_sample(one, jpeg, label_names, start) for one in (row, row | {"excluded": None})]
            file.seek(start)
            there = file.read(max(len(one.content) for one in packed))
            matching = [one for one in packed if there.startswith(one.content)]
            end = start + len((matching or packed)[0].content)
            if google_crc32c.value(jpeg) != row["crc32c"]:
                located = True
                yield Finding("jpeg", shard.name, key, f"{path}: the image of {key} is not what was written (crc32c)")
            elif not matching:
                located = True
                yield Finding("bytes", shard.name, key, f"{path}: the metadata of {key} is not what was written")
        file.seek(end)
        if any(file.read()):
            located = True
            yield Finding("bytes", shard.name, None, f"{path}: something stands after the last sample")
    if not located:
        message = f"{path}: SHA-256 differs from {DESCRIPTION}, though each sample agrees with {SAMPLES}"
        yield Finding("bytes", shard.name, None, message)


def _compare_rows(path: Path, shard: ShardSummary, rows: pd.DataFrame, dataset: Dataset) -> Iterator[Finding]:
    """Compare each row with the JSON member of its sample, and its sample_id with its name."""
    with open_watched(path) as file:
        for row in records(rows):
            key, labels = text(row, "key"), dataset.label_names
            if row["sample_id"] != sample_id(dataset.name, key):
                yield Finding("row", shard.name, key, f"{path}: the sample_id of {key} is not that of its name")
            header = whole(row, "offset") + -(-whole(row, "bytes") // BLOCK) * BLOCK
            # What is excluded may have become so after its shard was written (duplicates are found at the end).
            wanted = [row_json(one, labels) for one in (row, row | {"excluded": None})]
            file.seek(header)
            there = file.read(BLOCK + max(map(len, wanted)))
            named, size, content = there.startswith(f"{key}.json\0".encode()), there[_SIZE], there[BLOCK:]
            if named and any(content.startswith(one) and size == b"%011o" % len(one) for one in wanted):
                continue
            yield Finding("row", shard.name, key, f"{path}: {key}: {_disagreement(row, file, header)}")


def _disagreement(row: Row, file: BinaryIO, header: int) -> str:
    """In which columns a row differs from the JSON member that should follow its image."""
    file.seek(header + BLOCK)
    try:
        there, _ = json.JSONDecoder().raw_decode(file.read(_LONGEST_JSON).decode(errors="replace"))
        differing = [name for name, value in row.items() if name not in there or not _same(there[name], value)]
    except (ValueError, TypeError, RecursionError):
        return "no JSON member of it follows its image in the tar"
    return f"{SAMPLES} and the JSON member in the tar differ in {', '.join(differing[:3]) or 'their spelling'}"


def _same(there: object, value: object) -> bool:
    if isinstance(there, int | float) and isinstance(value, float):
        return bool(np.float32(there) == np.float32(value))
    return there == value


def _decode_all(path: Path, shard: ShardSummary, rows: pd.DataFrame) -> Iterator[Finding]:
    columns = [rows[name].tolist() for name in ("key", "offset", "bytes", "height", "width")]
    with open_watched(path) as file:
        for key, offset, length, height, width in zip(*columns, strict=True):
            file.seek(offset)
            try:
                image = simplejpeg.decode_jpeg(file.read(length), colorspace="GRAY")
            except ValueError as error:
                yield Finding("decode", shard.name, key, f"{path}: {key} cannot be decoded: {error}")
                continue
            if image.shape[:2] != (height, width):
                size = f"{image.shape[1]} x {image.shape[0]}, {SAMPLES} says {width} x {height}"
                yield Finding("decode", shard.name, key, f"{path}: {key} is {size}")


def _first_cut_key(rows: pd.DataFrame, size: int, label_names: tuple[str, ...]) -> str | None:
    """The first sample that does not fit into a tar of `size` bytes, its metadata included."""
    for row in records(rows):
        start = whole(row, "offset") - BLOCK
        if start + len(pack_sample(row, bytes(whole(row, "bytes")), label_names, start).content) > size:
            return text(row, "key")
    return None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_watched(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
