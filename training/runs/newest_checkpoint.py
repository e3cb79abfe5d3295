"""Find the newest checkpoint of a run that is whole, to resume from or to read."""

import logging
from pathlib import Path

from shards.errors import ResumeError
from training.errors import DamagedCheckpointError
from training.runs.checkpoints import check_checkpoint, checkpoint_steps, set_aside

_log = logging.getLogger(__name__)


def newest_whole(run: Path, *, reading: bool = False) -> int | None:
    """Find the step of the newest checkpoint that is whole; None where the run has no checkpoint yet.

    Newer ones that are damaged are named on stderr and set aside (`set_aside`), or left as they are where the caller is
    only `reading`: that may be another person, while the run is alive. Raises ResumeError, and leaves every
    file as it is, if none is whole: a run that has lost its checkpoints must not restart unasked.
    """
    steps = checkpoint_steps(run)
    complaints: dict[int, str] = {}
    for step in reversed(steps):
        try:
            check_checkpoint(run, step)
        except DamagedCheckpointError as error:
            complaints[step] = str(error).split(". ")[0]
            continue
        for damaged, complaint in complaints.items():
            if reading:
                what_now = f"The checkpoint before it, of step {step}, is read."
            else:
                what_now = (
                    f"It is kept as {set_aside(run, damaged).name}; the run resumes from the checkpoint before it, of "
                    f"step {step}, and does the steps after it again."
                )
            _log.warning("%s. %s", complaint, what_now)
        return step
    if steps:
        raise ResumeError(
            f"No checkpoint of {run} is whole. {'. '.join(complaints.values())}. Put a copy of one back under its name "
            "if there is a backup; else begin again in another --output. Have the disk checked first."
        )
    return None
