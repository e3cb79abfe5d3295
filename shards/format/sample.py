"""One sample as bytes: its three tar members, a pure function of its row and its JPEG.

Because nothing else goes in (no time, no user), a stored sample can be rebuilt from samples.parquet and compared.
"""

import functools
import json
import math
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shards.errors import DatasetError
from shards.format.identity import LONGEST_KEY, is_key
from shards.format.index import IndexEntry
from shards.format.schema import COLUMNS, FLOAT_COLUMNS, Row, text, whole

BLOCK = tarfile.BLOCKSIZE
MAX_KEY_LENGTH = LONGEST_KEY
"""USTAR keeps 100 characters of a name; a longer one would need a PAX header."""

_SIZE = slice(124, 136)  # fields of a USTAR header
_CHECKSUM = slice(148, 156)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


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
    key = text(row, "key")
    check_key(key)
    complete = {**row, "offset": start + BLOCK}
    contents = {
        "jpg": jpeg,
        "json": row_json(complete, label_names),
        "sid": whole(row, "sample_id").to_bytes(8, "little", signed=True),
    }
    parts, members, place = [], [], start
    for extension, content in contents.items():
        name, padding = f"{key}.{extension}", -len(content) % BLOCK
        parts += [_header(name, len(content)), content, bytes(padding)]
        members.append(IndexEntry(extension, place + BLOCK, len(content), name))
        place += BLOCK + len(content) + padding
    return PackedSample(b"".join(parts), tuple(members))


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
    return _ENCODER.encode(values).encode()


def json_value(value: Any, *, floating: bool) -> str | int | float | None:  # noqa: ANN401 - whatever a cell holds
    """A table's cell as JSON: floats as the shortest text that is the same float32, unknown as None.

    floating: whether the column is float32 in samples.parquet, so that a whole number reads the same from both.
    """
    if value is None or isinstance(value, str):
        return value
    if floating or isinstance(value, float | np.floating):
        return _shortest(float(value)) if value else float(value)  # a cache takes -0.0 for 0.0
    if isinstance(value, int | np.integer):
        return int(value)
    raise TypeError(f"{value!r} is no cell of samples.parquet")


@functools.lru_cache(maxsize=4096)
def _shortest(value: float) -> float | None:
    """The shortest text that is the same float32, as a float; None for NaN. Cells repeat: labels, ages."""
    return None if math.isnan(value) else float(str(np.float32(value)))


def _header(name: str, size: int) -> bytes:
    """What tarfile writes before a file of this name, ten times as fast: name, size and checksum are filled in."""
    template, total = _template()
    start, length = name.encode("ascii"), b"%011o\0" % size
    if len(start) > 100 or len(length) != _SIZE.stop - _SIZE.start:
        raise DatasetError(f"{name} of {size:,} bytes does not fit into a USTAR header")
    header = bytearray(template)
    header[: len(start)] = start
    header[_SIZE] = length
    header[_CHECKSUM] = b"%06o\0 " % (total + sum(start) + sum(length))
    return bytes(header)


@functools.cache
def _template() -> tuple[bytes, int]:
    """A header without name and size, and the sum of its bytes, its checksum's own eight counted as blanks."""
    member = tarfile.TarInfo()
    member.mode = 0o444
    template = bytearray(member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict"))
    template[_SIZE] = bytes(12)
    template[_CHECKSUM] = b" " * 8
    return bytes(template), sum(template)
