"""Train one run in this process: build its parts, start or resume it, step until the end or a stop request, finish."""

import enum
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from shards.format.pixel_statistics import pooled_statistics
from shards.loading.loaders import TwoViewBatch
from shards.terminal.logs import NOTE
from shards.terminal.progress import progress
from training.backbones.networks import Preprocessing
from training.pretraining.build import build_loader, build_trainer, describe_run, loader_device, run_datasets
from training.pretraining.checkpoint_state import RunState, load_run_state
from training.pretraining.knn import OnlineKnn
from training.pretraining.options import PretrainOptions
from training.pretraining.recorder import Recorder
from training.pretraining.trainer import statistics_batches
from training.pretraining.two_views_sheet import write_two_views
from training.processes.ranks import Ranks
from training.processes.signals import StopRequest
from training.processes.time_limit import TimeLimit
from training.runs.checkpoints import state_of
from training.runs.files import BACKBONE_WEIGHTS
from training.runs.full_disk import told_plainly
from training.runs.start import start_digest
from training.runs.throughput import Stopwatch

AGREE_EVERY = 4
"""Steps after which several processes tell each other whether one of them was asked to stop."""


class Outcome(enum.Enum):
    """The way in which a call of `pretrain` ended."""

    FINISHED = "finished"
    PREEMPTED = "preempted"


