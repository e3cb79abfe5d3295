"""Write files that are either whole or absent: temporary name, fsync, rename, fsync of the folder."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def write_atomically(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the name `path` only if the block ends without an exception.

    The temporary name is random, so that two writers of one path do not tear each other's file: the last one to
    finish wins, whole. Names of node and process would not be unique: containers share both. An OSError names `path`,
    whatever file or none it named.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # the folder may be gone
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    sync_folder(path.parent)


def json_bytes(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON holds
    """JSON as this project writes it everywhere: two spaces, a newline at the end, never NaN."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json_atomically(path: Path, value: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """Write `value` as JSON, whole or not at all. Raises ValueError for NaN and infinities."""
    content = json_bytes(value)
    with write_atomically(path) as file:
        file.write(content)
