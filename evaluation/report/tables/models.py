"""Spell the models of a study: a row for all draws of a dataset, method, start, label fraction and backbone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.report.gains import arm_name
from evaluation.report.pretrainings import run_names
from evaluation.report.records import ModelRecord
from evaluation.report.study import Model
from evaluation.report.text import METHOD_NAMES, listed, percent, span, split_name


@dataclass(frozen=True)
class ModelRow:
    """All models of a dataset, method, start, label fraction, backbone and pretraining run.

    selected: C and how it was chosen, or the epoch.
    """

    dataset: str
    method: str
    fraction: str
    arm: str
    trained: str
    models: int
    samples: str
    labels: str
    selected: str
    valid: str
    test: str


def model_rows(models: Sequence[Model], known_runs: Mapping[str, str] | None = None) -> list[ModelRow]:
    """Group models, one row a dataset, method, fraction, start, backbone and run: over all draws, AUROC averaged.

    known_runs: digest of a run's backbone -> the name of the run.
    """
    groups: dict[tuple[str, str, float, str, str], list[ModelRecord]] = {}
    for record in (model.record for model in models if model.record):
        run = run_names(filter(None, [record.pretraining]), known_runs or {})
        trained = ", ".join(filter(None, (record.backbone, run)))
        key = (record.dataset.name, record.method, record.label_fraction, arm_name(record.initial), trained)
        groups.setdefault(key, []).append(record)
    return [
        ModelRow(
            dataset=dataset,
            method=METHOD_NAMES.get(method, method),
            fraction=percent(fraction),
            arm=arm,
            trained=trained,
            models=len(members),
            samples=span([member.train_samples for member in members]),
            labels=listed(label for member in members for label in member.labels),
            selected=_selected(members),
            valid=_split_auroc(members, "valid"),
            test=_split_auroc(members, "test"),
        )
        for (dataset, method, fraction, arm, trained), members in sorted(groups.items())
    ]


def _selected(members: Sequence[ModelRecord]) -> str:
    """What was selected: C of the probes of all labels, and how; or the epochs of fine-tuning, and on which split."""
    chosen = [one for member in members for one in member.regularisation]
    if chosen:
        strengths = sorted({one.strength for one in chosen})
        values = f"{strengths[0]:g}" + (f" to {strengths[-1]:g}" if len(strengths) > 1 else "")
        return f"C {values}, by {listed(sorted({one.chosen_by for one in chosen}))}"
    epochs = [member.best_epoch for member in members if member.best_epoch is not None]
    if not epochs:
        return ""
    on = listed(
        sorted(
            {
                "held-out training" if split == "train" else split_name(split)
                for member in members
                for split in member.selected_on.values()
            }
        )
    )
    return f"epoch {span(epochs)}" + (f", on {on} patients" if on else "")


def _split_auroc(members: Sequence[ModelRecord], split: str) -> str:
    """Mean AUROC over labels and models in a split, or why there is none."""
    found = [result.get(split) for member in members for result in member.results.values()]
    values = [entry.auroc for entry in found if entry and entry.auroc is not None]
    if values:
        return f"{sum(values) / len(values):.3f}"
    return "undefined" if any(found) else f"no {split_name(split)} split"
