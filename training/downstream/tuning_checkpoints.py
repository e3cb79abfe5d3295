"""Checkpoints of a fine-tuning: when one is due, when to stop after it, where to resume; removed at the end."""

import json
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypedDict, cast

from torch import Tensor

from shards.durable import json_bytes
from shards.errors import ResumeError
from training.errors import PreemptedError
from training.options import Config, differences
from training.processes.signals import StopRequest
from training.processes.time_limit import TimeLimit
from training.runs.checkpoints import (
    TrainingState,
    checkpoint_path,
    load_checkpoint,
    newest_whole,
    prune_checkpoints,
    refuse_other_counts,
    save_checkpoint,
)
from training.runs.files import CHECKPOINTS
from training.runs.full_disk import saved
from training.runs.metrics_log import MetricsLog
from training.runs.throughput import Stopwatch

_log = logging.getLogger(__name__)


class BestState(TypedDict):
    """Best epoch so far, from 1, its AUROC, and its weights, on the CPU."""

    epoch: int
    auroc: float | None
    weights: dict[str, Tensor]


class TuningState(TrainingState):
    """State of a fine-tuning. losses: sum over the open epoch, a scalar."""

    network: dict[str, Tensor]
    losses: Tensor
    best: BestState | None
    loader: Mapping[str, int | str]


class SavedTuning(TuningState):
    """Keys of a checkpoint. options: as model.json records them."""

    options: Config


class Checkpointed(Protocol):
    """What a checkpoint is written of. steps: done so far."""

    steps: int

    def state_dict(self) -> TuningState:
        """Tensors and plain values."""


class TuningCheckpoints:
    """State: the fine-tuning that is under way (`begin`), and the time of its newest checkpoint.

    recorded: the options as model.json records them: a checkpoint of others is refused. minutes: from one checkpoint to
    the next, by the clock; 0: only where the training stops.
    """

    def __init__(self, output: Path, recorded: Config, stop: StopRequest, limit: TimeLimit, minutes: float) -> None:
        self._output, self._stop, self._limit, self._minutes = output, stop, limit, minutes
        self._recorded: Config = json.loads(json_bytes(recorded))
        self._tuning: Checkpointed | None = None
        self._log: MetricsLog | None = None
        self._total = 0
        self._moved = False  # whether a step was taken since the start: else a short time limit would stop every start
        self._watch, self._written = Stopwatch(), time.monotonic()

    def newest(self) -> TuningState | None:
        """Read the newest checkpoint that is whole; None where there is none.

        Raises ResumeError where it was made with other options, lacks a key, or where none is whole.
        """
        step = newest_whole(self._output)
        if step is None:
            return None
        state = load_checkpoint(self._output, step)
        found = state.get("options")
        details = differences(found if isinstance(found, dict) else {}, self._recorded)
        if details:
            raise ResumeError(
                f"{self._output} holds an unfinished fine-tuning with other options ({details}). Give its own options "
                f"to resume it, or another --output; or remove {self._output / CHECKPOINTS} to start again."
            )
        missing = sorted(SavedTuning.__required_keys__ - state.keys())
        if missing:
            raise ResumeError(
                f"{checkpoint_path(self._output, step)} is no checkpoint of a fine-tuning: the key {missing[0]} is "
                f"missing. Remove {self._output / CHECKPOINTS} to start again."
            )
        refuse_other_counts(checkpoint_path(self._output, step), state)
        return cast(TuningState, state)

    def begin(self, tuning: Checkpointed, log: MetricsLog, total: int) -> None:
        """Start the clock. log: put on the disk before a checkpoint. total: steps of the whole training."""
        self._tuning, self._log, self._total = tuning, log, total
        self._watch, self._written = Stopwatch(), time.monotonic()

    def log_is_whole(self) -> None:
        """Note that all lines of metrics are on the disk, and that none will follow."""
        self._log = None

    def after_step(self) -> None:
        """Write a checkpoint where one is due; raise PreemptedError where the training is asked to stop."""
        self._limit.note_step(self._watch.lap())
        self._moved = True
        self.stop_if_asked()
        if self._minutes and time.monotonic() - self._written >= 60 * self._minutes:
            self._write(insist=False)
        self._watch.lap()

    def stop_if_asked(self) -> None:
        """Write a checkpoint and raise PreemptedError after a signal or near the time limit; nothing otherwise."""
        if self._moved and self._limit.is_near():
            self._stop.ask(self._limit.name)
        if not self._stop or self._tuning is None:
            return
        path = self._write(insist=True)
        said = (
            f"Stopped by {self._stop.reason} after step {self._tuning.steps} of {self._total}: {path} is written. Run "
            "the same command again to resume."
        )
        _log.info(said)
        raise PreemptedError(said)

    def remove(self) -> None:
        """Remove all checkpoints: the model is written, or the training has failed and would fail again."""
        shutil.rmtree(self._output / CHECKPOINTS, ignore_errors=True)

    def _write(self, *, insist: bool) -> Path | None:
        assert self._tuning is not None
        step = self._tuning.steps
        state: SavedTuning = {**self._tuning.state_dict(), "options": self._recorded}
        self._watch.lap()
        path = saved(self._output, step, lambda: self._save(step, state), insist=insist)
        self._limit.note_checkpoint(self._watch.lap())
        self._written = time.monotonic()
        return path

    def _save(self, step: int, state: SavedTuning) -> Path:
        if self._log is not None:
            self._log.sync()
        path = save_checkpoint(self._output, step, state)
        prune_checkpoints(self._output, newest=step)
        return path
