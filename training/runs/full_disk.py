"""Handle a disk that accepts no writes for a while: which errors may pass, and the message for those that do not."""

import contextlib
import errno
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from training.errors import RunError
from training.runs.checkpoints import checkpoint_path, checkpoint_steps

_log = logging.getLogger(__name__)

_MAY_PASS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def may_pass(error: OSError) -> bool:
    """Tell whether the same write may succeed later.

    The disk is full, a quota is used up, a write failed (write(2)).
    """
    return error.errno in _MAY_PASS


def reason(error: OSError) -> str:
    """Return the system's words for an error, without number and path."""
    return error.strerror or str(error)


def saved(run: Path, step: int, save: Callable[[], Path], *, insist: bool) -> Path | None:
    """Write the checkpoint of a step by `save`, and return its path.

    None, with a warning, if the disk does not take it for now (`may_pass`): training continues, and the next one due is
    the next attempt. Raises RunError instead if `insist`.
    """
    try:
        return save()
    except OSError as error:
        steps = checkpoint_steps(run)
        newest = f"the newest is that of step {steps[-1]}" if steps else "there is none yet"
        what = f"{checkpoint_path(run, step)} cannot be written: {reason(error)}; {newest}."
        if _is_gone(run, error):
            raise _gone(run) from error
        if insist or not may_pass(error):
            raise RunError(
                f"{what} Make space (or see to the quota or the disk), then run the same command again: it "
                "resumes from the newest checkpoint."
            ) from error
        _log.warning("%s Training continues; the next checkpoint due is the next attempt.", what)
        return None


@contextlib.contextmanager
def told_plainly(run: Path) -> Iterator[None]:
    """Turn an error of the disk, or of a run that was removed, into a RunError that says what to do."""
    try:
        yield
    except OSError as error:
        if _is_gone(run, error):
            raise _gone(run) from error
        if not may_pass(error):
            raise
        where = error.filename or run
        raise RunError(
            f"{where}: {reason(error)}. Make space (or see to the quota or the disk), then run the same command again: "
            "it resumes from the newest checkpoint."
        ) from error


def _is_gone(run: Path, error: OSError) -> bool:
    """Whether the folder of the run has been removed, or something else put in its place, while it was trained."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE) and not run.is_dir()


def _gone(run: Path) -> RunError:
    return RunError(
        f"{run} was removed while it was trained: nothing can be written there, and no checkpoint is left. Run the "
        "same command again to start at step 0, or put a copy of the folder back first to resume from its checkpoint."
    )
