"""metrics.jsonl and TensorBoard of a run: one line, one point, for every so many steps.

Flows in: numbers. Flows out: files that hold each step once, however often the run was stopped. Knows no network.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from shards.durable import write_atomically

METRICS, TENSORBOARD = "metrics.jsonl", "tensorboard"


def read_metrics(run: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, in order; a last line that was cut off is left out. No lines where no file is."""
    path = run / METRICS
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1]]


class MetricsLog:
    """Open for one process' part of a run. State: the two files, open for appending.

    Whatever was written after step `start` is dropped first: a run that goes on from a checkpoint does those steps
    again.
    """

    def __init__(self, run: Path, start: int) -> None:
        kept = [line for line in read_metrics(run) if line["step"] <= start]
        with write_atomically(run / METRICS) as file:
            file.write(b"".join(_line(figures) for figures in kept))
        self._file = (run / METRICS).open("ab")
        self._board = SummaryWriter(run / TENSORBOARD, purge_step=start + 1)

    def write(self, figures: Mapping[str, float]) -> None:
        """Append one line. `figures` has "step"; the others become TensorBoard's scalars of that step."""
        self._file.write(_line(figures))
        self._file.flush()
        for name, value in figures.items():
            if name != "step":
                self._board.add_scalar(name, value, int(figures["step"]))

    def sync(self) -> None:
        """Put all lines on the disk, before a checkpoint that relies on them."""
        os.fsync(self._file.fileno())
        self._board.flush()

    def close(self) -> None:
        """Close both files; what was written is there."""
        self._file.close()
        self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StepWindow:
    """Loss and accuracy of the steps since the last line of metrics, on the device until somebody looks.

    Looking makes the host wait for the device, so it is done every so many steps. State: two scalars a step; part of
    the checkpoint, so that a line is the same whether or not the run was stopped inside its window.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._accuracies: list[Tensor] = []

    def add(self, loss: Tensor, accuracy: Tensor) -> None:
        """Note one step. Both: scalars without gradient."""
        self._losses.append(loss)
        self._accuracies.append(accuracy)

    def losses(self) -> list[float]:
        """The losses of the window's steps, in order."""
        return _fetched(self._losses)

    def means(self) -> tuple[float, float]:
        """Mean loss and mean accuracy of the window's steps."""
        losses, accuracies = _fetched(self._losses), _fetched(self._accuracies)
        return math.fsum(losses) / len(losses), math.fsum(accuracies) / len(accuracies)

    def clear(self) -> None:
        """Begin the next window."""
        self._losses.clear()
        self._accuracies.clear()

    def state_dict(self) -> dict[str, list[float]]:
        """Plain numbers: exact, as a float32 is a float64."""
        return {"losses": _fetched(self._losses), "accuracies": _fetched(self._accuracies)}

    def load_state_dict(self, state: Mapping[str, list[float]], device: torch.device) -> None:
        """Take up a window that was left open."""
        self._losses = [torch.tensor(value, device=device) for value in state["losses"]]
        self._accuracies = [torch.tensor(value, device=device) for value in state["accuracies"]]


def _fetched(scalars: list[Tensor]) -> list[float]:
    return torch.stack(scalars).tolist() if scalars else []


def _line(figures: Mapping[str, float]) -> bytes:
    return (json.dumps(dict(figures), allow_nan=False) + "\n").encode()
