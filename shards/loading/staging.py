"""Copy the shards that a run reads to a local disk of the node, once per node, with checksums.

The result is the same dataset, read from the copy. Copies stay where they are and are used again; the owner of the disk
removes them.
"""

import contextlib
import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import pandas as pd

from shards.durable import write_atomically
from shards.errors import CorruptShardError, DatasetError
from shards.file_lock import lock_file
from shards.format.dataset import Dataset
from shards.format.description import ShardSummary
from shards.input_files import Reading, open_watched
from shards.own_files import leftovers
from shards.terminal.progress import BYTES, progress

SMALL_SHARE = 0.1
"""A subset whose JPEGs are less than this fraction of their shards is copied without the rest of its shards."""

_CHUNK = 4 << 20
_TAR_BLOCK = 512


def stage(dataset: Dataset, rows: pd.DataFrame, folder: Path) -> tuple[Dataset, pd.DataFrame]:
    """Copy what `rows` need into `folder` and return the dataset and the rows to read instead.

    Whole shards, unless the rows are a small part of theirs. Processes of a node that stage the same wait for each
    other; what is there already is not copied again. Raises DatasetError where the disk has too little space or cannot
    be written, CorruptShardError for a source whose bytes are not those that were recorded.
    """
    target = folder / f"{dataset.name}-{dataset.digest[:12]}"
    shards = [shard for shard in dataset.shards if shard.name in set(rows["shard"])]
    with _told_plainly(target), _alone(target):
        if rows["bytes"].sum() < SMALL_SHARE * sum(shard.bytes for shard in shards):
            rows = _stage_samples(dataset, rows, target)
        else:
            _stage_shards(dataset, shards, target)
    return dataclasses.replace(dataset, root=target), rows


def _stage_shards(dataset: Dataset, shards: list[ShardSummary], target: Path) -> None:
    missing = [shard for shard in shards if not _is_there(target / f"{shard.name}.tar", shard.bytes)]
    size = sum(shard.bytes for shard in missing)
    _refuse_full_disk(target, size)
    if not missing:
        return
    with progress(size, f"copying {dataset.name} to {target}", BYTES) as bar:
        for shard in missing:
            digest = hashlib.sha256()
            source = dataset.shard_path(shard.name)
            with open_watched(source) as original, write_atomically(target / f"{shard.name}.tar") as copy:
                while chunk := original.read(_CHUNK):
                    digest.update(chunk)
                    copy.write(chunk)
                    bar.advance(len(chunk))
                if digest.hexdigest() != shard.sha256:
                    raise CorruptShardError(
                        f"{source} does not hold what was written (SHA-256): copy the shard again; "
                        f"`cxr-ingest verify {dataset.root}` says which samples are damaged"
                    )


def _stage_samples(dataset: Dataset, rows: pd.DataFrame, target: Path) -> pd.DataFrame:
    """Pack the rows' JPEGs into a tar of their own, named by what is in it. Returns the rows as they lie there."""
    name = "subset-" + hashlib.sha256(rows["sample_id"].to_numpy("<i8").tobytes()).hexdigest()[:16]
    stored = [-(-size // _TAR_BLOCK) * _TAR_BLOCK for size in rows["bytes"].tolist()]
    offsets, end = [], 0
    for size in stored:
        offsets.append(end + _TAR_BLOCK)
        end += _TAR_BLOCK + size
    path, end = target / f"{name}.tar", end + 2 * _TAR_BLOCK
    if not _is_there(path, end):
        _refuse_full_disk(target, end)
        with contextlib.ExitStack() as stack, write_atomically(path) as copy:
            tars = {
                shard: stack.enter_context(open_watched(dataset.shard_path(shard))) for shard in rows["shard"].unique()
            }
            columns = (rows[name].tolist() for name in ("shard", "key", "offset", "bytes", "crc32c"))
            for shard, key, offset, size, crc32c, room in zip(*columns, stored, strict=True):
                with Reading(dataset.shard_path(shard)):
                    entry = os.pread(tars[shard].fileno(), _TAR_BLOCK + room, offset - _TAR_BLOCK)
                if google_crc32c.value(entry[_TAR_BLOCK : _TAR_BLOCK + size]) != crc32c:
                    raise CorruptShardError(
                        f"{dataset.shard_path(shard)} does not hold what was written (crc32c) for {key}: copy "
                        f"the shard again, or run `cxr-ingest verify {dataset.root} --quarantine` to leave it out"
                    )
                copy.write(entry)
            copy.write(bytes(2 * _TAR_BLOCK))
    return rows.assign(shard=name, offset=offsets)


def _is_there(path: Path, size: int) -> bool:
    """A copy gets its name only when it is whole and checked."""
    return path.is_file() and path.stat().st_size == size


def _refuse_full_disk(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target).free
    if needed > free:
        raise DatasetError(
            f"{target}: {needed / 1e9:.1f} GB are to be staged and {free / 1e9:.1f} GB are free: make space, name "
            "another folder, or read from where the dataset is"
        )


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the folder's lock: the kernel releases it when a process dies."""
    target.mkdir(parents=True, exist_ok=True)
    lock = lock_file(target / ".lock", wait=True)
    try:
        for leftover in leftovers(target, lambda name: name.endswith(".tar")):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _told_plainly(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{target}: {error.strerror or error}. Staging resumes where it stopped when the command is run again."
        ) from error
