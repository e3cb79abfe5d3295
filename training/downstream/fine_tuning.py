"""Take the steps of a fine-tuning, validate after epochs, and keep the best weights.

The state of a fine-tuning is what its checkpoints hold. A new one continues from it, bit for bit on a CPU.
"""

import copy
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shards.errors import ResumeError, SubsetError
from shards.format.dataset import Dataset
from shards.loading.loaders import OneViewBatch, OneViewLoader
from shards.loading.placement import Placement
from shards.loading.staging import stage
from shards.terminal.progress import Bar, progress
from training.backbones.inference import outputs
from training.backbones.networks import attach_head, feature_dimension, images_to_input, on_device
from training.downstream.model_directory import mean_auroc
from training.downstream.options import FinetuneOptions
from training.downstream.start import Start
from training.downstream.training_length import TrainingLength, training_length
from training.downstream.tuning_checkpoints import TuningCheckpoints, TuningState
from training.errors import TrainingError
from training.labels import Targets
from training.optimizers import build_optimizer
from training.processes.devices import autocast, available_threads, choose_device, torch_device
from training.random_streams import RandomStream, stream_seed
from training.runs.checkpoints import state_of
from training.runs.metrics_log import MetricsLog
from training.schedules import learning_rate

_log = logging.getLogger(__name__)

_WHAT_NEXT = "Try a smaller --lr, or --precision fp32."


def masked_loss(logits: Tensor, goal: Tensor) -> Tensor:
    """Average the binary cross entropy over the targets that are known. logits, goal: [N, L], NaN unknown; scalar.

    A batch without any known target has loss 0 and no gradient.
    """
    known = ~torch.isnan(goal)
    loss = F.binary_cross_entropy_with_logits(logits, torch.nan_to_num(goal), reduction="none")
    return (loss * known).sum() / known.sum().clamp(min=1)


@dataclass(frozen=True)
class Best:
    """Best epoch so far, from 1; auroc None where it is undefined. weights: on the CPU, torchvision's names."""

    epoch: int
    auroc: float | None
    weights: dict[str, Tensor]

    def beaten_by(self, auroc: float | None) -> bool:
        """Whether a later epoch replaces this one: with a better AUROC only, or always where none is defined."""
        return self.auroc is None or (auroc is not None and auroc > self.auroc)


