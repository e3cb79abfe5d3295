"""End-to-end fine-tuning: train the whole network on labelled images, keep the epoch with the best validation AUROC.

A fine-tuning is short and restarts from the beginning after an interruption; the same options give the same weights on
the same machine.
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

from shards.errors import SubsetError
from shards.format.dataset import Dataset
from shards.format.subsets import select
from shards.loading.loaders import OneViewBatch, OneViewLoader
from shards.loading.placement import Placement
from shards.loading.staging import stage
from shards.terminal.progress import Bar, progress
from training.backbones.inference import outputs
from training.backbones.networks import attach_head, feature_dimension, images_to_input, on_device
from training.downstream.model_directory import Results, auroc_by_split, mean_auroc, save_model
from training.downstream.options import FinetuneOptions
from training.downstream.start import Start, label_policy, training_rows, with_learnable_labels
from training.downstream.training_length import TrainingLength, training_length
from training.errors import TrainingError
from training.labels import PLAIN, LabelPolicy, Targets, targets
from training.optimizers import build_optimizer
from training.processes.devices import autocast, available_threads, choose_device, torch_device
from training.random_streams import RandomStream, stream_seed
from training.regression.holdout import held_out
from training.runs.metrics_log import MetricsLog
from training.schedules import learning_rate

_log = logging.getLogger(__name__)

_WHAT_NEXT = "Try a smaller --lr, or --precision fp32."


@dataclass(frozen=True)
class FinetuneDetails:
    """What model.json says of a fine-tuning.

    best_auroc: mean over select_by. chosen_on: number of samples on which the epoch was chosen. selected_on: what was
    selected, and on which split: train stands for its held-out patients. steps: of all epochs. validate_every: epochs
    from one validation to the next.
    """

    best_epoch: int
    best_auroc: float | None
    chosen_on: int
    selected_on: dict[str, str]
    selected_by: tuple[str, ...]
    epochs: int
    steps_per_epoch: int
    steps: int
    validate_every: int


def finetune(start: Start, options: FinetuneOptions) -> Results:
    """Fine-tune on a label fraction of the train split and write the model directory. Returns the results.

    The epoch is chosen on the valid split, or on held-out training patients where there is none.
    Raises SubsetError for labels of which the fraction has one class only, TrainingError for a loss that is not a
    number.
    """
    dataset, policy = start.dataset, label_policy(options)
    rows = training_rows(dataset, options)
    # The labels decide which patients are held out, and the patients that are left which labels can be learned.
    while True:
        train, judged_on, judged_by = _validation(dataset, rows, start.labels, policy)
        wanted, before = targets(train, start.labels, policy), start.labels
        start = with_learnable_labels(start, options, wanted, f"{dataset.name}: {len(train)} samples to fine-tune on")
        if start.labels == before:
            break
    labels = start.labels
    tuning = _FineTuning(start, options)
    best, length = tuning.run(train, wanted, judged_on, targets(judged_on, labels, judged_by))
    tuning.network.load_state_dict(best.weights)
    found: dict[str, tuple[Targets, Targets] | None] = {"valid": None, "test": None}
    for split in found:
        of_split = select(dataset, split)
        if len(of_split):
            found[split] = targets(of_split, labels, PLAIN), tuning.scores(dataset, of_split)
    results = auroc_by_split(labels, found)
    details = FinetuneDetails(
        best_epoch=best.epoch,
        best_auroc=best.auroc,
        chosen_on=len(judged_on),
        selected_on={"epoch": "valid" if len(select(dataset, "valid")) else "train"},
        selected_by=tuning.selected_by,
        epochs=length.epochs,
        steps_per_epoch=length.steps_per_epoch,
        steps=length.epochs * length.steps_per_epoch,
        validate_every=length.validate_every,
    )
    save_model(start, options, best.weights, trained_on=rows, results=results, details=details)
    return results


def masked_loss(logits: Tensor, goal: Tensor) -> Tensor:
    """Average the binary cross entropy over the targets that are known. logits, goal: [N, L], NaN unknown; scalar.

    A batch without any known target has loss 0 and no gradient.
    """
    known = ~torch.isnan(goal)
    loss = F.binary_cross_entropy_with_logits(logits, torch.nan_to_num(goal), reduction="none")
    return (loss * known).sum() / known.sum().clamp(min=1)


def _validation(
    dataset: Dataset, rows: pd.DataFrame, labels: tuple[str, ...], policy: LabelPolicy
) -> tuple[pd.DataFrame, pd.DataFrame, LabelPolicy]:
    """Split off validation rows: (rows to train on, rows that choose the epoch, the label policy of the latter).

    Held-out training patients, perhaps none of a small fraction, are read with the policy of training: where only
    positives are mentioned, the plain policy would leave no negative to validate on.
    """
    valid = select(dataset, "valid")
    if len(valid):
        return rows, valid, PLAIN
    apart = held_out(rows, dataset.name, pd.Series((targets(rows, labels, policy) == 1).any(axis=1), index=rows.index))
    return rows[~apart], rows[apart], policy


@dataclass(frozen=True)
class _Best:
    """Best epoch so far, from 1; auroc None where it is undefined. weights: on the CPU, torchvision's names."""

    epoch: int
    auroc: float | None
    weights: dict[str, Tensor]

    def beaten_by(self, auroc: float | None) -> bool:
        """Whether a later epoch replaces this one: with a better AUROC only, or always where none is defined."""
        return self.auroc is None or (auroc is not None and auroc > self.auroc)


