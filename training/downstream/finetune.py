"""End-to-end fine-tuning: the whole network on labelled images, the epoch with the best validation AUROC kept.

A dataset, a backbone and labels flow in, a model directory flows out. A run is short and starts anew when it was
interrupted; the same options give the same weights on the same machine.
"""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shards.format.dataset import Dataset
from shards.format.subsets import label_fraction, select, single_label
from shards.loading.dali_graph import Device
from shards.loading.loaders import OneViewLoader
from shards.loading.staging import stage
from shards.terminal.progress import Bar, progress
from training.backbones.backbone import Backbone
from training.backbones.inference import outputs
from training.backbones.networks import attach_head, feature_dimension, images_to_input, on_device, stream_seed
from training.downstream.holdout import held_out
from training.downstream.model_directory import auroc_by_split, mean_auroc, save_model
from training.errors import TrainingError
from training.labels import PLAIN, LabelPolicy, Targets, refuse_one_class, targets
from training.optimizers import build_optimizer
from training.processes.devices import autocast, torch_device
from training.runs.metrics_log import MetricsLog
from training.schedules import learning_rate

_HEAD_STREAM = 101  # of `stream_seed`: the head's first weights
_WHAT_NEXT = "Try a smaller --lr, or --precision fp32."


@dataclass(frozen=True)
class Optimization:
    """How the network is trained. batch_size: samples a step; lr: at the start; schedule: cosine or constant.

    min_steps: an epoch over few samples goes over them again until it has this many steps, so that small label
    fractions are trained too.
    """

    epochs: int
    batch_size: int
    lr: float
    optimizer: str
    weight_decay: float
    schedule: str
    min_steps: int
    precision: str


def finetune(
    dataset: Dataset,
    backbone: Backbone,
    labels: tuple[str, ...],
    output: Path,
    *,
    options: Mapping[str, Any],
    policy: LabelPolicy,
    optimization: Optimization,
    device: Device,
    threads: int,
    stage_to: Path | None = None,
) -> dict[str, Any]:
    """Fine-tune on a label fraction of the train split and write the model directory. Returns the results.

    The epoch is chosen on the valid split, or on held-out training patients where there is none. stage_to: folder of
    the node to which what every epoch reads is copied first.
    Raises SubsetError for labels of which the fraction knows one class only, TrainingError for a loss that is not a
    number.
    """
    rows = label_fraction(
        select(dataset, "train"), dataset.name, options["label_fraction"], options["draw"], single_label(dataset)
    )
    train, judged_on, judged_by = _validation(dataset, rows, labels, policy)
    wanted = targets(train, labels, policy)
    refuse_one_class(wanted, labels, f"{dataset.name}: {len(train)} samples to fine-tune on")
    tuning = _FineTuning(dataset, backbone, labels, optimization, options["seed"], device, threads, stage_to)
    best = tuning.run(train, wanted, judged_on, targets(judged_on, labels, judged_by), output)
    tuning.network.load_state_dict(best.weights)
    found: dict[str, tuple[Targets, Targets] | None] = {"valid": None, "test": None}
    for split in found:
        of_split = select(dataset, split)
        if len(of_split):
            found[split] = targets(of_split, labels, PLAIN), tuning.scores(dataset, of_split)
    results = auroc_by_split(labels, found)
    save_model(
        output,
        best.weights,
        backbone,
        method="finetune",
        labels=labels,
        options=options,
        dataset=dataset,
        trained_on=rows,
        results=results,
        details={"best_epoch": best.epoch, "best_auroc": best.auroc, "chosen_on": len(judged_on)},
    )
    return results


def masked_loss(logits: Tensor, goal: Tensor) -> Tensor:
    """Binary cross entropy over the targets that are known. logits, goal: [N, L], NaN in goal is left out; scalar.

    A batch without any known target has loss 0 and no gradient.
    """
    known = ~torch.isnan(goal)
    loss = F.binary_cross_entropy_with_logits(logits, torch.nan_to_num(goal), reduction="none")
    return (loss * known).sum() / known.sum().clamp(min=1)


def _validation(
    dataset: Dataset, rows: pd.DataFrame, labels: tuple[str, ...], policy: LabelPolicy
) -> tuple[pd.DataFrame, pd.DataFrame, LabelPolicy]:
    """(rows to train on, rows that choose the epoch, how their labels are read).

    Held-out training patients, perhaps none of a small fraction, are read as those that are learned from: where only
    positives are mentioned, a plain reading would leave no negative to judge by.
    """
    valid = select(dataset, "valid")
    if len(valid):
        return rows, valid, PLAIN
    apart = held_out(rows, dataset.name, pd.Series((targets(rows, labels, policy) == 1).any(axis=1), index=rows.index))
    return rows[~apart], rows[apart], policy


@dataclass(frozen=True)
class _Best:
    """The epoch kept so far, from 1; auroc None where it is undefined. weights: on the CPU, torchvision's names."""

    epoch: int
    auroc: float | None
    weights: dict[str, Tensor]

    def beaten_by(self, auroc: float | None) -> bool:
        """A later epoch wins only with a better AUROC; where none is defined, the last one does."""
        return self.auroc is None or (auroc is not None and auroc > self.auroc)


