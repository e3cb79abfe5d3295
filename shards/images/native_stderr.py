"""Suppress what C libraries print about files that they cannot decode; the build names the file instead."""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

_STDERR = 2


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Discard everything that this process writes to its standard error while the block runs.

    libpng, OpenCV and GDCM's codecs write there by themselves. The redirection is the process's: where several threads
    are in such a block, the first one redirects and the last one restores.
    """
    _REDIRECTION.enter()
    try:
        yield
    finally:
        _REDIRECTION.leave()


class _Redirection:
    """State: how many blocks are entered, and a copy of the standard error where it is redirected."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._kept: int | None = None

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                try:
                    self._kept = os.dup(_STDERR)
                except OSError:  # it is closed: nothing can be written there
                    return
                os.dup2(_nowhere(), _STDERR)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._kept is not None:
                os.dup2(self._kept, _STDERR)
                os.close(self._kept)
                self._kept = None


_REDIRECTION = _Redirection()


@functools.cache
def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)
