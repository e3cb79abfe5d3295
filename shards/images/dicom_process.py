"""Decode DICOM pictures in a child process: GDCM ends its process over some damaged files.

Also pydicom is slow to start, and a file can lead it to take much memory. The child is started at the first DICOM file,
decodes all later ones, ends with this process, and has a limit of memory. A child that a file has ended is a reason to
reject that file.
"""

import atexit
import contextlib
import functools
import resource
import signal
import struct
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shards.child_process import TRY_AGAIN, ChildEndedError, ChildProcess, how_it_ended
from shards.errors import DatasetError
from shards.images.unusable_image import Fault, UnusableImage

Gray = npt.NDArray[np.uint8]

_OWN_FAULTS = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
_HEAD = struct.Struct(">cQQ")  # picture or reason, which comes as the next message; rows and columns
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
        with child.talk() as pipe:
            pipe.send_bytes(content)
            kind, rows, columns = _HEAD.unpack(pipe.recv_bytes())
            answer = pipe.recv_bytes()
    except ChildEndedError as end:
        _child.cache_clear()
        atexit.unregister(child.stop)
        child.stop()  # its pipe would stay open
        if -end.code in _OWN_FAULTS:
            how = signal.Signals(-end.code).name
            raise UnusableImage(Fault.UNREADABLE, f"a DICOM file that ended its decoder ({how})") from end
        raise DatasetError(
            f"the process that decodes DICOM pictures ended {how_it_ended(end.code)}; {TRY_AGAIN}"
        ) from end
    if kind == _REASON:
        fault, _, detail = answer.decode().partition(_SEPARATOR)
        raise UnusableImage(Fault(fault), detail)
    return np.frombuffer(answer, dtype=np.uint8).reshape(rows, columns)


@functools.cache
def _child(max_pixels: int) -> ChildProcess:
    # Quiet: its libraries write messages about broken files.
    child = ChildProcess("cxr-dicom-decoder", serve, max_pixels, quiet=True)
    atexit.register(child.stop)
    return child


def serve(pipe: "Connection[Any, Any]", max_pixels: int) -> None:
    """Body of the child: answer each file by two messages until the parent closes the pipe."""
    from shards.images.dicom import read_dicom  # pydicom: here, and in no other process

    _limit_memory(max_pixels * _BYTES_A_PIXEL + _ROOM)
    while True:
        try:
            content = pipe.recv_bytes()
        except EOFError:
            return
        try:
            picture = read_dicom(content, max_pixels)
        except UnusableImage as error:
            pipe.send_bytes(_HEAD.pack(_REASON, 0, 0))
            pipe.send_bytes(f"{error.kind}{_SEPARATOR}{error.detail}".encode(errors="backslashreplace"))
        else:
            pipe.send_bytes(_HEAD.pack(_PICTURE, *picture.shape))
            pipe.send_bytes(np.ascontiguousarray(picture).reshape(-1).data)


def _limit_memory(more: int) -> None:
    """Limit this process to `more` bytes above what it has; no limit where the system does not report its size."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
