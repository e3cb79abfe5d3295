"""Lock a file by flock(2): the kernel releases the lock when the process ends, however that happens.

Over NFS Linux makes of it a byte-range lock that all clients see (nfs(5), local_lock), and Lustre does so when mounted
with `-o flock`.
"""

import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
"""Errors of a file system that has no locks."""


def lock_file(path: Path, *, wait: bool) -> int:
    """Open the file, create it where it is missing, and lock it. Returns its descriptor; os.close releases the lock.

    Raises BlockingIOError where another process holds the lock, unless `wait`, and OSError where the file cannot be
    opened or its file system has no locks (NO_LOCKS).
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def sign_lock(descriptor: int) -> None:
    """Write host and process into a file that this process has locked, for those that `lock_holder` tells."""
    os.ftruncate(descriptor, 0)
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since}).encode(), 0)


def lock_holder(path: Path) -> str:
    """Name the process that holds the lock, as it has signed it; where it has not, how to find out."""
    try:
        holder = json.loads(path.read_bytes())
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        return f"another process (`fuser {path.name}` there names it)"
