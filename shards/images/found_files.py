"""Find image files by what they begin with, whatever they are called, and read regular files of a sensible size."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from shards.images.unusable_image import Fault, UnusableImage
from shards.input_files import Reading, open_watched

_HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_DICOM, _DICOM_AT = b"DICM", 128


def is_image(path: Path) -> bool:
    """Whether a regular file begins as a JPEG, a PNG or a DICOM file does. False for one that cannot be read."""
    try:
        if not path.is_file():
            return False
        with open_watched(path) as file:
            head = file.read(_DICOM_AT + len(_DICOM))
    except OSError:
        return False
    return head.startswith(_HEADS) or head[_DICOM_AT:] == _DICOM


def walk(folder: Path) -> Iterator[Path]:
    """Files below a folder in the order of their paths; hidden files and folders are left out.

    Links of folders are followed, each folder once, but not to a folder that holds the one that is walked.
    """
    top = os.path.realpath(folder)
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen or (real != top and top.startswith(f"{real.rstrip('/')}/")):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def read_regular_file(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes. Raises UnusableImage for anything that is no such file.

    A pipe or a device is never waited for: it is opened without blocking and looked at before it is read.
    """
    with Reading(path):
        return _read(path, limit)


def _read(path: Path, limit: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnusableImage(Fault.MISSING_FILE, "what is there is no regular file")
            if status.st_size > limit:
                raise UnusableImage(Fault.TOO_LARGE, f"a file of {status.st_size:,} bytes, more than {limit:,}")
            with open(descriptor, "rb", buffering=0, closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnusableImage(Fault.MISSING_FILE, f"{error.strerror}") from error
    except ValueError as error:  # a zero byte
        raise UnusableImage(Fault.MISSING_FILE, "no file can have this name") from error
