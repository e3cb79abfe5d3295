"""Lock a file by flock(2): the kernel releases the lock when the process ends, however that happens."""

import fcntl
import os
from pathlib import Path


def lock_file(path: Path, *, wait: bool) -> int:
    """Open the file, create it where it is missing, and lock it. Returns its descriptor; os.close releases the lock.

    Raises BlockingIOError where another process holds the lock, unless `wait`, and OSError where the file cannot be
    opened or its file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
