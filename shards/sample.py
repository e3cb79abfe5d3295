"""One sample as bytes: its three tar members, a pure function of its row and its JPEG.

Because nothing else goes in (no time, no user), a stored sample can be rebuilt from samples.parquet and compared.
"""

import io
import json
import math
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shards.errors import DatasetError
from shards.identity import is_key
from shards.index import IndexEntry
from shards.schema import COLUMNS, FLOAT_COLUMNS

BLOCK = tarfile.BLOCKSIZE
MAX_KEY_LENGTH = 100 - len(".json")
"""USTAR keeps 100 characters of a name; a longer one would need a PAX header."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class PackedSample:
    """A sample's bytes in the tar, and where its members' contents start in them."""

    content: bytes
    members: tuple[IndexEntry, ...]

    @property
    def jpeg(self) -> IndexEntry:
        """The member that holds the image."""
        return self.members[0]


def pack_sample(row: Row, jpeg: bytes, label_names: Sequence[str], start: int) -> PackedSample:
    """Pack `<key>.jpg`, `<key>.json` and `<key>.sid` as they stand in a tar from byte `start` on.

    row: every column of samples.parquet except offset, which follows from `start`; None or NaN where unknown.
    Raises DatasetError for a key that WebDataset or USTAR could not carry.
    """
    key = row["key"]
    check_key(key)
    complete = {**row, "offset": start + BLOCK}
    contents = {
        "jpg": jpeg,
        "json": row_json(complete, label_names),
        "sid": int(row["sample_id"]).to_bytes(8, "little", signed=True),
    }
    stream = io.BytesIO()
    members = []
    for extension, content in contents.items():
        stream.write(_header(f"{key}.{extension}", len(content)))
        members.append(IndexEntry(extension, start + stream.tell(), len(content), f"{key}.{extension}"))
        stream.write(content)
        stream.write(bytes(-len(content) % BLOCK))
    return PackedSample(stream.getvalue(), tuple(members))


def check_key(key: str) -> None:
    """Raise DatasetError unless `key` can name a sample."""
    if not is_key(key):
        raise DatasetError(f"key {key!r}: only letters, digits, '_' and '-' may stand in a key (a dot merges samples)")
    if len(key) > MAX_KEY_LENGTH:
        raise DatasetError(f"key {key!r}: longer than the {MAX_KEY_LENGTH} characters that a tar header holds")


def row_json(row: Row, label_names: Sequence[str]) -> bytes:
    """A sample's row as the JSON member holds it: every column in order, null where unknown."""
    values = {column: json_value(row[column], floating=column in FLOAT_COLUMNS) for column in COLUMNS}
    values |= {label: json_value(row[label], floating=True) for label in label_names}
    return json.dumps(values, ensure_ascii=False, allow_nan=False).encode()


def json_value(value: Any, *, floating: bool) -> str | int | float | None:  # noqa: ANN401 - whatever a cell holds
    """A table's cell as JSON: floats as the shortest text that is the same float32, unknown as None.

    floating: whether the column is float32 in samples.parquet, so that a whole number reads the same from both.
    """
    if value is None or isinstance(value, str):
        return value
    if floating or isinstance(value, float | np.floating):
        return None if math.isnan(value) else float(str(np.float32(value)))
    if isinstance(value, int | np.integer):
        return int(value)
    raise TypeError(f"{value!r} is no cell of samples.parquet")


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o444
    return member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
