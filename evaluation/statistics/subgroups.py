"""Estimate metrics within subgroups, on the same replicates: values, differences from the rest, gaps at the threshold.

A subgroup on a label is a further column of the truth, in which the other rows are unknown. So it is resampled with all
others, and its difference from the rest accounts for patients that are in both.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.holm import holm
from evaluation.statistics.label_results import (
    ReplicatedArm,
    ReplicatedMetric,
    by_arm,
    label_result,
    mean_difference,
    mean_result,
)
from evaluation.statistics.result import (
    ByLabelAndArm,
    ByResult,
    Difference,
    LabelResult,
    RestDifferences,
    SubgroupMetric,
    SubgroupResult,
    Value,
)
from evaluation.tables.comparison import Comparison

FEW = 50
"""Units of a class below which a subgroup's label is marked."""
FEWEST = 10
"""Units of a class below which a subgroup's label is not judged."""
TPR, FPR = "tpr", "fpr"
GAPS = {TPR: "sensitivity", FPR: "specificity"}


@dataclass(frozen=True)
class Group:
    """One subgroup. n: rows. inside, rest: by label, the column of its rows and that of all other known rows."""

    column: str
    name: str
    n: int
    inside: Mapping[str, int]
    rest: Mapping[str, int]


@dataclass(frozen=True)
class Columns:
    """The truth with a column for each label, then for each label in each subgroup and in its rest.

    truth: [rows, columns]. scored: the label that each column judges. units: how many units each column is of.
    """

    truth: NDArray[np.float64]
    scored: tuple[int, ...]
    units: tuple[int, ...]
    groups: tuple[Group, ...]


def columns_of(comparison: Comparison) -> Columns:
    """Lay out the columns. Of two subgroups each is the other's rest, and is computed once."""
    parts = [comparison.truth]
    units = [comparison.units] * len(comparison.labels)
    groups: list[Group] = []

    def add(rows: NDArray[np.bool_]) -> dict[str, int]:
        first = len(comparison.labels) * len(parts)
        parts.append(np.where(rows[:, None], comparison.truth, np.nan))
        units.extend([len(np.unique(comparison.unit[rows]))] * len(comparison.labels))
        return {label: first + number for number, label in enumerate(comparison.labels)}

    for column, found in comparison.subgroups.items():
        inside = [add(found.group == number) for number in range(len(found.names))]
        for number, name in enumerate(found.names):
            rest = inside[1 - number] if len(found.names) == 2 else add((found.group != number) & (found.group >= 0))
            groups.append(Group(column, name, int((found.group == number).sum()), inside[number], rest))
    scored = tuple(range(len(comparison.labels))) * len(parts)
    return Columns(np.concatenate(parts, axis=1), scored, tuple(units), tuple(groups))


def subgroup_results(
    runs: Mapping[str, ReplicatedMetric], metrics: Sequence[str], columns: Columns, comparison: Comparison
) -> tuple[dict[str, dict[str, SubgroupResult]], dict[str, ByResult]]:
    """All subgroups by all metrics, corrected within each column and metric; and what each column leaves out.

    runs: by metric, with sensitivity and specificity where there are thresholds.
    """
    found: dict[str, dict[str, SubgroupResult]] = {column: {} for column in comparison.subgroups}
    for group in columns.groups:
        by_metric = {metric: _by_metric(runs[metric], group) for metric in metrics}
        first = by_metric.pop(metrics[0])
        least = {label: min(_units(runs[metrics[0]], comparison, column)) for label, column in group.inside.items()}
        found[group.column][group.name] = SubgroupResult(
            n=group.n,
            labels=first.labels,
            mean=first.mean,
            rest=first.rest,
            few=tuple(label for label, count in least.items() if FEWEST <= count < FEW),
            not_judged=tuple(label for label, count in least.items() if count < FEWEST),
            gaps={gap: _gap(runs[metric], group, gap) for gap, metric in GAPS.items() if metric in runs},
            metrics=by_metric,
        )
    return _corrected(found, metrics, comparison)


def _by_metric(run: ReplicatedMetric, group: Group) -> SubgroupMetric:
    labels = {label: _judged(run, column) for label, column in group.inside.items()}
    mean = mean_result(run, group.inside, labels)
    return SubgroupMetric(labels, mean, _rest(run, group, mean.labels))


def _judged(run: ReplicatedMetric, column: int) -> LabelResult:
    """The label's result; counts alone where a class has too few units."""
    result = label_result(run, column)
    if _is_judged(run, column):
        return result
    nothing = {arm.name: Value(None, draws=(None,) * len(arm.sample.by_draw)) for arm in run.arms}
    return replace(result, arms=nothing, differences=by_arm(run, lambda arm, other: Difference(None)))


