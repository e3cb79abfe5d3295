"""Suppress what C libraries print about files that they cannot decode; the build names the file instead."""

import contextlib
import functools
import os
from collections.abc import Iterator

_STDERR = 2


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Discard everything that this process writes to its standard error while the block runs.

    libpng, OpenCV and GDCM's codecs write there by themselves. Not for threads: the redirection is the process's.
    """
    try:
        kept = os.dup(_STDERR)
    except OSError:  # it is closed: nothing can be written there
        yield
        return
    try:
        os.dup2(_nowhere(), _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)


@functools.cache
def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)
