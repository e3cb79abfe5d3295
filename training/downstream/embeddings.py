"""Write and read the features of many samples as one Zarr v3 group; a group is complete or not there.

`features` float32 [N, D] and `sample_id` int64 [N]; names and digests in the attributes.
"""

import contextlib
import errno
import hashlib
import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from shards.durable import sync_folder
from shards.input_files import load_json, read_regular, refuse_special_files
from training.backbones.inference import Features, Ids
from training.errors import TrainingError

FORMAT_VERSION = 1
CHUNK_ROWS = 1024
SHARD_ROWS = 16 * CHUNK_ROWS
"""Rows a file: 32 MB of 512 features. A reader of a few rows reads chunks, a file system sees a handful of files."""


@dataclass(frozen=True)
class Embeddings:
    """Features of samples. features: float32 [N, D]; sample_id: int64 [N]; attributes: backbone and dataset."""

    features: Features
    sample_id: Ids
    attributes: Mapping[str, Any]


def write_embeddings(
    path: Path,
    batches: Iterable[tuple[Features, Ids]],
    rows: int,
    dimension: int,
    attributes: Mapping[str, Any],
    *,
    keep_existing: bool = False,
) -> None:
    """Write batches of (features [n, D], ids [n]), `rows` in all. At most SHARD_ROWS rows are held in memory.

    Embeddings at `path` are replaced, at the end; with keep_existing those that another process has put there
    in the meantime stay, and these are dropped. Raises TrainingError if the batches do not add up to `rows`, or `path`
    holds anything else.
    """
    refuse_other_content(path)
    # Not the process id: a cache is shared by nodes, and in containers their processes have the same ids.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        group = zarr.create_group(temporary, zarr_format=3)
        chunk, shard = _layout(rows)
        features = group.create_array(
            "features",
            shape=(rows, dimension),
            dtype="float32",
            chunks=(chunk, dimension),
            shards=(shard, dimension),
        )
        sample_id = group.create_array("sample_id", shape=(rows,), dtype="int64", chunks=(chunk,), shards=(shard,))
        digest = _Digest()
        start = 0
        for piece, ids in _pieces(batches):
            if start + len(ids) > rows:
                raise TrainingError(f"{path}: more than {rows} embeddings came for {rows} samples")
            features[start : start + len(ids)] = piece
            sample_id[start : start + len(ids)] = ids
            digest.update(piece, ids)
            start += len(ids)
        if start != rows:
            raise TrainingError(f"{path}: {start} embeddings came for {rows} samples")
        group.attrs.update({"format_version": FORMAT_VERSION, **attributes, "sha256": digest.hex()})
        _publish(temporary, path, keep_existing)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and str(temporary) in str(error.filename or temporary):
            error.filename = str(path)  # not a chunk's name, which says nothing to a person
        raise


def read_embeddings(path: Path) -> Embeddings:
    """Read a whole group. Raises TrainingError where there is none, its format is another or its arrays are damaged.

    The digest is checked because Zarr reads a chunk whose file is missing as zeros.
    """
    try:
        refuse_special_files(path)
        group = zarr.open_group(path, mode="r", zarr_format=3)
        if group.attrs.get("format_version") != FORMAT_VERSION:
            raise TrainingError(f"{path}: format version {group.attrs.get('format_version')!r}, not {FORMAT_VERSION}")
        features = np.asarray(_values(path, group["features"]), dtype=np.float32)
        sample_id = np.asarray(_values(path, group["sample_id"]), dtype=np.int64)
    except TrainingError:
        raise
    except Exception as error:  # zarr raises whatever its codecs and metadata lead it to
        raise TrainingError(f"{path} does not hold embeddings, or damaged ones: {error}. {_AGAIN}") from error
    digest = _Digest()
    digest.update(features, sample_id)
    if group.attrs.get("sha256") != digest.hex():
        raise TrainingError(f"{path} does not hold the embeddings that were written. {_AGAIN}")
    return Embeddings(features, sample_id, dict(group.attrs))


def _values(path: Path, array: "zarr.Array[Any] | zarr.Group") -> np.ndarray[Any, np.dtype[Any]]:
    """An array's values. Raises ValueError for a group, and for a size that no files of this size can hold."""
    if not isinstance(array, zarr.Array) or array.dtype.kind not in "fiu":
        raise ValueError("an array of numbers is wanted")
    stored = sum(file.stat().st_size for file in (path / array.path).rglob("*") if file.is_file())
    if array.nbytes > _MOST_PACKED * stored + (1 << 20):
        raise ValueError(f"{array.path} is said to hold {array.nbytes:,} bytes, in files of {stored:,}")
    return np.asarray(array[...])


def refuse_other_content(path: Path) -> None:
    """Raise TrainingError if `path` is anything but embeddings, an empty folder or nothing: it would be replaced."""
    if not path.exists() or _is_embeddings(path):
        return
    if not path.is_dir() or any(path.iterdir()):
        raise TrainingError(f"{path} is there and holds no embeddings. Remove it, or name another path.")


def _is_embeddings(path: Path) -> bool:
    """Whether the attributes of a group are those that `write_embeddings` writes: another Zarr group is another's."""
    try:
        attributes = load_json(read_regular(path / "zarr.json"))["attributes"]
        known = "format_version" in attributes and attributes["sha256"].keys() == {"features", "sample_id"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return known and (path / "features" / "zarr.json").is_file()


_MOST_PACKED = 1000
"""Of features that are all alike."""
_AGAIN = "Remove it and run the command again."


class _Digest:
    """SHA-256 of each array's bytes, row by row, however the rows come in pieces."""

    def __init__(self) -> None:
        self._features, self._ids = hashlib.sha256(), hashlib.sha256()

    def update(self, features: Features, ids: Ids) -> None:
        """Add the next rows."""
        self._features.update(np.ascontiguousarray(features, dtype="<f4").data)
        self._ids.update(np.ascontiguousarray(ids, dtype="<i8").data)

    def hex(self) -> dict[str, str]:
        """The digests of both arrays, as the attribute `sha256` holds them."""
        return {"features": self._features.hexdigest(), "sample_id": self._ids.hexdigest()}


def _layout(rows: int) -> tuple[int, int]:
    """Rows of a chunk and of a shard. The last shard's chunks beyond the end are never stored."""
    whole_chunks = -(-max(rows, 1) // CHUNK_ROWS) * CHUNK_ROWS
    return CHUNK_ROWS, min(SHARD_ROWS, whole_chunks)


def _pieces(batches: Iterable[tuple[Features, Ids]]) -> Iterable[tuple[Features, Ids]]:
    """Gather batches into pieces of SHARD_ROWS rows, so that each shard is written once."""
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


def _publish(temporary: Path, path: Path, keep_existing: bool) -> None:
    """Give the finished group its name, while other processes may do the same.

    A folder can be renamed over an empty one only: a full one stays, or is moved aside first.
    """
    aside: list[Path] = []
    while True:
        try:
            temporary.rename(path)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if keep_existing:
            shutil.rmtree(temporary)
            return
        aside.append(path.with_name(f".{path.name}.{uuid.uuid4().hex}.old"))
        with contextlib.suppress(FileNotFoundError):  # another process has just moved it
            path.rename(aside[-1])
    sync_folder(path.parent)
    for old in aside:
        shutil.rmtree(old, ignore_errors=True)
