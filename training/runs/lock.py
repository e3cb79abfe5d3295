"""Let one process at a time train in a run directory: a lock on the file .lock in it, which the kernel keeps."""

import contextlib
import errno
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from shards.file_lock import lock_file
from shards.input_files import load_json
from training.errors import RunError

LOCK = ".lock"

_log = logging.getLogger(__name__)

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


class RunLock:
    """State: the open and locked file, or None before `acquire`.

    flock(2): the kernel lets go of it when the process ends, however that happens, so there is no stale lock to remove;
    the file itself stays. Over NFS Linux makes of it a byte-range lock that all clients see (nfs(5), local_lock), and
    Lustre does so when mounted with `-o flock`; where a file system has no locks, a warning says so and the run is
    not locked.
    """

    def __init__(self) -> None:
        self._file: int | None = None

    def acquire(self, run: Path) -> None:
        """Lock a run, which must be a folder; nothing if it is locked by this object already.

        Raises RunError with host and process of the holder. Then removes temporary files that a killed process left.
        """
        if self._file is not None:
            return
        try:
            file = lock_file(run / LOCK, wait=False)
        except BlockingIOError:
            holder = _holder(run / LOCK)
            raise RunError(
                f"{run} is being trained by {holder}. Two would write over each other: wait for it, stop it "
                "(SIGTERM: it writes a checkpoint), or give another --output."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _log.warning(
                "the file system of %s has no locks (%s): a second run there would not be noticed.",
                run,
                error.strerror,
            )
            return
        self._file = file
        os.ftruncate(file, 0)
        since = time.strftime("%Y-%m-%d %H:%M:%S %z")
        os.pwrite(file, json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since}).encode(), 0)
        for leftover in (path for folder in (run, run / "checkpoints") for path in folder.glob(".*.tmp")):
            leftover.unlink(missing_ok=True)

    def close(self) -> None:
        """Let another process have the run."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Lock a folder for the length of the block. Raises RunError as `RunLock.acquire` does."""
    with contextlib.closing(RunLock()) as lock:
        lock.acquire(run)
        yield


def _holder(lock: Path) -> str:
    try:
        holder = load_json(lock.read_bytes())
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError, OSError):  # it has locked, and not yet written who it is
        return f"another process (`fuser {LOCK}` there names it)"