class _FineTuning:
    """State: the network, on its device, as far as it has been trained."""

    def __init__(
        self,
        dataset: Dataset,
        backbone: Backbone,
        labels: tuple[str, ...],
        optimization: Optimization,
        seed: int,
        device: Device,
        threads: int,
        stage_to: Path | None,
    ) -> None:
        self._dataset, self._backbone, self._labels, self._how = dataset, backbone, labels, optimization
        self._seed, self._loader_device, self._threads, self._stage_to = seed, device, threads, stage_to
        self._device = torch_device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(seed, _HEAD_STREAM))
            head = nn.Linear(feature_dimension(backbone.architecture), len(labels))
        network = attach_head(copy.deepcopy(backbone.network), backbone.architecture, head)
        self.network = on_device(network, self._device)

    def run(self, train: pd.DataFrame, wanted: Targets, judged_on: pd.DataFrame, truth: Targets, output: Path) -> _Best:
        """Train on the rows that have a label, judge each epoch, log it to `output`; the best epoch.

        wanted, truth: the targets of train and of judged_on.
        """
        labelled = ~np.isnan(wanted).all(axis=1)
        dataset, train = self._near(train.iloc[np.flatnonzero(labelled)])
        judged_from, judged_on = self._near(judged_on)
        wanted = wanted[labelled]
        loader = OneViewLoader(
            dataset,
            train,
            image_size=self._backbone.image_size,
            batch_size=min(self._how.batch_size, len(train)),
            seed=self._seed,
            device=self._loader_device,
            device_id=0,
            threads=self._threads,
        )
        steps = max(len(loader), self._how.min_steps)
        optimizer = build_optimizer(
            self._how.optimizer, self.network.parameters(), self._how.lr, self._how.weight_decay
        )
        scaler = torch.amp.GradScaler(self._device.type, enabled=self._how.precision == "fp16")
        batches = _labelled_batches(loader, pd.Index(train["sample_id"]), torch.from_numpy(wanted))
        best: _Best | None = None
        output.mkdir(parents=True, exist_ok=True)
        total = steps * self._how.epochs
        with MetricsLog(output, start=0) as log, progress(total, f"fine-tuning on {len(train)}", "steps") as bar:
            for epoch in range(1, self._how.epochs + 1):
                loss, rate = self._epoch(epoch, steps, batches, optimizer, scaler, bar)
                auroc = mean_auroc(self._labels, truth, self.scores(judged_from, judged_on))
                bar.advance(0, loss=f"{loss:.3f}", auroc="undefined" if auroc is None else f"{auroc:.3f}")
                figures = {"step": epoch * steps, "epoch": epoch, "loss": loss, "lr": rate}
                log.write(figures if auroc is None else {**figures, "valid_auroc": auroc})
                if best is None or best.beaten_by(auroc):
                    best = _Best(epoch, auroc, _copied(self.network))
        loader.close()
        if best is None:
            raise TrainingError(f"--epochs {self._how.epochs}: at least one is needed")
        return best

    def scores(self, dataset: Dataset, rows: pd.DataFrame) -> Targets:
        """Logits of the fixed view of each row, float32 [N, L]. Raises TrainingError if one is not a number."""
        if rows.empty:
            return np.empty((0, len(self._labels)), dtype=np.float32)
        batches = outputs(
            self.network,
            dataset,
            rows,
            image_size=self._backbone.image_size,
            mean=self._backbone.mean,
            std=self._backbone.std,
            device=self._loader_device,
            threads=self._threads,
        )
        scores = np.concatenate([logits for logits, _ in batches])
        if not np.isfinite(scores).all():
            raise TrainingError(f"the network's output is not a number. {_WHAT_NEXT}")
        return scores

    def _near(self, rows: pd.DataFrame) -> tuple[Dataset, pd.DataFrame]:
        """Where the rows are read: in the dataset, or in their copy on this node."""
        if self._stage_to is None or rows.empty:
            return self._dataset, rows
        return stage(self._dataset, rows, self._stage_to)

    def _epoch(
        self,
        epoch: int,
        steps: int,
        batches: Iterator[tuple[Tensor, Tensor]],
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        bar: Bar,
    ) -> tuple[float, float]:
        """Train for one epoch; (mean loss, last learning rate). Raises TrainingError for a loss that is no number."""
        self.network.train()
        total, rate = torch.zeros((), device=self._device), self._how.lr
        for step in range((epoch - 1) * steps, epoch * steps):
            rate = learning_rate(
                step,
                schedule=self._how.schedule,
                lr=self._how.lr,
                milestones=(),
                epochs=self._how.epochs,
                steps_per_epoch=steps,
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            image, goal = next(batches)
            with autocast(self._device, self._how.precision):
                logits = self.network(images_to_input(image, self._backbone.mean, self._backbone.std))
            loss = masked_loss(logits.float(), goal.to(self._device))
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
            total += loss.detach()
            bar.advance()
        mean_loss = float(total) / steps
        if not math.isfinite(mean_loss):
            raise TrainingError(f"epoch {epoch}: the loss is not a number. {_WHAT_NEXT}")
        return mean_loss, rate


def _labelled_batches(loader: OneViewLoader, ids: pd.Index, wanted: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end: images uint8 [N, 1, H, W] and their targets float32 [N, L]. ids: of the rows of `wanted`."""
    while True:
        for batch in loader:
            yield batch.image, wanted[torch.from_numpy(ids.get_indexer(pd.Index(batch.sample_id.numpy())))]


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
