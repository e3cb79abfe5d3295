"""Claim a folder, such as a cell or embeddings, for this process; the kernel drops the lock when the process ends.

Array tasks and a second submission share a study's folder: a claimed part is trained once, the others wait or go past.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from shards.file_lock import NO_LOCKS, lock_file

_log = logging.getLogger(__name__)

POLL_S = 1.0


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Claim a folder; yields False where another process has it. Freed at the end of the block."""
    with contextlib.ExitStack() as held:
        yield _claim(folder, held)


@contextlib.contextmanager
def waited_for(folder: Path, what: str) -> Iterator[None]:
    """Claim a folder, and wait for as long as another process has it. what: is said while it waits."""
    with contextlib.ExitStack() as held:
        waiting = False
        while not _claim(folder, held):
            if not waiting:
                _log.info("%s: another process is at it; waiting", what)
            waiting = True
            time.sleep(POLL_S)
        yield


def _claim(folder: Path, held: contextlib.ExitStack) -> bool:
    """Lock the folder until `held` is closed; whether that was possible."""
    # Beside the folder, not in it: a folder that a run or model takes must be empty.
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = lock_file(folder.with_name(f".{folder.name}.lock"), wait=False)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return True  # without locks everything is free, and written twice rather than never
    held.callback(os.close, descriptor)
    return True