class FineTuning:
    """Training of one network.

    State: `network`, on its device, optimizer and scaler; `steps` and `epochs` done (an epoch is done when it has been
    validated); the sum of the losses of the open epoch; `best`; the position of the loader; torch's random state.
    """

    def __init__(self, start: Start, options: FinetuneOptions, checkpoints: TuningCheckpoints) -> None:
        self._dataset, self._backbone, self._labels, self._how = start.dataset, start.backbone, start.labels, options
        self.selected_by = options.select_by or start.labels
        missing = [label for label in self.selected_by if label not in start.labels]
        if missing:
            raise SubsetError(
                f"--select-by {', '.join(missing)}: not among the labels that are learned ({', '.join(start.labels)})"
            )
        self._checkpoints = checkpoints
        self._views = options.view_range()
        self._loader_device = choose_device(options.device)
        self._threads = options.threads or available_threads()
        self._device = torch_device(self._loader_device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(options.seed, RandomStream.CLASSIFIER))
            head = nn.Linear(feature_dimension(start.backbone.architecture), len(start.labels))
        network = attach_head(copy.deepcopy(start.backbone.network), start.backbone.architecture, head)
        self.network = on_device(network, self._device)
        self._optimizer = build_optimizer(
            options.optimizer, self.network.parameters(), options.lr, options.weight_decay
        )
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=options.precision == "fp16")
        self._loader: OneViewLoader | None = None
        self.steps = self.epochs = 0
        self._losses = torch.zeros((), device=self._device)
        self.best: Best | None = None

    def run(
        self, train: pd.DataFrame, wanted: Targets, judged_on: pd.DataFrame, truth: Targets
    ) -> tuple[Best, TrainingLength]:
        """Train on the rows that have a label, log each epoch and validate; returns the best epoch.

        Resumes from the newest checkpoint of the folder. wanted, truth: the targets of train and of judged_on.
        Raises PreemptedError after a stop request, when the checkpoint is written.
        """
        labelled = ~np.isnan(wanted).all(axis=1)
        dataset, train = self._near(train.iloc[np.flatnonzero(labelled)])
        judged = self._near(judged_on)
        state = self._checkpoints.newest()
        step = state["step"] if state is not None else 0
        if state is not None:
            self._keep_threads(state["threads"])
        loader = self._loader = OneViewLoader(
            dataset,
            train,
            image_size=self._backbone.image_size,
            batch_size=min(self._how.batch_size, len(train)),
            seed=self._how.seed,
            placement=Placement(self._loader_device, 0, self._threads),
            views=self._views,
        )
        length = training_length(self._how, len(loader))
        total = length.epochs * length.steps_per_epoch
        if state is not None:
            with state_of(self._how.output, step):
                self.load_state_dict(state)
            _log.info("%s: resumes after step %d of %d.", self._how.output, self.steps, total)
        batches = _labelled_batches(loader, pd.Index(train["sample_id"]), torch.from_numpy(wanted[labelled]))
        shown = progress(total, f"fine-tuning on {len(train)}", "steps", initial=self.steps)
        # Lines of epochs that were validated after the checkpoint are written again.
        with MetricsLog(self._how.output, start=self.epochs * length.steps_per_epoch) as log, shown as bar:
            self._checkpoints.begin(self, log, total)
            while self.epochs < length.epochs:
                rate = self._train_epoch(length, batches, bar)
                self._close_epoch(length, rate, judged, truth, log, bar)
            log.sync()
            self._checkpoints.log_is_whole()
        loader.close()
        assert self.best is not None  # the last epoch is always validated
        _warn_of_last(self.best, length)
        return self.best, length

    def scores(self, dataset: Dataset, rows: pd.DataFrame) -> Targets:
        """Compute the logits of each row's fixed view, float32 [N, L]. Raises TrainingError if one is not a number.

        Raises PreemptedError between two batches after a stop request.
        """
        if rows.empty:
            return np.empty((0, len(self._labels)), dtype=np.float32)
        found = []
        for logits, _ in outputs(
            self.network,
            dataset,
            rows,
            self._backbone.preprocessing,
            device=self._loader_device,
            threads=self._threads,
        ):
            found.append(logits)
            self._checkpoints.stop_if_asked()
        scores = np.concatenate(found)
        if not np.isfinite(scores).all():
            raise TrainingError(f"the network's output is not a number. {_WHAT_NEXT}")
        return scores

    def state_dict(self) -> TuningState:
        """The whole state, for a checkpoint. Raises TrainingError where a loss of the open epoch is not a number."""
        self._refuse_lost_loss()
        assert self._loader is not None
        best, on_gpu = self.best, self._device.type == "cuda"
        return {
            "step": self.steps,
            "epoch": self.epochs,
            "threads": torch.get_num_threads(),
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "losses": self._losses,
            "best": None if best is None else {"epoch": best.epoch, "auroc": best.auroc, "weights": best.weights},
            "loader": self._loader.state_dict(),
            "rng": {
                "cpu": torch.get_rng_state(),
                "cuda": [torch.cuda.get_rng_state(self._device)] if on_gpu else [],
            },
        }

    def load_state_dict(self, state: TuningState) -> None:
        """Continue from the state of a checkpoint. Raises ResumeError where it is of other samples or views."""
        assert self._loader is not None
        self._loader.load_state_dict(state["loader"])
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise ResumeError(
                f"{self._how.output} holds a checkpoint of another network. Give another --output."
            ) from error
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self._losses = state["losses"].to(self._device)
        self.steps, self.epochs = state["step"], state["epoch"]
        self.best = None if state["best"] is None else Best(**state["best"])
        torch.set_rng_state(state["rng"]["cpu"])
        if self._device.type == "cuda":
            for generator in state["rng"]["cuda"]:
                torch.cuda.set_rng_state(generator, self._device)

    def _keep_threads(self, threads: int) -> None:
        """Compute with the checkpoint's number of threads: another one gives other bits."""
        if threads != torch.get_num_threads():
            _log.info("%s: keeps the %d threads that it began with.", self._how.output, threads)
        torch.set_num_threads(threads)
        self._threads = threads

    def _near(self, rows: pd.DataFrame) -> tuple[Dataset, pd.DataFrame]:
        """Copy the rows to the node where that is asked for; (dataset to read them from, rows)."""
        if self._how.stage_to is None or rows.empty:
            return self._dataset, rows
        return stage(self._dataset, rows, self._how.stage_to)

    def _train_epoch(self, length: TrainingLength, batches: Iterator[tuple[OneViewBatch, Tensor]], bar: Bar) -> float:
        """Take the steps that are left of the open epoch; returns the last learning rate."""
        self.network.train()
        while self.steps < (self.epochs + 1) * length.steps_per_epoch:
            rate = self._rate(self.steps, length)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._step(*next(batches))
            self.steps += 1
            bar.advance()
            self._checkpoints.after_step()
        return self._rate(self.steps - 1, length)

    def _step(self, batch: OneViewBatch, goal: Tensor) -> None:
        """One step. goal: float32 [N, L], NaN where it is not known."""
        with autocast(self._device, self._how.precision):
            mean, std = self._backbone.mean, self._backbone.std
            logits = self.network(images_to_input(batch.image, mean, std, batch.tones))
        loss = masked_loss(logits.float(), goal.to(self._device))
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._losses += loss.detach()

    def _close_epoch(
        self,
        length: TrainingLength,
        rate: float,
        judged: tuple[Dataset, pd.DataFrame],
        truth: Targets,
        log: MetricsLog,
        bar: Bar,
    ) -> None:
        """Validate where it is due, note the best epoch and write the line of metrics."""
        self._refuse_lost_loss()
        epoch, mean_loss = self.epochs + 1, float(self._losses) / length.steps_per_epoch
        figures = {"step": self.steps, "epoch": epoch, "loss": mean_loss, "lr": rate}
        if length.is_validated(epoch):
            auroc = self._auroc(truth, self.scores(*judged))
            bar.advance(0, loss=f"{mean_loss:.3f}", auroc="undefined" if auroc is None else f"{auroc:.3f}")
            figures |= {} if auroc is None else {"valid_auroc": auroc}
            if self.best is None or self.best.beaten_by(auroc):
                self.best = Best(epoch, auroc, _copied(self.network))
        log.write(figures)
        self.epochs, self._losses = epoch, torch.zeros((), device=self._device)

    def _auroc(self, truth: Targets, scores: Targets) -> float | None:
        """Mean AUROC over the labels that choose the epoch. truth, scores: [N, L]."""
        columns = [self._labels.index(label) for label in self.selected_by]
        return mean_auroc(self.selected_by, truth[:, columns], scores[:, columns])

    def _rate(self, step: int, length: TrainingLength) -> float:
        return learning_rate(
            step,
            schedule=self._how.schedule,
            lr=self._how.lr,
            milestones=(),
            epochs=length.epochs,
            steps_per_epoch=length.steps_per_epoch,
        )

    def _refuse_lost_loss(self) -> None:
        if not math.isfinite(float(self._losses)):
            raise TrainingError(f"epoch {self.epochs + 1}: the loss is not a number. {_WHAT_NEXT}")


def _warn_of_last(best: Best, length: TrainingLength) -> None:
    """Log a warning where the last of several validations was the best one."""
    if best.auroc is not None and best.epoch == length.epochs > length.validate_every:
        _log.warning(
            "the last epoch, %d, is the best one on the validation samples: more epochs may be better. Give a larger "
            "--epochs, or a larger --min-total-steps with --epochs auto",
            best.epoch,
        )


def _labelled_batches(loader: OneViewLoader, ids: pd.Index, wanted: Tensor) -> Iterator[tuple[OneViewBatch, Tensor]]:
    """Yield batches without end, with their targets, float32 [N, L]. ids: of the rows of `wanted`."""
    while True:
        for batch in loader:
            yield batch, wanted[torch.from_numpy(ids.get_indexer(pd.Index(batch.sample_id.numpy())))]


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