def _rest(run: ReplicatedMetric, group: Group, labels: Sequence[str]) -> RestDifferences:
    """Differences from the rest, and that of the means over the labels that both sides judge."""
    by_label = {label: {arm.name: _from_rest(run, arm, [label], group) for arm in run.arms} for label in group.inside}
    both = [label for label in labels if all(one.value is not None for one in by_label[label].values())]
    return RestDifferences(
        by_label, {arm.name: _from_rest(run, arm, both, group) if both else Difference(None) for arm in run.arms}
    )


def _from_rest(run: ReplicatedMetric, arm: ReplicatedArm, labels: Sequence[str], group: Group) -> Difference:
    inside, rest = ([side[label] for label in labels] for side in (group.inside, group.rest))
    if not all(_is_judged(run, column) for column in (*inside, *rest)):
        return Difference(None)
    if np.isnan(arm.sample.by_draw[:, [*inside, *rest]]).any():
        return Difference(None)
    return mean_difference(run, (arm, inside), (arm, rest))


def _gap(run: ReplicatedMetric, group: Group, gap: str) -> ByLabelAndArm:
    found = {label: {arm.name: _from_rest(run, arm, [label], group) for arm in run.arms} for label in group.inside}
    if gap == TPR:
        return found
    return {label: {arm: _negated(one) for arm, one in of_label.items()} for label, of_label in found.items()}


def _negated(difference: Difference) -> Difference:
    """The difference of 1 - x: of false positive rates from that of specificities."""
    if difference.value is None:
        return difference

    def turned(interval: tuple[float, float] | None) -> tuple[float, float] | None:
        return None if interval is None else (-interval[1], -interval[0])

    return replace(
        difference,
        value=-difference.value,
        ci=turned(difference.ci),
        bootstrap_ci=turned(difference.bootstrap_ci),
        conditional_ci=turned(difference.conditional_ci),
    )


def _is_judged(run: ReplicatedMetric, column: int) -> bool:
    truth = run.truth[:, column]
    return all(len(np.unique(run.unit[truth == one])) >= FEWEST for one in (1, 0))


def _units(run: ReplicatedMetric, comparison: Comparison, column: int) -> tuple[int, int]:
    """Units with a positive row, and with a negative one."""
    truth = run.truth[:, column]
    positive, negative = (len(np.unique(comparison.unit[truth == one])) for one in (1, 0))
    return positive, negative


def _corrected(
    found: dict[str, dict[str, SubgroupResult]], metrics: Sequence[str], comparison: Comparison
) -> tuple[dict[str, dict[str, SubgroupResult]], dict[str, ByResult]]:
    """Holm's p-values within each column and metric. Two subgroups make one test of each label and arm, not two."""
    about: dict[str, ByResult] = {}
    for column, groups in found.items():
        families: dict[str, tuple[str, ...]] = {}
        for name in (*metrics, *(gap for gap in GAPS if any(gap in one.gaps for one in groups.values()))):
            tests = [
                (group, arm, label, difference.p_value)
                for group, result in list(groups.items())[: 1 if len(groups) == 2 else None]
                for label, arm, difference in _tests(result, name, metrics[0])
                if difference.p_value is not None
            ]
            adjusted = holm([p for *_, p in tests])
            by_test = {(group, arm, label): p for (group, arm, label, _), p in zip(tests, adjusted, strict=True)}
            if len(groups) == 2:
                one, two = groups
                by_test |= {(two, arm, label): p for (_, arm, label), p in by_test.items() if one}
            for group, result in groups.items():
                groups[group] = _with_holm(result, name, metrics[0], group, by_test)
            families[name] = tuple(f"{group}: {arm}: {label}" for group, arm, label, _ in tests)
        about[column] = ByResult(int((comparison.subgroups[column].group < 0).sum()), families)
    return found, about


def _tests(result: SubgroupResult, name: str, first: str) -> Iterator[tuple[str, str, Difference]]:
    for label, of_label in _differences(result, name, first).items():
        for arm, difference in of_label.items():
            yield label, arm, difference


def _differences(result: SubgroupResult, name: str, first: str) -> ByLabelAndArm:
    if name in result.gaps:
        return result.gaps[name]
    return result.rest.labels if name == first else result.metrics[name].rest.labels


def _with_holm(
    result: SubgroupResult, name: str, first: str, group: str, adjusted: Mapping[tuple[str, str, str], float]
) -> SubgroupResult:
    changed = {
        label: {
            arm: replace(difference, holm_p_value=adjusted.get((group, arm, label)))
            for arm, difference in of_label.items()
        }
        for label, of_label in _differences(result, name, first).items()
    }
    if name in result.gaps:
        return replace(result, gaps={**result.gaps, name: changed})
    if name == first:
        return replace(result, rest=replace(result.rest, labels=changed))
    metric = result.metrics[name]
    metric = replace(metric, rest=replace(metric.rest, labels=changed))
    return replace(result, metrics={**result.metrics, name: metric})
