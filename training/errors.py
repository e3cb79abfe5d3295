"""What can go wrong in training and is the person's to mend; every message says what, where and what next."""

from shards.errors import CxrError, ResumeError


class WeightsError(CxrError):
    """A file or run that does not hold the weights it should, or is not where it is looked for."""


class RunError(CxrError):
    """A run directory that cannot be used as asked: unfinished, foreign or incomplete."""


class DamagedCheckpointError(ResumeError):
    """A checkpoint whose bytes are not those that were written: cut off, or changed on the disk."""


class TrainingError(CxrError):
    """Training that cannot start or go on: a missing device, too few samples, a loss that is not a number."""
