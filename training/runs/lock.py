"""Let one process at a time train in a run directory: a lock on the file .lock in it, which the kernel keeps."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from shards.file_lock import NO_LOCKS, lock_file, lock_holder, sign_lock
from training.errors import RunError
from training.runs.files import CHECKPOINTS

LOCK = ".lock"

_log = logging.getLogger(__name__)


class RunLock:
    """State: the open and locked file, or None before `acquire`.

    The kernel releases it when the process ends, however that happens, so there is no stale lock to remove; the file
    itself stays. Where a file system has no locks, a warning says so and the run is not locked.
    """

    def __init__(self) -> None:
        self._file: int | None = None

    def acquire(self, run: Path) -> None:
        """Lock a run, which must be a folder; nothing if it is locked by this object already.

        Raises RunError with host and process of the holder. Then removes temporary files that a killed process left.
        """
        if self._file is not None:
            return
        if (run / LOCK).exists() and not (run / LOCK).is_file():
            raise RunError(f"{run / LOCK} is no regular file. Remove it, and run the same command again.")
        try:
            file = lock_file(run / LOCK, wait=False)
        except BlockingIOError:
            raise RunError(
                f"{run} is being trained by {lock_holder(run / LOCK)}. Two would write over each other: wait for it, "
                "stop it (SIGTERM: it writes a checkpoint), or give another --output."
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            _log.warning(
                "the file system of %s has no locks (%s): a second run there would not be noticed.",
                run,
                error.strerror,
            )
            return
        self._file = file
        sign_lock(file)
        for leftover in (path for folder in (run, run / CHECKPOINTS) for path in folder.glob(".*.tmp")):
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
