"""Read the file of one image, if it is a regular file of a sensible size that is really below its root.

A link that leads out of the root, a pipe that would block and a device without an end are never opened.
"""

import errno
import os
import stat
from pathlib import Path

from ingest.images.links import LinkRule, resolve
from shards.errors import DatasetError
from shards.images.unusable_image import Fault, UnusableImage
from shards.input_files import Reading

STRICT = LinkRule(follow=False)
"""No link that leads out of the root is followed."""

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG)


def read_source_file(path: Path | str, real_root: str, limit: int, links: LinkRule = STRICT) -> bytes:
    """The bytes of the file at `path`.

    real_root: os.path.realpath of the folder that the file must be in, links resolved. limit: in bytes. links: which
    links of folders may lead out of it; none by default. Raises
    UnusableImage where there is no such file, and DatasetError where it cannot be read for a reason that may pass
    (an I/O error): to reject it then would make the dataset depend on chance.
    """
    try:
        with Reading(path):
            return _read(path, real_root, limit, links)
    except ValueError as error:  # a zero byte, or what is no UTF-8
        raise UnusableImage(Fault.MISSING_FILE, "no file can have this name") from error
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise UnusableImage(Fault.MISSING_FILE, f"{error.strerror}") from error
        raise DatasetError(
            f"{path}: {error.strerror}. Nothing was lost: run the same command again, finished shards are kept. If it "
            "stays like this, remove the file and it will be rejected as missing."
        ) from error


def _read(path: Path | str, real_root: str, limit: int, links: LinkRule) -> bytes:
    real = _resolve(os.fspath(path), real_root, links)
    status = os.stat(real)  # noqa: PTH116
    if not stat.S_ISREG(status.st_mode):
        raise UnusableImage(Fault.MISSING_FILE, "what is there is no regular file")
    if status.st_size > limit:
        raise UnusableImage(Fault.TOO_LARGE, f"a file of {status.st_size:,} bytes, more than {limit:,}")
    with open(real, "rb", buffering=0) as file:  # noqa: PTH123 - twice as fast as Path.read_bytes on small files
        return file.read()


def _resolve(path: str, real_root: str, links: LinkRule) -> str:
    """The path without links, three times as fast as os.path.realpath where it has none."""
    inside = os.path.join(real_root, "")  # noqa: PTH118 - on text, for each image
    if not path.startswith(inside):
        return resolve(path, real_root, links).real
    place = inside.removesuffix("/")
    for part in path[len(inside) :].split("/"):
        place = f"{place}/{part}"
        if part in ("", ".", "..") or stat.S_ISLNK(os.lstat(place).st_mode):
            return resolve(path, real_root, links).real
    return place
