"""Decode DICOM pictures in a child process: GDCM ends its process over some damaged files.

Also pydicom is slow to start, and a file can lead it to take much memory. The child is started at the first DICOM file,
decodes all later ones, ends with this process, and has a limit of memory. A child that a file has ended is a reason to
reject that file.
"""

import atexit
import contextlib
import functools
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from shards.ended_process import TRY_AGAIN, how_it_ended
from shards.errors import DatasetError
from shards.images.unusable_image import Fault, UnusableImage

Gray = npt.NDArray[np.uint8]

_OWN_FAULTS = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
_HEAD = struct.Struct(">cQQ")  # picture or reason; rows and columns, or the length of the reason
_PICTURE, _REASON = b"P", b"R"
_SEPARATOR = ": "
_BYTES_A_PIXEL = 64  # three colours in float64, twice
_ROOM = 1 << 30
_ALONE = threading.Lock()


def read_dicom_apart(content: bytes, max_pixels: int) -> Gray:
    """As `shards.images.dicom.read_dicom`, in the child.

    The child's memory is measured by `max_pixels`. Raises UnusableImage, also where the child fell over the file, and
    DatasetError where something else ended it: the file may be in order then. Threads wait for each other.
    """
    with _ALONE:
        return _read_apart(content, max_pixels)


def _read_apart(content: bytes, max_pixels: int) -> Gray:
    child = _child(max_pixels)
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(struct.pack(">Q", len(content)))
        child.stdin.write(content)
        child.stdin.flush()
        kind, first, second = _HEAD.unpack(_read(child.stdout, _HEAD.size))
        if kind == _REASON:
            fault, _, detail = _read(child.stdout, first).decode().partition(_SEPARATOR)
            raise UnusableImage(Fault(fault), detail)
        return np.frombuffer(_read(child.stdout, first * second), dtype=np.uint8).reshape(first, second)
    except (BrokenPipeError, EOFError) as error:
        _child.cache_clear()
        code = child.wait()
        if -code in _OWN_FAULTS:
            how = signal.Signals(-code).name
            raise UnusableImage(Fault.UNREADABLE, f"a DICOM file that ended its decoder ({how})") from error
        raise DatasetError(
            f"the process that decodes DICOM pictures ended {how_it_ended(code)}; {TRY_AGAIN}"
        ) from error


@functools.cache
def _child(max_pixels: int) -> "subprocess.Popen[bytes]":
    code = f"from shards.images.dicom_process import serve; serve({max_pixels})"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # messages of its libraries about broken files
        cwd=Path(__file__).parents[2],
    )
    atexit.register(_end, child)
    return child


def _end(child: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(BrokenPipeError):
        assert child.stdin is not None
        child.stdin.close()
    child.wait()


def serve(max_pixels: int) -> None:
    """Body of the child: answer until standard input ends, as it does when the parent does."""
    from shards.images.dicom import read_dicom  # pydicom: here, and in no other process

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    _limit_memory(max_pixels * _BYTES_A_PIXEL + _ROOM)
    while len(head := source.read(8)) == 8:
        try:
            picture = read_dicom(_read(source, struct.unpack(">Q", head)[0]), max_pixels)
        except UnusableImage as error:
            reason = f"{error.kind}{_SEPARATOR}{error.detail}".encode(errors="backslashreplace")
            sink.write(_HEAD.pack(_REASON, len(reason), 0) + reason)
        else:
            sink.write(_HEAD.pack(_PICTURE, *picture.shape))
            sink.write(np.ascontiguousarray(picture).data)
        sink.flush()


def _limit_memory(more: int) -> None:
    """Limit this process to `more` bytes above what it has; no limit where the system does not report its size."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _read(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return content
