"""Mirror the metrics to TensorBoard. Points that a full disk does not take are missing there, and nowhere else."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from training.runs.full_disk import may_pass, reason

_log = logging.getLogger(__name__)


class Board:
    """State: the step to come, and the writer, or None while the disk takes nothing.

    tensorboard's writer has a thread of its own, which ends at the first error, with a traceback on stderr; every later
    call raises that error. So points are left out from then on, until a `flush` opens a new file of events. Where the
    folder itself is the reason (a file in its place, no permission), a warning says so once and none is shown.
    """

    def __init__(self, folder: Path, start: int) -> None:
        """start: points after this step, of a process before, are not shown any more."""
        self._folder, self._next = folder, start + 1
        self._writer: SummaryWriter | None = None
        self._refused = False
        self._open()

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """One point of each figure."""
        self._next = step + 1
        with self._tolerant():
            for name, value in figures.items():
                if self._writer is not None:
                    self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """Hand all points to the disk."""
        if self._writer is None:
            self._open()
        with self._tolerant():
            if self._writer is not None:
                self._writer.flush()

    def close(self) -> None:
        """Hand over what is left, and end the writer's thread."""
        with self._tolerant():
            if self._writer is not None:
                self._writer.close()

    def _open(self) -> None:
        if self._refused:
            return
        with self._tolerant():
            self._writer = SummaryWriter(self._folder, purge_step=self._next)

    @contextlib.contextmanager
    def _tolerant(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._writer = None
            if not may_pass(error) and not self._refused:
                self._refused = True
                _log.warning("%s: %s. The run continues without it.", self._folder, reason(error))
