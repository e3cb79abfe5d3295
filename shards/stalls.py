"""Name in the log what a program waits for: a file of which nothing has come for a minute.

A file system over a network that hangs gives no error, only silence. Say which file it is, and how long, so that a
person need not guess; the program waits on, since such a file system often comes back.
"""

import io
import logging
import os
import threading
import time
from pathlib import Path
from types import TracebackType

STALL_VARIABLE = "CXR_STALL_SECONDS"
"""Environment variable: seconds of silence after which a file is named."""

_USUAL_S, _LEAST_S, _MOST_BETWEEN_S = 60.0, 0.05, 5.0

_log = logging.getLogger(__name__)


def stall_seconds() -> float:
    """Return the seconds of silence after which a file is named: CXR_STALL_SECONDS, 60 where that is no number."""
    try:
        return max(float(os.environ.get(STALL_VARIABLE, _USUAL_S)), _LEAST_S)
    except ValueError:
        return _USUAL_S


class Reading:
    """Context of one call that may wait for a file system. It costs half a microsecond, and so suits every read.

    A file that does not answer is named after a minute, then after 2, 4, 8, ... of them, and once more when it answers.
    """

    __slots__ = ("_told", "path", "since")

    def __init__(self, path: str | Path) -> None:
        self.path, self.since, self._told = path, 0.0, 0

    def __enter__(self) -> None:
        self.since = time.monotonic()
        _open[id(self)] = self
        if _watch.thread is None:
            _watch.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del _open[id(self)]
        if self._told and kind is None:
            _log.warning("%s has answered after %.3g s.", self.path, time.monotonic() - self.since)

    def tell(self, now: float, limit: float) -> None:
        """Log that nothing has come, if it is time to."""
        silent = now - self.since
        if silent >= limit * 2**self._told:
            self._told += 1
            _log.warning(
                "%s has not answered for %.3g s: the file system that it is on may hang. Waiting on; see whether `ls` "
                "or `cat` of it hangs too.",
                self.path,
                silent,
            )


class WatchedFile(io.FileIO):
    """A file each of whose reads is a `Reading`."""

    def __init__(self, path: Path) -> None:
        with Reading(path):
            super().__init__(path, "rb")
        self._path = path

    def readinto(self, buffer: "bytearray | memoryview") -> int | None:  # type: ignore[override]
        """Read into the buffer."""
        with Reading(self._path):
            return super().readinto(buffer)

    def readall(self) -> bytes:
        """Read the rest."""
        with Reading(self._path):
            return super().readall()


def open_watched(path: Path) -> io.BufferedReader:
    """Open a file for reading, as `path.open("rb")` does."""
    return io.BufferedReader(WatchedFile(path))


def read_watched(path: Path) -> bytes:
    """Read a file, as `path.read_bytes()` does."""
    with Reading(path):
        return path.read_bytes()


class _Watch:
    """State: the thread that looks at the calls under way; None where none was needed yet, and in a forked child."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        self.thread = threading.Thread(target=_look, name="stalls", daemon=True)
        self.thread.start()

    def forget(self) -> None:
        self.thread = None
        _open.clear()


_open: dict[int, Reading] = {}
"""The calls under way, of all threads."""
_watch = _Watch()
os.register_at_fork(after_in_child=_watch.forget)


def _look() -> None:
    while True:
        limit = stall_seconds()
        time.sleep(min(limit / 4, _MOST_BETWEEN_S))
        now = time.monotonic()
        for reading in list(_open.values()):
            reading.tell(now, limit)
