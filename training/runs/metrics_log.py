"""Write the metrics of a run to metrics.jsonl and TensorBoard: one line and one point for every so many steps.

The files hold each step once, however often the run was stopped.
"""

import contextlib
import errno
import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from shards.durable import write_atomically
from training.errors import RunError
from training.runs.files import METRICS, TENSORBOARD
from training.runs.full_disk import may_pass, reason
from training.runs.metrics_lines import metrics_lines, read_metrics
from training.runs.tensorboard import Board

__all__ = ["MetricsLog", "StepWindow", "read_metrics"]

_log = logging.getLogger(__name__)


class MetricsLog:
    """Open for one process' part of a run. State: the two files, open for appending, and lines that wait for room.

    Whatever was written after step `start` is dropped first: a run that resumes from a checkpoint does those steps
    again. Spoiled lines are set aside in metrics.jsonl.damaged, with a warning: metrics are never the end of a run.
    """

    def __init__(self, run: Path, start: int) -> None:
        self._path = run / METRICS
        lines, spoiled = metrics_lines(run)
        if spoiled:
            _set_aside(self._path, spoiled)
        if self._path.exists() and not self._path.is_file():
            raise RunError(f"{self._path} is no regular file. Remove it, and run the same command again.")
        kept = [line for line in lines if line["step"] <= start]
        with write_atomically(self._path) as file:
            file.write(b"".join(_line(figures) for figures in kept))
        self._file = self._path.open("ab", buffering=0)
        self._waiting = b""
        self._board = Board(run / TENSORBOARD, start)

    def write(self, figures: Mapping[str, float]) -> None:
        """Append one line. `figures` has "step"; the others become TensorBoard's scalars of that step.

        While the disk takes nothing lines wait in memory, with a warning at the first: none is ever left out.
        """
        warned = bool(self._waiting)
        self._waiting += _line(figures)
        try:
            self._append()
        except OSError as error:
            if not may_pass(error):
                raise
            if not warned:
                _log.warning("%s: %s. Lines wait until there is room.", self._path, reason(error))
        self._board.add(int(figures["step"]), {name: value for name, value in figures.items() if name != "step"})

    def sync(self) -> None:
        """Put all lines on the disk, before a checkpoint that relies on them. Raises OSError if it is full."""
        self._append()
        os.fsync(self._file.fileno())
        self._board.flush()

    def close(self) -> None:
        """Close both files; what was written is there, and lines that wait are tried once more."""
        with contextlib.suppress(OSError):  # warned of already; and no checkpoint relies on them
            self._append()
        self._file.close()
        self._board.close()

    def _append(self) -> None:
        """Write the lines that wait, all or none. Raises FileNotFoundError where the whole folder was removed."""
        if not self._path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        size = os.fstat(self._file.fileno()).st_size
        try:
            left = memoryview(self._waiting)
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(size)
            raise
        self._waiting = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StepWindow:
    """Figures of the steps since the last line of metrics, on the device until they are read.

    Reading makes the host wait for the device, so it is done every so many steps. State: some scalars a step; part of
    the checkpoint, so that a line is the same whether or not the run was stopped inside its window.
    """

    def __init__(self) -> None:
        self._steps: list[dict[str, Tensor]] = []

    def add(self, figures: Mapping[str, Tensor]) -> None:
        """Note one step: scalars without gradient, of the same names each step; "loss" is one."""
        self._steps.append(dict(figures))

    def losses(self) -> list[float]:
        """Return the losses of the window's steps, in order."""
        return self._fetched().get("loss", [])

    def means(self) -> dict[str, float]:
        """Compute the mean of each figure over the steps in which it is finite; none where it never is.

        A step of fp16 whose gradient overflowed has an infinite norm, and is not taken.
        """
        found = {}
        for name, values in self._fetched().items():
            finite = [value for value in values if math.isfinite(value)]
            if finite:
                found[name] = math.fsum(finite) / len(finite)
        return found

    def clear(self) -> None:
        """Start the next window."""
        self._steps.clear()

    def state_dict(self) -> dict[str, list[float]]:
        """Plain numbers, one a step: exact, as a float32 is a float64."""
        return self._fetched()

    def load_state_dict(self, state: Mapping[str, list[float]], device: torch.device) -> None:
        """Continue a window that was left open."""
        steps = zip(*state.values(), strict=True)
        self._steps = [
            {name: torch.tensor(value, device=device) for name, value in zip(state, values, strict=True)}
            for values in steps
        ]

    def _fetched(self) -> dict[str, list[float]]:
        if not self._steps:
            return {}
        names = list(self._steps[0])
        table = torch.stack([step[name].float() for step in self._steps for name in names])
        rows = table.reshape(len(self._steps), len(names)).T.tolist()
        return dict(zip(names, rows, strict=True))


def _set_aside(path: Path, spoiled: list[bytes]) -> None:
    """Append spoiled lines to metrics.jsonl.damaged, as they are, and say so."""
    aside = path.with_name(f"{path.name}.damaged")
    with aside.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in spoiled))
    _log.warning(
        "%s has %d spoiled lines: they are kept in %s, and their steps are missing in curves. Have the disk checked.",
        *(path, len(spoiled), aside.name),
    )


def _line(figures: Mapping[str, float]) -> bytes:
    return (json.dumps(dict(figures), allow_nan=False) + "\n").encode()