class _FineTuning:
    """Training of one network. State: the network, on its device, as far as it has been trained."""

    def __init__(self, start: Start, options: FinetuneOptions) -> None:
        self._dataset, self._backbone, self._labels, self._how = start.dataset, start.backbone, start.labels, options
        self.selected_by = options.select_by or start.labels
        missing = [label for label in self.selected_by if label not in start.labels]
        if missing:
            raise SubsetError(
                f"--select-by {', '.join(missing)}: not among the labels that are learned ({', '.join(start.labels)})"
            )
        self._loader_device = choose_device(options.device)
        self._threads = options.threads or available_threads()
        self._device = torch_device(self._loader_device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(options.seed, RandomStream.CLASSIFIER))
            head = nn.Linear(feature_dimension(start.backbone.architecture), len(start.labels))
        network = attach_head(copy.deepcopy(start.backbone.network), start.backbone.architecture, head)
        self.network = on_device(network, self._device)

    def run(
        self, train: pd.DataFrame, wanted: Targets, judged_on: pd.DataFrame, truth: Targets
    ) -> tuple[_Best, TrainingLength]:
        """Train on the rows that have a label, log each epoch and validate; returns the best epoch.

        wanted, truth: the targets of train and of judged_on.
        """
        labelled, output = ~np.isnan(wanted).all(axis=1), self._how.output
        dataset, train = self._near(train.iloc[np.flatnonzero(labelled)])
        judged_from, judged_on = self._near(judged_on)
        wanted = wanted[labelled]
        loader = OneViewLoader(
            dataset,
            train,
            image_size=self._backbone.image_size,
            batch_size=min(self._how.batch_size, len(train)),
            seed=self._how.seed,
            placement=Placement(self._loader_device, 0, self._threads),
            views=self._how.view_range(),
        )
        length = training_length(self._how, len(loader))
        optimizer = build_optimizer(
            self._how.optimizer, self.network.parameters(), self._how.lr, self._how.weight_decay
        )
        scaler = torch.amp.GradScaler(self._device.type, enabled=self._how.precision == "fp16")
        batches = _labelled_batches(loader, pd.Index(train["sample_id"]), torch.from_numpy(wanted))
        best: _Best | None = None
        output.mkdir(parents=True, exist_ok=True)
        total = length.epochs * length.steps_per_epoch
        with MetricsLog(output, start=0) as log, progress(total, f"fine-tuning on {len(train)}", "steps") as bar:
            for epoch in range(1, length.epochs + 1):
                loss, rate = self._epoch(epoch, length, batches, optimizer, scaler, bar)
                figures = {"step": epoch * length.steps_per_epoch, "epoch": epoch, "loss": loss, "lr": rate}
                if length.is_validated(epoch):
                    auroc = self._auroc(truth, self.scores(judged_from, judged_on))
                    bar.advance(0, loss=f"{loss:.3f}", auroc="undefined" if auroc is None else f"{auroc:.3f}")
                    figures |= {} if auroc is None else {"valid_auroc": auroc}
                    if best is None or best.beaten_by(auroc):
                        best = _Best(epoch, auroc, _copied(self.network))
                log.write(figures)
        loader.close()
        assert best is not None  # the last epoch is always validated
        _warn_of_last(best, length)
        return best, length

    def _auroc(self, truth: Targets, scores: Targets) -> float | None:
        """Mean AUROC over the labels that choose the epoch. truth, scores: [N, L]."""
        columns = [self._labels.index(label) for label in self.selected_by]
        return mean_auroc(self.selected_by, truth[:, columns], scores[:, columns])

    def scores(self, dataset: Dataset, rows: pd.DataFrame) -> Targets:
        """Compute the logits of each row's fixed view, float32 [N, L]. Raises TrainingError if one is not a number."""
        if rows.empty:
            return np.empty((0, len(self._labels)), dtype=np.float32)
        batches = outputs(
            self.network,
            dataset,
            rows,
            self._backbone.preprocessing,
            device=self._loader_device,
            threads=self._threads,
        )
        scores = np.concatenate([logits for logits, _ in batches])
        if not np.isfinite(scores).all():
            raise TrainingError(f"the network's output is not a number. {_WHAT_NEXT}")
        return scores

    def _near(self, rows: pd.DataFrame) -> tuple[Dataset, pd.DataFrame]:
        """Copy the rows to the node where that is asked for; (dataset to read them from, rows)."""
        if self._how.stage_to is None or rows.empty:
            return self._dataset, rows
        return stage(self._dataset, rows, self._how.stage_to)

    def _epoch(
        self,
        epoch: int,
        length: TrainingLength,
        batches: Iterator[tuple[OneViewBatch, Tensor]],
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        bar: Bar,
    ) -> tuple[float, float]:
        """Train for one epoch; (mean loss, last learning rate). Raises TrainingError for a loss that is not finite."""
        self.network.train()
        total, rate, steps = torch.zeros((), device=self._device), self._how.lr, length.steps_per_epoch
        for step in range((epoch - 1) * steps, epoch * steps):
            rate = learning_rate(
                step,
                schedule=self._how.schedule,
                lr=self._how.lr,
                milestones=(),
                epochs=length.epochs,
                steps_per_epoch=steps,
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch, goal = next(batches)
            with autocast(self._device, self._how.precision):
                mean, std = self._backbone.mean, self._backbone.std
                logits = self.network(images_to_input(batch.image, mean, std, batch.tones))
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


def _warn_of_last(best: _Best, length: TrainingLength) -> None:
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
