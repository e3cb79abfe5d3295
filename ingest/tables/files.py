"""Open the files of tables: plain or gzipped, by content and not by name, up to the size that a table can have."""

import contextlib
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, cast

from shards.errors import DatasetError
from shards.input_files import open_regular

_GZIP = b"\x1f\x8b"
MOST_BYTES = 2 << 30
"""Twice the largest table we know (reports of CheXpert Plus); a bomb inflates to more."""

_MOST_BYTES: ContextVar[int] = ContextVar("bytes of a table", default=MOST_BYTES)


class _BoundedGzip(gzip.GzipFile):
    """Inflates at most as much as a table may have."""

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(_MOST_BYTES.get() + 1 if size is None or size < 0 else size)
        self._check()
        return content

    def read1(self, size: int = -1) -> bytes:
        content = super().read1(size)
        self._check()
        return content

    def _check(self) -> None:
        if self.tell() > _MOST_BYTES.get():
            raise DatasetError(_too_large(Path(str(self.name)), None))


@contextlib.contextmanager
def tables_up_to(most: int) -> Iterator[None]:
    """Take tables of at most `most` bytes, inflated, in this block."""
    before = _MOST_BYTES.set(most)
    try:
        yield
    finally:
        _MOST_BYTES.reset(before)


def check_table_size(path: Path, size: int) -> None:
    """Raise DatasetError for a table that would take more than is allowed."""
    if size > _MOST_BYTES.get():
        raise DatasetError(_too_large(path, size))


def _too_large(path: Path, size: int | None) -> str:
    has = "inflates to more" if size is None else f"has {size:,} bytes, more"
    return (
        f"{path}: {has} than {_MOST_BYTES.get():,} bytes, which no table of an archive has. If it is one all the same, "
        "allow it by --max-table-bytes"
    )


@contextlib.contextmanager
def open_table(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a table, inflated. Raises DatasetError where they cannot be read, now or in the `with`."""
    try:
        with open_regular(path) as file:
            zipped = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            if not zipped and (size := os.fstat(file.fileno()).st_size) > _MOST_BYTES.get():
                raise DatasetError(_too_large(path, size))
            yield cast("IO[bytes]", _BoundedGzip(path, fileobj=file)) if zipped else file
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DatasetError(f"{path}: its gzip data is broken ({error}): download it again") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error


def read_bytes(path: Path) -> bytes:
    """All bytes of a table, inflated."""
    with open_table(path) as file:
        return file.read()


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes as they are: a build notices by it that its source has changed."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
