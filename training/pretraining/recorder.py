"""Write the files of a pretraining run while it trains: lines of metrics, checkpoints, and at the end the backbone.

They are written in an order that leaves the run directory usable after a kill at any moment.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from shards.loading.loaders import TwoViewLoader
from training.backbones.description import BackboneDescription
from training.backbones.networks import backbone_weights
from training.errors import TrainingError
from training.moco.health import RankWatch
from training.pretraining.checkpoint_state import RunState
from training.pretraining.trainer import Trainer
from training.processes.ranks import Ranks
from training.provenance import Provenance
from training.runs.backbone_from import save_backbone
from training.runs.checkpoints import checkpoint_path, checkpoint_steps, prune_checkpoints, save_checkpoint
from training.runs.directory import write_last
from training.runs.full_disk import saved
from training.runs.metrics_log import MetricsLog, read_metrics
from training.runs.throughput import Clock

_log = logging.getLogger(__name__)


class Recorder:
    """Writer of a run's files, open while the run trains.

    State: the file of metrics, and `seconds`, the time trained so far over all starts of the run.

    description: of the run before its first step; the steps and epochs are filled in as they are done.
    ranks: all call the same methods; the first one writes, and what it cannot do ends them all.
    """

    def __init__(
        self,
        run: Path,
        trainer: Trainer,
        loader: TwoViewLoader,
        description: BackboneDescription,
        seconds: float,
        ranks: Ranks,
    ) -> None:
        self.clock = Clock()
        self._run, self._trainer, self._loader = run, trainer, loader
        self._begun, self._seconds, self._ranks = description, seconds, ranks
        self._rank_watch = RankWatch(loader.batch_size)
        self._log = MetricsLog(run, start=trainer.steps) if ranks.leads else None
        if ranks.leads:
            for line in read_metrics(run):  # of the run so far, so that its start is known
                self._rank_watch.see(int(line["step"]), line.get("effective_rank", math.nan))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is not None:
            self._log.close()

    def write_line(self, look: Callable[[], dict[str, float]] = dict) -> dict[str, str]:
        """End the window of metrics with a line, unless a loss in it is not finite. Returns figures for the bar.

        look: figures of the encoder as it stands, for the same line; what it takes is not training's time.
        """
        figures = self._ranks.of_leader(lambda: self._write_line(look))
        self._trainer.window.clear()
        self.clock.restart()
        return figures

    def write_checkpoint(self, *, insist: bool) -> Path | None:
        """Write the checkpoint of the step just done, unless something in it is not finite; drop the oldest of three.

        None, with a warning, if the disk does not take it for now (`may_pass`): training continues, and the next
        one due is the next attempt. Raises RunError instead if `insist`, and TrainingError for what is not finite.

        In this order: lines of metrics, checkpoint, last.json, removal. Whatever is interrupted, the newest checkpoint
        under its final name is whole and has its lines. All ranks wait for it: with one of them gone Slurm may kill the
        others (srun --kill-on-bad-exit).
        """
        return self._ranks.of_leader(lambda: self._write_checkpoint(insist))

    def finish(self) -> None:
        """Write the backbone of the finished run and, last, that it is finished."""
        self._ranks.of_leader(self._finish)

    def _write_line(self, look: Callable[[], dict[str, float]]) -> dict[str, str]:
        trainer, clock = self._trainer, self.clock
        self._refuse_divergence(weights=False)
        means = trainer.window.means()
        elapsed = clock.elapsed()
        self._seconds += elapsed
        rate, wait = clock.images / elapsed, clock.waited / elapsed
        health = trainer.health()
        self._warn_of_fallen_rank(health["effective_rank"])
        assert self._log is not None
        self._log.write(
            {
                "step": trainer.steps,
                "epoch": (trainer.steps - 1) // trainer.steps_per_epoch,
                **means,
                **health,
                **look(),
                "lr": trainer.learning_rate(trainer.steps - 1),
                "images_per_second": rate,
                "data_wait": wait,
                "seconds": self._seconds,
                **({"quarantined": self._loader.quarantined} if self._loader.quarantined else {}),
            }
        )
        loss, top1 = f"{means['loss']:.3f}", f"{means['top1']:.0%}"
        return {"loss": loss, "top1": top1, "images/s": f"{rate:.0f}", "data wait": f"{wait:.0%}"}

    def _warn_of_fallen_rank(self, rank: float) -> None:
        steps = self._trainer.steps
        start = self._rank_watch.see(steps, rank)
        if start is not None:
            _log.warning(
                "%s: the effective rank of the keys is %.1f at step %d, under a fifth of the start's %.1f: what the "
                "initial weights had learned is being lost. Training continues. A new run with --optimizer adam, a "
                "lower --lr such as 2e-4 and --warmup-epochs 1 keeps it (--config moco_pretrained_start).",
                *(self._run, rank, steps, start),
            )

    def _write_checkpoint(self, insist: bool) -> Path | None:
        self._refuse_divergence(weights=True)
        return saved(self._run, self._trainer.steps, self._save, insist=insist)

    def _refuse_divergence(self, *, weights: bool) -> None:
        """Raise TrainingError if a loss since the last line, or a weight, is lost; names the last good checkpoint.

        Every checkpoint is one: none is written before the losses of all its steps have been looked at.
        """
        try:
            self._trainer.refuse_lost_loss()
            if weights:
                self._trainer.refuse_lost_weights()
        except TrainingError as error:
            steps = checkpoint_steps(self._run)
            good = (
                f"The last good checkpoint is from before that: {checkpoint_path(self._run, steps[-1])}."
                if steps
                else "There is no checkpoint from before that."
            )
            raise TrainingError(f"{error} {good}") from error

    def _save(self) -> Path:
        trainer = self._trainer
        assert self._log is not None
        self._log.sync()
        state: RunState = {
            **trainer.state_dict(),
            "loader": self._loader.state_dict(),
            "seconds": self._seconds + self.clock.elapsed(),
            "backbone": self._description().as_json(),
            "processes": self._ranks.world_size,
        }
        path = save_checkpoint(self._run, trainer.steps, state)
        write_last(self._run, trainer.steps, state["epoch"], finished=False)
        prune_checkpoints(self._run, newest=trainer.steps)
        return path

    def _finish(self) -> None:
        trainer, description = self._trainer, self._description()
        weights = backbone_weights(trainer.moco.query_encoder, description.architecture)
        save_backbone(self._run, weights, description)
        write_last(self._run, trainer.steps, trainer.epochs, finished=True)

    def _description(self) -> BackboneDescription:
        done: Provenance = {"epochs": self._trainer.epochs, "steps": self._trainer.steps}
        return replace(self._begun, provenance={**self._begun.provenance, **done})
