"""Features of many samples as one Zarr v3 group, written a piece at a time and whole or not at all.

`features` float32 [N, D] and `sample_id` int64 [N]; names and digests in the attributes.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from shards.durable import sync_folder
from training.errors import TrainingError

FORMAT_VERSION = 1
CHUNK_ROWS = 1024
SHARD_ROWS = 16 * CHUNK_ROWS
"""Rows a file: 32 MB of 512 features. A reader of a few rows reads chunks, a file system sees a handful of files."""

Features = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Embeddings:
    """features: float32 [N, D]; sample_id: int64 [N]; attributes: where they came from."""

    features: Features
    sample_id: Ids
    attributes: Mapping[str, Any]


def write_embeddings(
    path: Path, batches: Iterable[tuple[Features, Ids]], rows: int, dimension: int, attributes: Mapping[str, Any]
) -> None:
    """Write batches of (features [n, D], ids [n]), `rows` in all. At most SHARD_ROWS rows are held in memory.

    An existing group at `path` is replaced, at the end. Raises TrainingError if the batches do not add up to `rows`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        group = zarr.create_group(temporary, overwrite=True, zarr_format=3)
        group.attrs.update({"format_version": FORMAT_VERSION, **attributes})
        features = group.create_array(
            "features", shape=(rows, dimension), dtype="float32", **_layout(rows, (dimension,))
        )
        sample_id = group.create_array("sample_id", shape=(rows,), dtype="int64", **_layout(rows, ()))
        start = 0
        for piece, ids in _pieces(batches):
            features[start : start + len(ids)] = piece
            sample_id[start : start + len(ids)] = ids
            start += len(ids)
        if start != rows:
            raise TrainingError(f"{path}: {start} embeddings came for {rows} samples")
        _replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def read_embeddings(path: Path) -> Embeddings:
    """Read a whole group. Raises TrainingError where there is none or its format is another."""
    try:
        group = zarr.open_group(path, mode="r")
        if group.attrs.get("format_version") != FORMAT_VERSION:
            raise TrainingError(f"{path}: format version {group.attrs.get('format_version')!r}, not {FORMAT_VERSION}")
        features = np.asarray(group["features"][:], dtype=np.float32)  # type: ignore[index]
        sample_id = np.asarray(group["sample_id"][:], dtype=np.int64)  # type: ignore[index]
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(f"{path} does not hold embeddings: {error}") from error
    return Embeddings(features, sample_id, dict(group.attrs))


def _layout(rows: int, rest: tuple[int, ...]) -> dict[str, Any]:
    """One sharded array. The last shard's chunks beyond the end are never stored."""
    whole_chunks = -(-max(rows, 1) // CHUNK_ROWS) * CHUNK_ROWS
    return {"chunks": (CHUNK_ROWS, *rest), "shards": (min(SHARD_ROWS, whole_chunks), *rest)}


def _pieces(batches: Iterable[tuple[Features, Ids]]) -> Iterable[tuple[Features, Ids]]:
    """Batches gathered into pieces of SHARD_ROWS rows, so that each shard is written once."""
    held: list[tuple[Features, Ids]] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += len(batch[1])
        while count >= SHARD_ROWS:
            features, ids = (np.concatenate(parts) for parts in zip(*held, strict=True))
            yield features[:SHARD_ROWS], ids[:SHARD_ROWS]
            held, count = [(features[SHARD_ROWS:], ids[SHARD_ROWS:])], count - SHARD_ROWS
    if count:
        features, ids = (np.concatenate(parts) for parts in zip(*held, strict=True))
        yield features, ids


def _replace(temporary: Path, path: Path) -> None:
    """Give the finished group its name. A folder cannot be renamed over a full one, so the old one steps aside."""
    if path.exists():
        old = path.with_name(f".{path.name}.{os.getpid()}.old")
        path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old)
    else:
        temporary.rename(path)
    sync_folder(path.parent)
