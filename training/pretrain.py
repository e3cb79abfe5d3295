"""Pretraining, from shards to a run directory: build, go on or begin, train, hand on the backbone.

Reads top to bottom. Knows neither what a step does (trainer) nor what is written when (recorder).
"""

import enum
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch

from shards.dataset import Dataset, open_datasets
from shards.loader import TwoViewLoader
from shards.staging import stage
from shards.subsets import planned
from shards.terminal import progress
from shards.views import ViewRange
from training.checkpoints import prune_checkpoints
from training.devices import available_threads, choose_device
from training.errors import RunError
from training.full_disk import told_plainly
from training.moco import MoCo
from training.options import PretrainOptions
from training.plan_checks import batch_norm_groups, refuse_long_queue, refuse_long_warmup
from training.population import pooled_statistics, train_patients
from training.preemption import StopRequest, stop_on_signals
from training.recorder import Recorder
from training.resumption import load_newest_whole
from training.run_directory import (
    read_config,
    read_last,
    refuse_other_config,
    write_config,
    write_last,
    write_patients,
)
from training.run_lock import RunLock
from training.time_limit import TimeLimit
from training.trainer import Trainer
from training.two_views import write_two_views
from training.weights import WEIGHTS, describe_backbone, init_name, init_patients, initial_backbone


class Outcome(enum.Enum):
    """How a call of `pretrain` ended."""

    FINISHED = "finished"
    PREEMPTED = "preempted"


def pretrain(options: PretrainOptions) -> Outcome:
    """Train until the last epoch, a signal (SIGUSR1, SIGTERM) or a time limit; go on with the run if it was begun.

    Raises CxrError where data, weights or the run directory do not allow it.
    """
    limit = TimeLimit(options.time_limit, os.environ)
    with stop_on_signals() as stop, told_plainly(options.output):
        recorded = read_config(options.output)
        options = _resolved(options, recorded)
        if recorded is not None:
            refuse_other_config(options.output, recorded, options.as_config())
        last = read_last(options.output)
        if last is not None and last.finished:
            click.echo(f"{options.output} is finished: {last.step} steps, {last.epoch} epochs. Nothing is left to do.")
            return Outcome.FINISHED
        lock = RunLock(options.output)
        if recorded is not None:
            lock.acquire()
        try:
            run = _Run(options, lock, begun=recorded is not None)
            try:
                return run.train(stop, limit)
            finally:
                run.close()
        finally:
            lock.release()


def begin_at(options: PretrainOptions, place: Callable[[Trainer, TwoViewLoader], None]) -> Path:
    """Begin a run and write its first checkpoint, as `place` leaves trainer and loader; `pretrain` goes on from there.

    Returns the checkpoint. Raises RunError for a folder in which a run was begun before.
    """
    recorded = read_config(options.output)
    if recorded is not None:
        raise RunError(f"{options.output} holds a run already. Give another folder.")
    lock = RunLock(options.output)
    run = _Run(_resolved(options, None), lock, begun=False, init="random")
    try:
        place(run.trainer, run.loader)
        return run.checkpoint()
    finally:
        run.close()
        lock.release()


