"""End-to-end fine-tuning: train the whole network on labelled images, keep the epoch with the best validation AUROC.

A fine-tuning that was stopped resumes from its newest checkpoint; the same options give the same weights on the same
machine, whether or not it was stopped.
"""

import os
from dataclasses import dataclass

import pandas as pd

from shards.format.dataset import Dataset
from shards.format.subsets import select
from training.downstream.fine_tuning import FineTuning
from training.downstream.model_directory import Results, auroc_by_split, claim_model_folder, load_results, save_model
from training.downstream.options import FinetuneOptions
from training.downstream.start import Start, label_policy, recorded_options, training_rows, with_learnable_labels
from training.downstream.tuning_checkpoints import TuningCheckpoints
from training.errors import TrainingError
from training.labels import PLAIN, LabelPolicy, Targets, targets
from training.processes.signals import stop_on_signals
from training.processes.time_limit import TimeLimit
from training.regression.holdout import held_out
from training.runs.files import MODEL
from training.runs.full_disk import told_plainly
from training.runs.lock import locked


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


@dataclass(frozen=True)
class _Samples:
    """Rows and targets. rows: all whose labels are used. train, judged_on: to learn from, and to choose the epoch."""

    rows: pd.DataFrame
    train: pd.DataFrame
    wanted: Targets
    judged_on: pd.DataFrame
    truth: Targets


def finetune(start: Start, options: FinetuneOptions) -> Results:
    """Fine-tune on a label fraction of the train split and write the model directory. Returns the results.

    The epoch is chosen on the valid split, or on held-out training patients where there is none. SIGUSR1, SIGTERM, the
    first Ctrl-C and a time limit stop it after the step under way: a checkpoint is written, and PreemptedError is
    raised. The same options resume it. Raises SubsetError for labels of which the fraction has one class only,
    TrainingError for a loss that is not a number, RunError for a folder that another process trains in, ResumeError for
    one that holds an unfinished fine-tuning with other options.
    """
    start, samples = _samples(start, options)
    recorded = recorded_options(start, options)
    limit = TimeLimit(options.time_limit, os.environ)
    with stop_on_signals() as stop, told_plainly(options.output):
        checkpoints = TuningCheckpoints(options.output, recorded, stop, limit, options.checkpoint_minutes)
        tuning = FineTuning(start, options, checkpoints)
        claim_model_folder(options.output)
        with locked(options.output):
            if (options.output / MODEL).is_file():  # of a process that had the lock until now
                return load_results(options.output)
            try:
                results = _trained(start, options, tuning, samples)
            except TrainingError:
                checkpoints.remove()  # or other options, which the message advises, would be refused here
                raise
            checkpoints.remove()
    return results


def _samples(start: Start, options: FinetuneOptions) -> tuple[Start, _Samples]:
    """Choose the samples and the labels that can be learned from them."""
    dataset, policy = start.dataset, label_policy(options)
    rows = training_rows(dataset, options)
    # The labels decide which patients are held out, and the patients that are left which labels can be learned.
    while True:
        train, judged_on, judged_by = _validation(dataset, rows, start.labels, policy)
        wanted, before = targets(train, start.labels, policy), start.labels
        start = with_learnable_labels(start, options, wanted, f"{dataset.name}: {len(train)} samples to fine-tune on")
        if start.labels == before:
            return start, _Samples(rows, train, wanted, judged_on, targets(judged_on, start.labels, judged_by))


def _trained(start: Start, options: FinetuneOptions, tuning: FineTuning, samples: _Samples) -> Results:
    """Train, score valid and test with the best weights, and write the model directory."""
    dataset, labels = start.dataset, start.labels
    best, length = tuning.run(samples.train, samples.wanted, samples.judged_on, samples.truth)
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
        chosen_on=len(samples.judged_on),
        selected_on={"epoch": "valid" if len(select(dataset, "valid")) else "train"},
        selected_by=tuning.selected_by,
        epochs=length.epochs,
        steps_per_epoch=length.steps_per_epoch,
        steps=length.epochs * length.steps_per_epoch,
        validate_every=length.validate_every,
    )
    save_model(start, options, best.weights, trained_on=samples.rows, results=results, details=details)
    return results


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
