"""Spell the tables of a report: gains, comparisons that fit none of their rows, models, datasets and results.

Each dataclass is a row or a table as the template shows it: finished strings.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from evaluation.report.figures import Panel, auroc_limits, fraction_figure, percent
from evaluation.report.gains import MEAN, GainRow, GainTable, arm_name, weakness
from evaluation.report.pretrainings import run_names
from evaluation.report.records import Citation, ModelRecord
from evaluation.report.study import Model, Result, Study
from evaluation.report.text import (
    MINUS,
    estimate_text,
    excludes_zero,
    listed,
    p_value_text,
    split_name,
)
from evaluation.statistics.result import Difference, LabelResult, MeanResult, MetricResult

_METHODS = {"probe": "linear probe", "finetune": "fine-tuned"}
METRIC_NAMES = {
    "auroc": "AUROC",
    "ap": "average precision",
    "brier": "Brier score (lower is better)",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
}
_AGGREGATES = {"image": "by image", "study": "by study"}


@dataclass(frozen=True)
class DifferenceView:
    """A difference. excludes_zero: shown in bold, which what is weak never is.

    holm: the corrected p-value, empty where there is none.
    """

    value: str
    interval: str
    excludes_zero: bool
    p: str
    holm: str


@dataclass(frozen=True)
class GainRowView:
    """A method and label fraction. arms: (value, interval), None where not run."""

    method: str
    fraction: str
    weak: str
    draws: str
    arms: list[tuple[str, str] | None]
    differences: list[DifferenceView | None]


@dataclass(frozen=True)
class GainBlock:
    """The rows of one label, backbone and pretraining run. trained: the latter two."""

    label: str
    trained: str
    counts: str
    rows: list[GainRowView]


@dataclass(frozen=True)
class GainView:
    """A table of gains. first_figures: of its first label; figures: of the others."""

    title: str
    subtitle: str
    arms: list[str]
    differences: list[str]
    blocks: list[GainBlock]
    first_figures: list[Panel]
    figures: list[Panel]


@dataclass(frozen=True)
class OtherRow:
    """An arm on a label by one metric, and its difference from the reference where it is not the reference itself."""

    source: str
    metric: str
    label: str
    n: str
    positives: str
    arm: str
    value: tuple[str, str]
    reference: str
    difference: DifferenceView | None
    weak: str


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


@dataclass(frozen=True)
class DatasetRow:
    """A dataset. splits: samples of train, valid and test; patients: None where its shards are elsewhere."""

    name: str
    digest: str
    splits: list[int | None]
    patients: int | None
    licence: str


@dataclass(frozen=True)
class ResultRow:
    """How a bootstrap result was made."""

    name: str
    metric: str
    replicates: int
    level: str
    unit: str
    units: int
    over: str
    seed: int
    labels: int


def gain_view(table: GainTable, identity: str) -> GainView:
    """Spell a table of gains with its figures. identity: prefix of the figures' ids."""
    setting = table.setting
    rows_are = {"image": "images", "study": "studies"}.get(setting.aggregate, "rows")
    rows_text = f"images with {setting.row_filter}" if setting.row_filter else ""
    figures = _fraction_figures(table, identity)

    def block(row: GainRow) -> tuple[str, str, int | None, int | None]:
        return row.label, row.trained, row.n, row.positives

    return GainView(
        title=setting.dataset + (f", labels of {setting.trained_on}" if setting.trained_on else ""),
        subtitle=", ".join(filter(None, [split_name(setting.split), _AGGREGATES.get(setting.aggregate), rows_text])),
        arms=table.arms,
        differences=[f"{first} {MINUS} {second}" for first, second in table.differences],
        blocks=[
            GainBlock(
                _label(label),
                trained,
                _counts(n, positives, rows_are),
                [_gain_row(row, table) for row in rows],
            )
            for (label, trained, n, positives), rows in groupby(table.rows, block)
        ],
        first_figures=[figure for label, figure in figures if label == table.rows[0].label],
        figures=[figure for label, figure in figures if label != table.rows[0].label],
    )


def _counts(n: int | None, positives: int | None, rows_are: str) -> str:
    if n is None or positives is None:
        return ""
    return f"{n:,} {rows_are}, {positives:,} positive, {n - positives:,} negative"


def _gain_row(row: GainRow, table: GainTable) -> GainRowView:
    return GainRowView(
        method=_METHODS.get(row.method, row.method),
        fraction=percent(row.fraction),
        weak=row.weak,
        draws=listed(row.draws.values()),
        arms=[estimate_text(row.arms[arm]) if arm in row.arms else None for arm in table.arms],
        differences=[_difference_view(row.differences.get(pair), row.weak) for pair in table.differences],
    )


