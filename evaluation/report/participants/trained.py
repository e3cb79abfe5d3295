"""List the training rows of models: by dataset, method, fraction and label policy, how many images and patients."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.report.records import ModelRecord
from evaluation.report.study import Model
from evaluation.report.text import METHOD_NAMES, percent, span

_POLICIES = {"ignore": "left out", "zeros": "negative", "ones": "positive"}


@dataclass(frozen=True)
class TrainedRow:
    """The models of one kind. uncertain, missing: what such labels count as. rows_are: the condition, or all rows."""

    dataset: str
    method: str
    fraction: str
    uncertain: str
    missing: str
    rows_are: str
    models: int
    images: str
    patients: str


def trained_rows(models: Sequence[Model]) -> list[TrainedRow]:
    """A row a kind of models, in order; arms are trained on the same rows and share theirs."""
    groups: dict[tuple[str, str, float, str, str, str], list[ModelRecord]] = {}
    for record in (model.record for model in models if model.record):
        policy = (record.uncertain or "", record.missing or "")
        key = (record.dataset.name, record.method, record.label_fraction, *policy, record.row_filter or "all rows")
        groups.setdefault(key, []).append(record)
    return [
        TrainedRow(
            dataset=dataset,
            method=METHOD_NAMES.get(method, method),
            fraction=percent(fraction),
            uncertain=_POLICIES.get(uncertain, uncertain or "not recorded"),
            missing=_POLICIES.get(missing, missing or "not recorded"),
            rows_are=rows_are,
            models=len(members),
            images=span([one.train_samples for one in members]),
            patients=span([one.train_patients for one in members if one.train_patients is not None]) or "not recorded",
        )
        for (dataset, method, fraction, uncertain, missing, rows_are), members in sorted(groups.items())
    ]
