"""Read predictions from a Zarr group: `scores` [models, samples, labels], an array of ids, an attribute `labels`.

Only what cannot hide missing values or run code is read: Zarr version 3, numbers and text, zarr's own codecs, every
chunk written.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evaluation.tables.sidecar import Sidecar
from evaluation.tables.table_files import TableError
from shards.input_files import refuse_special_files
from shards.json_value import JsonValue

if TYPE_CHECKING:
    import zarr

_CODECS = ("BytesCodec", "BloscCodec", "ZstdCodec", "GzipCodec", "Crc32cCodec", "ShardingCodec", "TransposeCodec")
_TEXT_CODECS = ("VLenUTF8Codec",)


@dataclass(frozen=True)
class ZarrScores:
    """scores: float64 [models, samples, labels]. sidecars: one a model, None where the group has none."""

    scores: NDArray[np.float64]
    labels: tuple[str, ...]
    id_column: str
    ids: tuple[str, ...]
    sidecars: tuple[Sidecar | None, ...]


def read_zarr_scores(path: Path) -> ZarrScores:
    """Read a group. Raises TableError where it is none of predictions, or cannot be trusted to be whole."""
    import zarr

    try:
        refuse_special_files(path)
        group = zarr.open_group(path, mode="r", zarr_format=3)
        attributes = dict(group.attrs)
        found: Any = attributes["labels"]
        labels = tuple(str(label) for label in found)
        id_column = str(attributes.get("id", "sample_id"))
        scores = _whole(path, "scores", group["scores"], "iuf")
        ids = tuple(str(value) for value in _whole(path, id_column, group[id_column], "iuUT"))
    except TableError:
        raise
    except Exception as error:  # zarr raises whatever metadata and chunks lead it to
        raise TableError(
            f"{path} is no Zarr group of predictions (Zarr version 3; an array `scores` [models, samples, labels], an "
            f"array of ids named by the attribute `id` (default sample_id), an attribute `labels`): {error}"
        ) from error
    if scores.ndim != 3 or scores.shape[1:] != (len(ids), len(labels)) or not scores.size:
        raise TableError(f"{path}: scores are {scores.shape}, expected [models, {len(ids)}, {len(labels)}]")
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise TableError(f"{path}: label {repeated[0]!r} occurs more than once")
    models = attributes.get("models")
    described = models if isinstance(models, list) and len(models) == len(scores) else [None] * len(scores)
    sidecars = tuple(Sidecar(JsonValue(one)) if isinstance(one, dict) else None for one in described)
    return ZarrScores(scores.astype(np.float64), labels, id_column, ids, sidecars)


def _whole(path: Path, name: str, array: "zarr.Array[Any] | zarr.Group", kinds: str) -> NDArray[Any]:
    """An array's values, after its type, codecs and chunks are checked."""
    import zarr

    if not isinstance(array, zarr.Array):
        raise TypeError(f"{name} is a group, not an array")
    if array.dtype.kind not in kinds:
        raise TableError(
            f"{path}: {name} holds {array.dtype}, expected {'numbers or text' if 'U' in kinds else 'numbers'}"
        )
    allowed = _CODECS + (_TEXT_CODECS if "U" in kinds else ())
    strange = sorted(_codecs_of(getattr(array.metadata, "codecs", ())) - set(allowed))
    if strange:
        raise TableError(
            f"{path}: {name} is encoded by {', '.join(strange)}, which is not read: write it without filters"
        )
    files = [file for file in (path / array.path / "c").rglob("*") if file.is_file()]
    stored = sum(_chunks_in(file, array) for file in files)
    expected = int(np.prod([-(-size // chunk) for size, chunk in zip(array.shape, array.chunks, strict=True)]))
    if stored < expected:
        raise TableError(
            f"{path}: {expected - stored} of {expected} chunks of {name} are missing: copy the group again, or "
            "write it with zarr.config.set({'array.write_empty_chunks': True}) where values are all zero"
        )
    return np.asarray(array[...])


def _chunks_in(file: Path, array: "zarr.Array[Any]") -> int:
    """How many chunks a stored file holds: one, or of a shard those that its index gives a place in it.

    The index of a shard is an offset and a length a chunk, both 2**64 - 1 for one that is missing, and perhaps a
    checksum (sharding-indexed codec of the Zarr version 3 specification).
    """
    if array.shards is None:
        return 1
    codec: Any = getattr(array.metadata, "codecs")[0]  # noqa: B009 - absent from version 2, which is not opened
    size = 16 * int(np.prod([shard // chunk for shard, chunk in zip(array.shards, array.chunks, strict=True)]))
    checksum = 4 * sum(type(one).__name__ == "Crc32cCodec" for one in codec.index_codecs)
    content = file.read_bytes()
    at_end = codec.index_location.value == "end"
    index = content[len(content) - size - checksum : len(content) - checksum] if at_end else content[:size]
    return int((np.frombuffer(index, "<u8")[::2] != np.uint64(2**64 - 1)).sum())


def _codecs_of(codecs: Iterable[Any]) -> set[str]:
    """Names of an array's codecs, those inside shards too; filters of Zarr 2 (numcodecs) have names of their own."""
    names = set()
    for codec in codecs:
        names.add(type(codec).__name__)
        names |= _codecs_of((*getattr(codec, "codecs", ()), *getattr(codec, "index_codecs", ())))
    return names
