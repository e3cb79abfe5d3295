"""Handle a disk that accepts no writes for a while: which errors may pass, and the message for those that do not."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from training.errors import RunError

_MAY_PASS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def may_pass(error: OSError) -> bool:
    """Tell whether the same write may succeed later.

    The disk is full, a quota is used up, a write failed (write(2)).
    """
    return error.errno in _MAY_PASS


def reason(error: OSError) -> str:
    """Return the system's words for an error, without number and path."""
    return error.strerror or str(error)


@contextlib.contextmanager
def told_plainly(run: Path) -> Iterator[None]:
    """Turn an error of the disk that nothing else has handled into a RunError that says what to do."""
    try:
        yield
    except OSError as error:
        if not may_pass(error):
            raise
        where = error.filename or run
        raise RunError(
            f"{where}: {reason(error)}. Make space (or see to the quota or the disk), then run the same command again: "
            "it resumes from the newest checkpoint."
        ) from error