def _label(label: str) -> str:
    return "mean over labels" if label == MEAN else label


def _difference_view(estimate: Difference | None, weak: str) -> DifferenceView | None:
    if estimate is None:
        return None
    value, interval = estimate_text(estimate, signed=True)
    return DifferenceView(
        value,
        interval,
        excludes_zero(estimate) and not weak,
        p_value_text(estimate.p_value),
        p_value_text(estimate.holm_p_value),
    )


def _fraction_figures(table: GainTable, identity: str) -> list[tuple[str, Panel]]:
    """(label, figure) for each label, backbone, run and method, all on the table's common AUROC axis."""
    limits = auroc_limits(table.rows)
    if limits is None:
        return []
    arms = [arm for arm in table.arms if any(arm in row.arms for row in table.rows)]

    def panel(row: GainRow) -> tuple[str, str, str]:
        return row.label, row.trained, row.method

    several = len({row.trained for row in table.rows}) > 1

    figures = []
    for number, ((label, trained, method), rows) in enumerate(groupby(table.rows, panel)):
        title = f"{_label(label)}, {_METHODS.get(method, method)}"
        title += f", {trained}" if several and trained else ""
        figures.append((label, fraction_figure(list(rows), arms, limits, title, f"{identity}n{number}")))
    return figures


def other_rows(result: Result) -> Iterator[OtherRow]:
    """Rows of a result whose sidecars do not say what its arms are, or of another metric: a row a label and arm."""
    content = result.content
    return _rows(result, content.metric, MetricResult(content.labels, content.mean))


def further_rows(result: Result) -> Iterator[OtherRow]:
    """Rows of the further metrics of a result."""
    for metric, found in result.content.metrics.items():
        yield from _rows(result, metric, found)


def _rows(result: Result, metric: str, found: MetricResult) -> Iterator[OtherRow]:
    entries: list[tuple[str, LabelResult | MeanResult]] = [*found.labels.items()]
    if len(entries) > 1:
        entries.append((_label(MEAN), found.mean))
    for label, entry in entries:
        weak = weakness(result.content, entry)
        for arm, value in entry.arms.items():
            yield OtherRow(
                source=result.name,
                metric=METRIC_NAMES.get(metric, metric),
                label=label,
                n=f"{entry.n:,}" if isinstance(entry, LabelResult) else "",
                positives=f"{entry.positives:,}" if isinstance(entry, LabelResult) else "",
                arm=arm,
                value=estimate_text(value),
                reference=result.content.reference or "",
                difference=_difference_view(entry.differences.get(arm), weak),
                weak=weak,
            )


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
            method=_METHODS.get(method, method),
            fraction=percent(fraction),
            arm=arm,
            trained=trained,
            models=len(members),
            samples=_range([member.train_samples for member in members]),
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
    return f"epoch {_range(epochs)}" + (f", on {on} patients" if on else "")


def _split_auroc(members: Sequence[ModelRecord], split: str) -> str:
    """Mean AUROC over labels and models in a split, or why there is none."""
    found = [result.get(split) for member in members for result in member.results.values()]
    values = [entry.auroc for entry in found if entry and entry.auroc is not None]
    if values:
        return f"{sum(values) / len(values):.3f}"
    return "undefined" if any(found) else f"no {split_name(split)} split"


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def dataset_rows(study: Study) -> list[DatasetRow]:
    """List the datasets found in the folder with their counts, then those that are only cited."""
    rows = []
    for dataset in study.datasets:
        record = dataset.record
        name = dataset.name if record.name is None else record.name
        rows.append(DatasetRow(name, dataset.digest, list(record.samples), record.patients, record.licence))
    known = {row.digest for row in rows}
    cited = {citation.digest: citation.name for citation in _citations(study) if citation.digest is not None}
    for digest, name in cited.items():
        if digest not in known:
            rows.append(DatasetRow(name, digest, [None] * 3, None, ""))
    return rows


def _citations(study: Study) -> list[Citation]:
    runs = [run.backbone.datasets for run in study.runs if run.backbone]
    models = [(model.record.dataset,) for model in study.models if model.record]
    return [citation for group in (*runs, *models) for citation in group]


def result_rows(results: Sequence[Result]) -> list[ResultRow]:
    """List the bootstrap results and how each was made."""
    return [
        ResultRow(
            name=result.name,
            metric=listed(METRIC_NAMES.get(name, name) for name in (result.content.metric, *result.content.metrics)),
            replicates=result.content.replicates,
            level=f"{100 * result.content.level:g} %",
            unit=result.content.unit,
            units=result.content.units,
            over=listed(result.content.over),
            seed=result.content.seed,
            labels=len(result.content.labels),
        )
        for result in results
    ]
