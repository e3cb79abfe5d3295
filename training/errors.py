"""Errors of training that the user can correct. A message says what was found, where, and what to do next."""

from shards.errors import CxrError, ResumeError


class WeightsError(CxrError):
    """A file or run that is missing or does not hold the expected weights."""


class RunError(CxrError):
    """A run directory that cannot be used as asked: unfinished, incomplete or of another kind."""


class DamagedCheckpointError(ResumeError):
    """A damaged checkpoint: cut off, or changed on the disk."""


class TrainingError(CxrError):
    """Training that cannot start or continue: a missing device, too few samples, a loss that is not a number."""


class PreemptedError(CxrError):
    """A training that was asked to stop, and has written its checkpoint: the same call again resumes it."""


class StudyError(CxrError):
    """A study file, or the folder of a study, that cannot be used as asked."""
