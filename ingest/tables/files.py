"""Open the files of tables: plain or gzipped, by content and not by name, up to the size that a table can have."""

import contextlib
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from shards.errors import DatasetError

_GZIP = b"\x1f\x8b"
_MOST_BYTES = 8 << 30  # ten times the largest table we know; a bomb inflates to more


class _BoundedGzip(gzip.GzipFile):
    """Inflates at most _MOST_BYTES."""

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(_MOST_BYTES + 1 if size is None or size < 0 else size)
        self._check()
        return content

    def read1(self, size: int = -1) -> bytes:
        content = super().read1(size)
        self._check()
        return content

    def _check(self) -> None:
        if self.tell() > _MOST_BYTES:
            raise DatasetError(f"{self.name}: inflates to more than {_MOST_BYTES:,} bytes; that is no table")


@contextlib.contextmanager
def open_table(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a table, inflated. Raises DatasetError where they cannot be read, now or in the `with`."""
    try:
        with path.open("rb") as file:
            zipped = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
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
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
