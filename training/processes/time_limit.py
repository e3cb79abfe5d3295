"""Decide when a run must stop so that its checkpoint is written before its time limit. No torch.

The limit is set by a person or by Slurm; how long steps and checkpoints take is measured.
"""

import re
import time
from collections import deque
from collections.abc import Mapping

SLURM_END = "SLURM_JOB_END_TIME"
"""Unix time of a job's end in its environment (sbatch(1), output environment variables). A limit that is changed while
the job runs does not reach it."""

_SAFETY = 2.0  # a checkpoint may take twice as long as the slowest so far: others write to the same disk
_UNMEASURED_S = 60.0  # for the first checkpoint
_EXIT_S = 10.0  # closing files and ending the process, and the imports before the limit of a command began to count
_STEPS = 100  # that the slowest step is taken from; the very first, which may compile, is forgotten after so many

_SLURM_DURATION = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")


def seconds_of(text: str) -> float:
    """Convert to seconds: `90`, `12:00`, `01:30:00` or `2-00:00:00`.

    It is a number of seconds, or [D-][HH:]MM:SS as squeue writes it.

    Slurm itself takes a bare number for minutes; here it is seconds. Raises ValueError for anything else, and for 0.
    """
    match = _SLURM_DURATION.fullmatch(text.strip())
    if match:
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        if match[1] and not match[2]:
            raise ValueError(f"{text!r}: after days come hours, minutes and seconds, as in 1-12:00:00")
        total = float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    else:
        total = float(text)
    if not 0 < total < float("inf"):
        raise ValueError(f"{text!r} is no time")
    return total


class TimeLimit:
    """State: the end by the monotonic clock or None, what set it, and how long recent steps and checkpoints took.

    The clock on the wall is read once, for Slurm's end of the job: it may jump, forwards or back, while a run trains.
    """

    def __init__(self, limit: float | None, environment: Mapping[str, str]) -> None:
        """limit: seconds from now, or None. environment: may hold Slurm's end of the job; the earlier of both counts.

        Raises ValueError if Slurm's is not a number.
        """
        ends = []
        if limit is not None:
            ends.append((time.monotonic() + limit, f"--time-limit of {limit:.0f} s"))
        if environment.get(SLURM_END):
            left = float(environment[SLURM_END]) - time.time()
            ends.append((time.monotonic() + left, "time limit of the job"))
        self._end: float | None
        self._end, self.name = min(ends, default=(None, ""))
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._checkpoint: float | None = None

    def note_step(self, seconds: float) -> None:
        """Record how long a step took, with the wait for its data."""
        self._steps.append(seconds)

    def note_checkpoint(self, seconds: float) -> None:
        """Record how long a checkpoint took; the slowest counts."""
        self._checkpoint = max(seconds, self._checkpoint or 0.0)

    def margin(self, steps: int = 1) -> float:
        """Compute the seconds before the end at which to stop.

        They are those of so many steps and the checkpoint, twice each, and of ending the process.
        """
        checkpoint = _UNMEASURED_S if self._checkpoint is None else _SAFETY * self._checkpoint
        return _SAFETY * steps * max(self._steps, default=0.0) + checkpoint + _EXIT_S

    def is_near(self, steps: int = 1) -> bool:
        """Decide whether the run must stop after the step just done, if it takes so many steps more to look again."""
        return self._end is not None and time.monotonic() + self.margin(steps) >= self._end
