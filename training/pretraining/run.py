"""One run in this process: built new or as a checkpoint has it, begun or gone on with, trained to an end or a stop.

Flows in: what was found in the run directory, and the other processes. Knows neither what a step does (trainer) nor
what is written when (recorder).
"""

import enum
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch

from shards.format.dataset import Dataset, open_datasets
from shards.format.pixel_statistics import pooled_statistics
from shards.format.subsets import planned
from shards.loading.augmentation import ViewRange
from shards.loading.loaders import TwoViewLoader
from shards.loading.placement import Partition, Placement
from shards.loading.staging import stage
from shards.terminal.progress import progress
from training.backbones.backbone import init_name, init_patients, initial_backbone
from training.errors import RunError
from training.moco.model import MoCo
from training.pretraining.knn import OnlineKnn
from training.pretraining.options import PretrainOptions
from training.pretraining.recorder import Recorder
from training.pretraining.refusals import batch_norm_groups, refuse_long_queue, refuse_long_warmup
from training.pretraining.trainer import Trainer
from training.pretraining.two_views_sheet import write_two_views
from training.processes.devices import torch_device
from training.processes.ranks import Ranks
from training.processes.signals import StopRequest
from training.processes.time_limit import TimeLimit
from training.runs.backbone_from import describe_backbone
from training.runs.checkpoints import load_checkpoint, prune_checkpoints
from training.runs.directory import read_config, write_config, write_last
from training.runs.files import BACKBONE_WEIGHTS
from training.runs.lock import RunLock
from training.runs.start import START_DIGEST, start_digest, write_start
from training.seen_patients import train_patients, write_patients

AGREE_EVERY = 4
"""Steps after which several processes tell each other whether one of them was asked to stop."""


class Outcome(enum.Enum):
    """How a call of `pretrain` ended."""

    FINISHED = "finished"
    PREEMPTED = "preempted"


@dataclass(frozen=True)
class Start:
    """What the first process has found in the run directory.

    options: with what was left open filled in. begun: the directory holds a config. step: of the checkpoint to go on
    from. finished: what a finished run has done, in words.
    """

    options: PretrainOptions
    begun: bool = False
    step: int | None = None
    finished: str | None = None


