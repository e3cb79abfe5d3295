"""Writes one shard: a tar and its index, whole or not at all.

Writes <shard>.tar and <shard>.idx from rows and JPEG bytes; keeps the completed rows and a summary.
"""

import contextlib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import google_crc32c

from shards.durable import write_atomically
from shards.errors import DatasetError
from shards.format.description import ShardSummary
from shards.format.identity import sample_id
from shards.format.index import IndexEntry, index_bytes
from shards.format.sample import BLOCK, pack_sample
from shards.format.schema import COLUMNS, SPLITS, WRITER_COLUMNS, Cell, Row, text

_SHARD_NAME = re.compile(rf"({'|'.join(SPLITS)})-\d{{6}}")
_RECORD = 20 * BLOCK  # tar pads an archive with zeros to a multiple of this


def shard_split(shard: str) -> str:
    """The split that a shard's name begins with. Raises DatasetError for any other name."""
    match = _SHARD_NAME.fullmatch(shard)
    if match is None:
        raise DatasetError(f"{shard!r} is no shard name: expected e.g. train-000000")
    return match[1]


class ShardWriter:
    """Context manager that writes `<directory>/<shard>.tar` and `.idx`.

    Both appear under their names only when the block ends without an exception, the index first: where there is
    a tar there is an index. State: `rows`, the samples added so far; after the block also `summary`.
    """

    def __init__(self, directory: Path, shard: str, name: str, label_names: Sequence[str]) -> None:
        self.split = shard_split(shard)
        self.shard = shard
        self.rows: list[dict[str, Cell]] = []
        self._directory = directory
        self._name = name
        self._label_names = tuple(label_names)
        self._expected = frozenset((*COLUMNS, *self._label_names)) - WRITER_COLUMNS
        self._keys: set[str] = set()
        self._index: list[tuple[IndexEntry, ...]] = []
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._stack = contextlib.ExitStack()
        self._summary: ShardSummary | None = None

    @property
    def summary(self) -> ShardSummary:
        """What dataset.json says of the shard. Only after the block has ended well."""
        if self._summary is None:
            raise RuntimeError(f"{self.shard} is not written yet")
        return self._summary

    def __enter__(self) -> Self:
        self._tar = self._stack.enter_context(write_atomically(self._directory / f"{self.shard}.tar"))
        return self

    def add(self, row: Row, jpeg: bytes) -> None:
        """Append one sample.

        row: every column but those that the writer knows itself (`schema.WRITER_COLUMNS`), None where unknown.
        jpeg: the image's bytes, stored as they are.
        Raises DatasetError for a repeated or impossible key, another split, or missing or unknown columns.
        """
        if row.keys() != self._expected:
            wrong = ", ".join(sorted(row.keys() ^ self._expected))
            raise DatasetError(f"{self.shard}: a row's columns are not those of the format: {wrong}")
        key = text(row, "key")
        if key in self._keys:
            raise DatasetError(f"{self.shard}: key {key!r} occurs twice")
        if row["split"] != self.split:
            raise DatasetError(f"{self.shard}: {key!r} is of split {row['split']!r}; a shard holds one split")
        complete: dict[str, Cell] = {**dict.fromkeys((*COLUMNS, *self._label_names)), **row}
        complete |= {
            "sample_id": sample_id(self._name, key),
            "shard": self.shard,
            "position": len(self.rows),
            "bytes": len(jpeg),
            "crc32c": google_crc32c.value(jpeg),
        }
        packed = pack_sample(complete, jpeg, self._label_names, start=self._size)
        complete["offset"] = packed.jpeg.offset
        self._write(packed.content)
        self._keys.add(key)
        self._index.append(packed.members)
        self.rows.append(complete)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:  # publishes the tar at its end, or removes it when the index cannot be written
            if not self.rows:
                raise DatasetError(f"{self.shard}: a shard without samples cannot be indexed")
            self._write(end_of_archive(self._size))
            index = index_bytes(self._index)
            with write_atomically(self._directory / f"{self.shard}.idx") as file:
                file.write(index)
        self._summary = ShardSummary(
            name=self.shard,
            split=self.split,
            samples=len(self.rows),
            bytes=self._size,
            sha256=self._sha256.hexdigest(),
            idx_sha256=hashlib.sha256(index).hexdigest(),
        )

    def _write(self, content: bytes) -> None:
        self._tar.write(content)
        self._sha256.update(content)
        self._size += len(content)


def end_of_archive(size: int) -> bytes:
    """The zeros that end a tar whose members take `size` bytes: two blocks, then up to a whole record."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % _RECORD)
