"""Read the file of one image, if it is a regular file of a sensible size that is really below its root.

A link that leads out of the root, a pipe that would block and a device without an end are never opened.
"""

import errno
import os
import stat
from pathlib import Path

from shards.errors import DatasetError
from shards.images.unusable_image import Fault, UnusableImage

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG)


def read_source_file(path: Path | str, real_root: str, limit: int) -> bytes:
    """The bytes of the file at `path`.

    real_root: os.path.realpath of the folder that the file must be in, links resolved. limit: in bytes. Raises
    UnusableImage where there is no such file, and DatasetError where it cannot be read for a reason that may pass
    (an I/O error): to reject it then would make the dataset depend on chance.
    """
    try:
        real = _resolve(os.fspath(path), real_root)
        if not real.startswith(os.path.join(real_root, "")):  # noqa: PTH118 - on text, for each image
            raise UnusableImage(Fault.OUTSIDE, "it leads out by a link")
        status = os.stat(real)  # noqa: PTH116
        if not stat.S_ISREG(status.st_mode):
            raise UnusableImage(Fault.MISSING_FILE, "what is there is no regular file")
        if status.st_size > limit:
            raise UnusableImage(Fault.TOO_LARGE, f"a file of {status.st_size:,} bytes, more than {limit:,}")
        with open(real, "rb", buffering=0) as file:  # noqa: PTH123 - twice as fast as Path.read_bytes on small files
            return file.read()
    except ValueError as error:  # a zero byte, or what is no UTF-8
        raise UnusableImage(Fault.MISSING_FILE, "no file can have this name") from error
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise UnusableImage(Fault.MISSING_FILE, f"{error.strerror}") from error
        raise DatasetError(
            f"{path}: {error.strerror}. Nothing was lost: run the same command again, finished shards are kept. If it "
            "stays like this, remove the file and it will be rejected as missing."
        ) from error


def _resolve(path: str, real_root: str) -> str:
    """os.path.realpath, three times as fast for a path that begins with `real_root`, which is known to be real."""
    inside = os.path.join(real_root, "")  # noqa: PTH118 - on text, for each image
    if not path.startswith(inside):
        return os.path.realpath(path)
    place = inside.removesuffix("/")
    for part in path[len(inside) :].split("/"):
        place = f"{place}/{part}"
        if part in ("", ".", "..") or stat.S_ISLNK(os.lstat(place).st_mode):
            return os.path.realpath(path)
    return place