class Run:
    """A run in this process: the trainer and the loader that feeds it, new or as a checkpoint has them.

    Until `begin_or_go_on` nothing is written and no other process is waited for.
    """

    def __init__(self, start: Start, ranks: Ranks, init: str | None = None) -> None:
        """init: the weights a new run begins with, in place of the options' own."""
        self.options, self.ranks = start.options, ranks
        self._start, options = start, start.options
        # By name: the order of an epoch counts through the datasets, and must not depend on that of the options.
        self.datasets = sorted(open_datasets(options.shards), key=lambda dataset: dataset.name)
        self.loader = TwoViewLoader(
            self.datasets if options.stage_to is None else _staged(self.datasets, options.stage_to),
            image_size=options.image_size,
            batch_size=options.batch_size * options.accumulate,
            seed=options.seed,
            placement=Placement(
                "gpu" if options.device == "gpu" else "cpu", torch_device(options.device).index, options.threads or 1
            ),
            partition=Partition(ranks.rank, ranks.world_size),
            views=ViewRange(options.degrees, options.flip, options.scale, options.translate),
            verify_checksums=options.verify_checksums,
        )
        self.knn = OnlineKnn(self.datasets, options.knn_label, options.knn_images) if options.knn_label else None
        self.mean, self.std = pooled_statistics(self.datasets)
        self.total_steps = options.epochs * len(self.loader)
        self.seconds, self._processes_before = 0.0, ranks.world_size
        torch.set_num_threads(options.threads or 1)
        torch.manual_seed(options.seed)
        # A run that goes on takes its weights from the checkpoint, and no longer needs the file it began with.
        imported = init is not None
        init = (init or options.init) if start.step is None else "random"
        moco = _build_moco(options, init, batch_norm_groups(options, options.batch_size, ranks.world_size))
        self.trainer = Trainer(
            moco, options, mean=self.mean, std=self.std, steps_per_epoch=len(self.loader), ranks=ranks
        )
        self._start_digest: str | None = None  # an imported run began elsewhere
        if start.step is None and not imported:
            self._start_digest = start_digest(self.trainer.moco.query_encoder, options.backbone)
        if start.step is not None:
            state = load_checkpoint(options.output, start.step)
            self.loader.load_state_dict(state["loader"])
            self.trainer.load_state_dict(state)
            self.seconds = state["seconds"]
            self._processes_before = state["processes"]
            self._start_digest = state["backbone"].get(START_DIGEST)

    def begin_or_go_on(self, lock: RunLock) -> None:
        """Once all processes are found to hold the same: take the run directory in hand.

        Raises RunError or TrainingError where they do not, or where the run's plan makes no sense.
        """
        if self.ranks.world_size > 1:
            self.ranks.agree(
                {
                    "torch": torch.__version__,
                    "images": f"{self.loader.samples}, {self.loader.quarantined} of them left out",
                    "number of steps": self.total_steps,
                    "step to go on from": self.trainer.steps,
                    "weights": self.trainer.checksum(),
                }
            )
        if self.loader.quarantined:
            self.ranks.say(f"{self.loader.quarantined} quarantined images are left out.", err=True)
        self.ranks.of_leader(lambda: self._begin(lock) if self._start.step is None else self._go_on())

    def train(self, stop: StopRequest, limit: TimeLimit) -> Outcome:
        """Step by step to the end, or to the first step boundary after a signal or before the time limit."""
        output, trainer, total, ranks = self.options.output, self.trainer, self.total_steps, self.ranks
        with (
            self._recorder() as recorder,
            progress(total, "pretraining", "steps", initial=trainer.steps, shown=ranks.leads) as bar,
        ):
            moment = time.monotonic()
            while trainer.steps < total:
                for batch in recorder.clock.batches(self.loader):
                    if trainer.steps == 0 and ranks.leads:
                        write_two_views(output, batch)
                    trainer.step(batch)
                    recorder.clock.images += len(batch.sample_id) * ranks.world_size
                    bar.advance(1, **(recorder.write_line(self._look) if self._line_is_due() else {}))
                    limit.note_step(time.monotonic() - moment)
                    if limit.is_near(AGREE_EVERY if ranks.world_size > 1 else 1):
                        stop.ask(limit.name)
                    stopping = self._is_to_stop(stop)
                    moment = time.monotonic()
                    if stopping or self._checkpoint_is_due():
                        checkpoint = recorder.write_checkpoint(insist=stopping or trainer.steps == total)
                        limit.note_checkpoint(time.monotonic() - moment)
                        moment = time.monotonic()
                    if stopping:
                        ranks.say(
                            f"Stopped by {stop.reason} after step {trainer.steps} of {total}: {checkpoint} is "
                            "written. Run the same command again to go on."
                        )
                        return Outcome.PREEMPTED
            recorder.hand_on()
        ranks.say(f"{output}: finished after {total} steps; the backbone is {output / BACKBONE_WEIGHTS}.")
        return Outcome.FINISHED

    def checkpoint(self) -> Path:
        """Write a checkpoint of the run as it stands, without training."""
        with self._recorder() as recorder:
            path = recorder.write_checkpoint(insist=True)
        assert path is not None
        return path

    def close(self) -> None:
        """Close the datasets."""
        self.loader.close()

    def _recorder(self) -> Recorder:
        return Recorder(self.options.output, self.trainer, self.loader, self._description(), self.seconds, self.ranks)

    def _begin(self, lock: RunLock) -> None:
        options, samples, begun = self.options, self.loader.samples, self._start.begun
        refuse_long_queue(options, samples)
        refuse_long_warmup(options)
        options.output.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if not begun and read_config(options.output) is not None:
            raise RunError(f"{options.output} has been begun by another process just now. Run the same command again.")
        remarks = [f"dataset {dataset.name}: {dataset.root}, digest {dataset.digest}" for dataset in self.datasets]
        write_config(options.output, options.as_config(), [*remarks, f"torch {torch.__version__}"])
        write_patients(options.output, pd.concat([init_patients(options.init), train_patients(self.datasets)]))
        if self._start_digest is not None:
            write_start(options.output, self.trainer.moco.query_encoder, options.backbone, options.init)
        if begun:
            click.echo(f"{options.output} was begun but has no checkpoint yet: begins at step 0.")
        click.echo(
            f"{options.backbone} from {init_name(options.init)} weights, {samples} images of "
            f"{', '.join(dataset.name for dataset in self.datasets)}: {options.epochs} epochs of "
            f"{len(self.loader)} steps, {options.device}, {options.precision}, {options.threads} threads{self._of()}."
        )

    def _go_on(self) -> None:
        steps, epoch = self.trainer.steps, self.trainer.steps // self.trainer.steps_per_epoch
        prune_checkpoints(self.options.output, newest=steps)
        write_last(self.options.output, steps, epoch, finished=False)
        click.echo(f"{self.options.output}: goes on after step {steps} of {self.total_steps}{self._of()}.")
        if self._processes_before != self.ranks.world_size:
            click.echo(
                f"It was trained in {self._processes_before} processes so far. Batches and views stay as they would "
                "be; sums are rounded otherwise, so the weights will not be the same to the last bit."
            )

    def _of(self) -> str:
        return f" in each of {self.ranks.world_size} processes" if self.ranks.world_size > 1 else ""

    def _is_to_stop(self, stop: StopRequest) -> bool:
        """Whether to stop after this step, the same on all ranks; several look every AGREE_EVERY steps."""
        steps, ranks = self.trainer.steps, self.ranks
        if steps == self.total_steps or (ranks.world_size > 1 and steps % AGREE_EVERY):
            return False
        if not ranks.any(bool(stop)):
            return False
        stop.ask(next(reason for reason in ranks.share(stop.reason) if reason))
        return True

    def _line_is_due(self) -> bool:
        steps = self.trainer.steps
        return steps % self.options.log_every == 0 or steps == self.total_steps or self._knn_is_due()

    def _knn_is_due(self) -> bool:
        return self.knn is not None and self.trainer.steps % (self.options.knn_every * len(self.loader)) == 0

    def _look(self) -> dict[str, float]:
        """What a line of metrics says beside the trainer's own figures."""
        if self.knn is None or not self._knn_is_due():
            return {}
        options = self.options
        auroc = self.knn.auroc(
            self.trainer.moco.query_encoder,
            options.backbone,
            image_size=options.image_size,
            mean=self.mean,
            std=self.std,
            device="gpu" if options.device == "gpu" else "cpu",
            threads=options.threads or 1,
        )
        return {"knn_auroc": auroc}

    def _checkpoint_is_due(self) -> bool:
        every, steps = self.options.checkpoint_every, self.trainer.steps
        return steps % len(self.loader) == 0 or bool(every and steps % every == 0)

    def _description(self) -> dict[str, Any]:
        options = self.options
        start = {} if self._start_digest is None else {START_DIGEST: self._start_digest}
        return start | describe_backbone(
            architecture=options.backbone,
            image_size=options.image_size,
            mean=self.mean,
            std=self.std,
            provenance={
                "method": "moco-v2",
                "init": init_name(options.init),
                "seed": options.seed,
                "epochs": options.epochs,
                "steps": self.total_steps,
                "datasets": [dataset.citation for dataset in self.datasets],
            },
        )


def _staged(datasets: Sequence[Dataset], folder: Path) -> list[Dataset]:
    """The datasets as they are read from their copies on this node."""
    return [stage(dataset, planned(dataset, "train"), folder)[0] for dataset in datasets]


def _build_moco(options: PretrainOptions, init: str, bn_groups: int) -> MoCo:
    return MoCo(
        initial_backbone(init, options.backbone, options.seed),
        options.backbone,
        queue_size=options.queue_size,
        momentum=options.momentum,
        temperature=options.temperature,
        seed=options.seed,
        mask_same_image=options.mask_same_image,
        bn_groups=bn_groups,
    )