class _Run:
    """A run in this process: the trainer and the loader that feeds it, new or as a checkpoint has them."""

    def __init__(self, options: PretrainOptions, lock: RunLock, *, begun: bool, init: str | None = None) -> None:
        """lock: held if the run was begun; one that begins now takes it when it writes its first file.

        init: the weights a new run begins with, in place of the options' own.
        """
        # By name: the order of an epoch counts through the datasets, and must not depend on that of the options.
        self.datasets = sorted(open_datasets(options.shards), key=lambda dataset: dataset.name)
        self.options = options
        self.loader = TwoViewLoader(
            self.datasets if options.stage_to is None else _staged(self.datasets, options.stage_to),
            image_size=options.image_size,
            batch_size=options.batch_size * options.accumulate,
            seed=options.seed,
            device="gpu" if options.device == "gpu" else "cpu",
            device_id=0 if options.device == "gpu" else None,
            threads=options.threads or 1,
            views=ViewRange(options.degrees, options.flip, options.scale, options.translate),
            verify_checksums=options.verify_checksums,
        )
        if self.loader.quarantined:
            click.echo(f"{self.loader.quarantined} quarantined images are left out.", err=True)
        self.mean, self.std = pooled_statistics(self.datasets)
        self.total_steps = options.epochs * len(self.loader)
        self.seconds = 0.0
        torch.set_num_threads(options.threads or 1)
        torch.manual_seed(options.seed)
        newest = load_newest_whole(options.output)
        # A run that goes on takes its weights from the checkpoint, and no longer needs the file it began with.
        moco = _build_moco(options, init=(init or options.init) if newest is None else "random")
        self.trainer = Trainer(moco, options, mean=self.mean, std=self.std, steps_per_epoch=len(self.loader))
        if newest is None:
            self._begin(lock, begun)
        else:
            self._go_on(*newest)

    def train(self, stop: StopRequest, limit: TimeLimit) -> Outcome:
        """Step by step to the end, or to the first step boundary after a signal or before the time limit."""
        output, trainer, total = self.options.output, self.trainer, self.total_steps
        with (
            Recorder(output, trainer, self.loader, self._description(), self.seconds) as recorder,
            progress(total, "pretraining", "steps", initial=trainer.steps) as bar,
        ):
            moment = time.monotonic()
            while trainer.steps < total:
                for batch in recorder.clock.batches(self.loader):
                    if trainer.steps == 0:
                        write_two_views(output, batch)
                    trainer.step(batch)
                    recorder.clock.images += len(batch.sample_id)
                    line_is_due = trainer.steps % self.options.log_every == 0 or trainer.steps == total
                    bar.advance(1, **(recorder.write_line() if line_is_due else {}))
                    limit.note_step(time.monotonic() - moment)
                    if limit.is_near():
                        stop.ask(limit.name)
                    stopping = bool(stop) and trainer.steps < total
                    moment = time.monotonic()
                    if stopping or self._checkpoint_is_due():
                        checkpoint = recorder.write_checkpoint(insist=stopping or trainer.steps == total)
                        limit.note_checkpoint(time.monotonic() - moment)
                        moment = time.monotonic()
                    if stopping:
                        click.echo(
                            f"Stopped by {stop.reason} after step {trainer.steps} of {total}: {checkpoint} is "
                            "written. Run the same command again to go on."
                        )
                        return Outcome.PREEMPTED
            recorder.hand_on()
        click.echo(f"{output}: finished after {total} steps; the backbone is {output / WEIGHTS}.")
        return Outcome.FINISHED

    def checkpoint(self) -> Path:
        """Write a checkpoint of the run as it stands, without training."""
        with Recorder(self.options.output, self.trainer, self.loader, self._description(), self.seconds) as recorder:
            path = recorder.write_checkpoint(insist=True)
        assert path is not None
        return path

    def close(self) -> None:
        """Close the datasets."""
        self.loader.close()

    def _begin(self, lock: RunLock, begun: bool) -> None:
        options, samples = self.options, self.loader.samples
        refuse_long_queue(options, samples)
        refuse_long_warmup(options)
        options.output.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if not begun and read_config(options.output) is not None:
            raise RunError(f"{options.output} has been begun by another process just now. Run the same command again.")
        remarks = [f"dataset {dataset.name}: {dataset.root}, digest {dataset.digest}" for dataset in self.datasets]
        write_config(options.output, options.as_config(), [*remarks, f"torch {torch.__version__}"])
        write_patients(options.output, pd.concat([init_patients(options.init), train_patients(self.datasets)]))
        if begun:
            click.echo(f"{options.output} was begun but has no checkpoint yet: begins at step 0.")
        click.echo(
            f"{options.backbone} from {init_name(options.init)} weights, {samples} images of "
            f"{', '.join(dataset.name for dataset in self.datasets)}: {options.epochs} epochs of "
            f"{len(self.loader)} steps, {options.device}, {options.precision}, {options.threads} threads."
        )

    def _go_on(self, step: int, state: dict[str, Any]) -> None:
        self.loader.load_state_dict(state["loader"])
        self.trainer.load_state_dict(state)
        self.seconds = state["seconds"]
        prune_checkpoints(self.options.output, newest=step)
        write_last(self.options.output, step, state["epoch"], finished=False)
        click.echo(f"{self.options.output}: goes on after step {step} of {self.total_steps}.")

    def _checkpoint_is_due(self) -> bool:
        every, steps = self.options.checkpoint_every, self.trainer.steps
        return steps % len(self.loader) == 0 or bool(every and steps % every == 0)

    def _description(self) -> dict[str, Any]:
        options = self.options
        return describe_backbone(
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


def _resolved(options: PretrainOptions, recorded: dict[str, Any] | None) -> PretrainOptions:
    threads = options.threads or (recorded or {}).get("threads") or available_threads()
    return options.resolved(device=choose_device(options.device), threads=threads)


def _staged(datasets: Sequence[Dataset], folder: Path) -> list[Dataset]:
    """The datasets as they are read from their copies on this node."""
    return [stage(dataset, planned(dataset, "train"), folder)[0] for dataset in datasets]


def _build_moco(options: PretrainOptions, init: str) -> MoCo:
    return MoCo(
        initial_backbone(init, options.backbone, options.seed),
        options.backbone,
        queue_size=options.queue_size,
        momentum=options.momentum,
        temperature=options.temperature,
        seed=options.seed,
        mask_same_image=options.mask_same_image,
        bn_groups=batch_norm_groups(options, options.batch_size),
    )