class Run:
    """A run in this process: the trainer and the loader that feeds it, new or as a checkpoint has them.

    Making it writes nothing and waits for no other process. Leaving its block closes the datasets.

    State: beside trainer and loader, `seconds` trained before this start of the run, in `processes_before` processes,
    and `start_digest`, the digest of the weights that it began with; None for an imported run, which began elsewhere.
    """

    def __init__(
        self, options: PretrainOptions, ranks: Ranks, resume_from: int | None = None, *, imported: bool = False
    ) -> None:
        """options: resolved. resume_from: step of a checkpoint. imported: its state is put in place by the caller."""
        self.options, self.ranks = options, ranks
        self.datasets = run_datasets(options)
        self.loader = build_loader(options, self.datasets, ranks)
        self.knn = OnlineKnn(self.datasets, options.knn_label, options.knn_images) if options.knn_label else None
        self.pixels = pooled_statistics(self.datasets)
        self.total_steps = options.epochs * len(self.loader)
        self.seconds, self.processes_before = 0.0, ranks.world_size
        self.start_digest: str | None = None
        self._written = time.monotonic()  # when the newest checkpoint was
        # A run that resumes takes its weights from the checkpoint, and no longer needs the file that it began with.
        new = resume_from is None and not imported
        init = options.init if new else "random"
        self.trainer = build_trainer(options, init, self.pixels, len(self.loader), ranks)
        self._sets_statistics = new and options.batch_norm == "ema"
        if new:
            self.start_digest = start_digest(self.trainer.moco.query_encoder, options.backbone)
        if resume_from is not None:
            state = load_run_state(options.output, resume_from)
            with state_of(options.output, resume_from):
                self._load(state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.loader.close()

    def agree(self) -> None:
        """Raise RunError where the processes of the run do not hold the same; log what all of them leave out."""
        if self.ranks.world_size > 1:
            self.ranks.agree(
                {
                    "torch": torch.__version__,
                    "images": f"{self.loader.samples}, {self.loader.quarantined} of them left out",
                    "number of steps": self.total_steps,
                    "step to resume from": self.trainer.steps,
                    "weights": self.trainer.checksum(),
                }
            )
        if self.loader.quarantined:
            self.ranks.say(f"{self.loader.quarantined} quarantined images are left out.", NOTE)
        if self.options.positives != "image":
            self.ranks.say(
                f"{self.loader.partnered} of {self.loader.samples} images have another one of the same "
                f"{self.options.positives}; the key views of the others are of the image itself."
            )

    def train(self, stop: StopRequest, limit: TimeLimit) -> Outcome:
        """Step to the end, or to the first step boundary after a stop request or before the time limit."""
        trainer, total, ranks = self.trainer, self.total_steps, self.ranks
        if self._sets_statistics:
            self._set_statistics()
        shown = progress(total, "pretraining", "steps", initial=trainer.steps, shown=ranks.leads)
        with told_plainly(self.options.output), self._recorder() as recorder, shown as bar:
            watch = Stopwatch()
            for batch in recorder.clock.batches(self._batches_left()):
                self._show_first(batch)
                trainer.step(batch)
                recorder.clock.images += len(batch.sample_id) * ranks.world_size
                bar.advance(1, **(recorder.write_line(self._knn_figures) if self._line_is_due() else {}))
                limit.note_step(watch.lap())
                stopping, due = self._is_to_stop(stop, limit)
                watch.lap()  # waiting for the other processes is no part of a checkpoint
                if stopping or due or self._checkpoint_is_due():
                    checkpoint = recorder.write_checkpoint(insist=stopping or trainer.steps == total)
                    limit.note_checkpoint(watch.lap())
                    self._written = time.monotonic()
                if stopping:
                    ranks.say(
                        f"Stopped by {stop.reason} after step {trainer.steps} of {total}: {checkpoint} is "
                        "written. Run the same command again to resume."
                    )
                    return Outcome.PREEMPTED
            recorder.finish()
        output = self.options.output
        ranks.say(f"{output}: finished after {total} steps; the backbone is {output / BACKBONE_WEIGHTS}.")
        return Outcome.FINISHED

    def checkpoint(self) -> Path:
        """Write a checkpoint of the run as it stands, without training."""
        with told_plainly(self.options.output), self._recorder() as recorder:
            path = recorder.write_checkpoint(insist=True)
        assert path is not None
        return path

    def _load(self, state: RunState) -> None:
        self.loader.load_state_dict(state["loader"])
        self.trainer.load_state_dict(state)
        self.seconds = state["seconds"]
        self.processes_before = state["processes"]
        self.start_digest = state["backbone"].get("start_digest")

    def _recorder(self) -> Recorder:
        description = describe_run(self.options, self.datasets, self.pixels, len(self.loader), self.start_digest)
        return Recorder(self.options.output, self.trainer, self.loader, description, self.seconds, self.ranks)

    def _set_statistics(self) -> None:
        """Set the BatchNorm statistics by the first batches of epoch 0, which the run then trains on all the same."""
        before = self.loader.state_dict()
        self.trainer.set_statistics(itertools.islice(self.loader, statistics_batches(len(self.loader))))
        self.loader.load_state_dict(before)

    def _batches_left(self) -> Iterator[TwoViewBatch]:
        """Yield this rank's batches up to the last step, epoch after epoch."""
        while self.trainer.steps < self.total_steps:
            yield from self.loader

    def _show_first(self, batch: TwoViewBatch) -> None:
        if self.trainer.steps == 0 and self.ranks.leads:
            write_two_views(self.options.output, batch)

    def _is_to_stop(self, stop: StopRequest, limit: TimeLimit) -> tuple[bool, bool]:
        """Decide whether to stop after this step, and whether a checkpoint is due by the clock, the same on all ranks.

        Several ask each other every AGREE_EVERY steps; the first one's clock counts.
        """
        steps, ranks, minutes = self.trainer.steps, self.ranks, self.options.checkpoint_minutes
        if limit.is_near(AGREE_EVERY if ranks.world_size > 1 else 1):
            stop.ask(limit.name)
        if steps == self.total_steps or (ranks.world_size > 1 and steps % AGREE_EVERY):
            return False, False
        due = bool(minutes) and ranks.leads and time.monotonic() - self._written >= 60 * minutes
        asked = bool(stop)
        if not ranks.any(asked or due):
            return False, False
        if not ranks.any(asked):
            return False, True
        stop.ask(next(reason for reason in ranks.share(stop.reason) if reason))
        return True, False

    def _line_is_due(self) -> bool:
        steps = self.trainer.steps
        return steps % self.options.log_every == 0 or steps == self.total_steps or self._knn_is_due()

    def _knn_is_due(self) -> bool:
        return self.knn is not None and self.trainer.steps % (self.options.knn_every * len(self.loader)) == 0

    def _knn_figures(self) -> dict[str, float]:
        """Compute the figures of a line of metrics beside the trainer's own; none where no evaluation by kNN is due."""
        if self.knn is None or not self._knn_is_due():
            return {}
        options = self.options
        auroc = self.knn.auroc(
            self.trainer.moco.query_encoder,
            options.backbone,
            Preprocessing(options.image_size, *self.pixels),
            device=loader_device(options),
            threads=options.threads or 1,
        )
        return {"knn_auroc": auroc}

    def _checkpoint_is_due(self) -> bool:
        every, steps = self.options.checkpoint_every, self.trainer.steps
        return steps % len(self.loader) == 0 or bool(every and steps % every == 0)
