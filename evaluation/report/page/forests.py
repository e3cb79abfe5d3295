"""Arrange gains and subgroups as forest plots."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from evaluation.report.figures import Forest, ForestGroup, ForestRow, percent
from evaluation.report.gains import MEAN, GainRow, GainTable
from evaluation.report.study import Result
from evaluation.report.tables.spelling import METRIC_NAMES, label_name
from evaluation.report.text import METHOD_NAMES, MINUS, estimate_text
from evaluation.statistics.result import Difference, LabelResult, MeanResult, SubgroupResult, Value

Titled = tuple[str, Forest]


def gain_forests(table: GainTable) -> dict[str, list[Titled]]:
    """The gains of a table by label, the mean first: a plot a pair of arms, its rows by method, run and fraction."""
    found: dict[str, list[Titled]] = {}
    for label, rows in groupby(table.rows, lambda row: row.label):
        of_label = list(rows)
        for pair in table.differences:
            groups = tuple(_gain_groups(of_label, pair))
            if groups:
                one, two = pair
                title = f"{label_name(label)}: {one} {MINUS} {two}"
                axis = f"difference in AUROC, {one} {MINUS} {two}"
                found.setdefault(label, []).append((title, Forest(axis, groups)))
    return found


def _gain_groups(rows: Sequence[GainRow], pair: tuple[str, str]) -> Iterator[ForestGroup]:
    for (trained, method), group in groupby(rows, lambda row: (row.trained, row.method)):
        lines = tuple(
            _row(percent(row.fraction), difference, paired_draws(row, pair), weak=bool(row.weak))
            for row in group
            if (difference := row.differences.get(pair)) is not None
        )
        if lines:
            yield ForestGroup(", ".join(filter(None, (METHOD_NAMES.get(method, method), trained))), lines)


def paired_draws(row: GainRow, pair: tuple[str, str]) -> tuple[float, ...]:
    """The difference in each draw that both arms have, each the mean over its seeds; none where there is one draw."""
    one, two = (_by_draw(row, arm) for arm in pair)
    shared = sorted(one.keys() & two.keys())
    return tuple(one[draw] - two[draw] for draw in shared) if len(shared) > 1 else ()


def _by_draw(row: GainRow, arm: str) -> Mapping[int, float]:
    value, numbers = row.arms.get(arm), row.draw_numbers.get(arm, ())
    found: dict[int, list[float]] = {}
    if value is not None and len(value.draws) == len(numbers):
        for number, one in zip(numbers, value.draws, strict=True):
            if one is not None:
                found.setdefault(number, []).append(one)
    return {number: sum(values) / len(values) for number, values in found.items()}


def subgroup_forests(result: Result) -> dict[str, list[Titled]]:
    """The subgroups of a result by label, the mean first: a plot of each difference, then of each arm's values."""
    content = result.content
    if not content.subgroups:
        return {}
    entries: list[tuple[str | None, LabelResult | MeanResult]] = list(content.labels.items())
    if len(entries) > 1:
        entries.insert(0, (None, content.mean))
    found = {}
    for label, entry in entries:
        name = label_name(MEAN) if label is None else label
        plots = [
            (
                f"{name}: {arm} {MINUS} {content.reference} by subgroup",
                _differences(content.subgroups, label, arm, entry, f"{arm} {MINUS} {content.reference}"),
            )
            for arm in entry.differences
        ]
        plots += [
            (f"{name}: {arm} by subgroup", _values(content.subgroups, label, arm, entry, content.metric))
            for arm in entry.arms
        ]
        found[name] = plots
    return found


Subgroups = Mapping[str, Mapping[str, SubgroupResult]]


def _values(columns: Subgroups, label: str | None, arm: str, whole: LabelResult | MeanResult, metric: str) -> Forest:
    groups = [ForestGroup("", (_row("all", whole.arms[arm], (), signed=False),))]
    for column, subgroups in columns.items():
        rows = tuple(
            _row(name, entry.arms.get(arm, Value(None)), (), weak=_weak(group, label), signed=False)
            for name, group in subgroups.items()
            if (entry := _entry(group, label)) is not None
        )
        groups += [ForestGroup(column, rows)] if rows else []
    return Forest(f"{METRIC_NAMES.get(metric, metric)}, {arm}", tuple(groups), whole.arms[arm].value)


def _differences(columns: Subgroups, label: str | None, arm: str, whole: LabelResult | MeanResult, axis: str) -> Forest:
    groups = [ForestGroup("", (_row("all", whole.differences[arm], ()),))]
    for column, subgroups in columns.items():
        rows = tuple(
            _row(name, entry.differences.get(arm, Difference(None)), (), weak=_weak(group, label))
            for name, group in subgroups.items()
            if (entry := _entry(group, label)) is not None
        )
        groups += [ForestGroup(column, rows)] if rows else []
    return Forest(axis, tuple(groups))


def _entry(group: SubgroupResult, label: str | None) -> LabelResult | MeanResult | None:
    return group.mean if label is None else group.labels.get(label)


def _weak(group: SubgroupResult, label: str | None) -> bool:
    """Of a mean over labels, any of them counts."""
    few = {*group.few, *group.not_judged}
    return bool(few) if label is None else label in few


def _row(
    name: str,
    estimate: Value | Difference,
    draws: tuple[float, ...],
    *,
    weak: bool = False,
    signed: bool = True,
) -> ForestRow:
    text = " ".join(filter(None, estimate_text(estimate, signed=signed)))
    return ForestRow(name, estimate.value, estimate.ci, text, draws, weak)
