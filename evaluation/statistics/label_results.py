"""Estimate one metric of all arms: label by label and on the mean over labels, with differences from the reference.

A column is a label, or a label within a subgroup of the rows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.influence import effective_df
from evaluation.metrics.metrics import PROPORTIONS
from evaluation.statistics.bootstrap import ArmSample
from evaluation.statistics.draws import Design, components, difference_components
from evaluation.statistics.estimates import (
    Kind,
    Sample,
    Sizes,
    difference_estimate,
    mean_estimate,
    value_estimate,
)
from evaluation.statistics.holm import holm
from evaluation.statistics.options import AnalysisOptions
from evaluation.statistics.result import Difference, LabelResult, MeanResult, Value


@dataclass(frozen=True)
class ReplicatedArm:
    """An arm with its replicates. design: in what its files differ."""

    name: str
    design: Design
    sample: ArmSample


@dataclass(frozen=True)
class ReplicatedMetric:
    """One metric of all arms. truth: [rows, columns]; unit: [rows]. units: by column, how many units are resampled.

    reference: the arm that the others are compared with; None where there is one arm.
    """

    metric: str
    arms: Sequence[ReplicatedArm]
    reference: str | None
    truth: NDArray[np.float64]
    unit: NDArray[np.int64]
    units: Sequence[int]
    clustered: bool
    options: AnalysisOptions

    def sizes(self, arm: ReplicatedArm, column: int) -> Sizes:
        """Count what an estimate of an arm rests on."""
        truth, influence = self.truth[:, column], arm.sample.influence[column]
        rows = (int((truth == 1).sum()), int((truth == 0).sum()))
        return Sizes(self.units[column], influence.groups, rows, self.clustered, _kind(self.metric), influence.trials)


def label_result(run: ReplicatedMetric, column: int) -> LabelResult:
    """All arms on one column."""
    sizes = {arm.name: run.sizes(arm, column) for arm in run.arms}
    values = {
        arm.name: value_estimate(sample_of(arm, [column]), sizes[arm.name], run.options.level, run.options.interval)
        for arm in run.arms
    }

    def difference(arm: ReplicatedArm, other: ReplicatedArm) -> Difference:
        if values[arm.name].value is None or values[other.name].value is None:
            return Difference(None)
        sample = difference_sample(arm, [column], other, [column])
        both = (sizes[arm.name], sizes[other.name])
        if not all(one.estimable for one in both):
            return Difference(sample.value)
        return difference_estimate(sample, min(one.df for one in both), run.options.level)

    undefined = np.zeros(run.options.replicates, bool)
    for arm in run.arms:
        undefined |= np.isnan(arm.sample.replicates[:, column])
    truth = run.truth[:, column]
    positives, negatives = int((truth == 1).sum()), int((truth == 0).sum())
    return LabelResult(
        n=positives + negatives,
        positives=positives,
        negatives=negatives,
        undefined_replicates=int(undefined.sum()),
        arms=values,
        differences=by_arm(run, difference),
    )


def mean_result(run: ReplicatedMetric, columns: Mapping[str, int], labels: Mapping[str, LabelResult]) -> MeanResult:
    """The mean over the labels that have a value in every arm; of one label it is that label's own estimate."""
    names = [
        name
        for name in columns
        if labels[name].arms and all(one.value is not None for one in labels[name].arms.values())
    ]
    defined = [columns[name] for name in names]
    if len(defined) < 2:
        only = labels[names[0]] if names else None
        return MeanResult(
            tuple(names),
            only.undefined_replicates if only else run.options.replicates,
            only.arms if only else {arm.name: Value(None) for arm in run.arms},
            only.differences if only else by_arm(run, lambda arm, other: Difference(None)),
        )
    undefined = np.zeros(run.options.replicates, bool)
    for arm in run.arms:
        undefined |= np.isnan(arm.sample.replicates[:, defined]).any(axis=1)
    return MeanResult(
        labels=tuple(names),
        undefined_replicates=int(undefined.sum()),
        arms={arm.name: _mean_value(run, arm, defined) for arm in run.arms},
        differences=by_arm(run, lambda arm, other: mean_difference(run, (arm, defined), (other, defined))),
    )


def _mean_value(run: ReplicatedMetric, arm: ReplicatedArm, columns: Sequence[int]) -> Value:
    sample = sample_of(arm, columns)
    sizes = [run.sizes(arm, column) for column in columns]
    if not all(one.estimable for one in sizes):
        return Value(sample.value, draws=tuple(float(one) for one in sample.by_draw))
    df = effective_df(_matrix(arm, columns), _degrees(sizes))
    return mean_estimate(sample, df, run.options.level, run.options.interval)


def mean_difference(
    run: ReplicatedMetric, one: tuple[ReplicatedArm, Sequence[int]], two: tuple[ReplicatedArm, Sequence[int]]
) -> Difference:
    """The difference of two means over columns, pair by pair: of two arms, or of two subgroups."""
    sample = difference_sample(*one, *two)
    pairs = [(run.sizes(one[0], a), run.sizes(two[0], b)) for a, b in zip(one[1], two[1], strict=True)]
    if not all(sizes.estimable for pair in pairs for sizes in pair):
        return Difference(sample.value)
    by_label = _matrix(*one) - _matrix(*two)
    df = effective_df(
        by_label, np.minimum(_degrees([pair[0] for pair in pairs]), _degrees([pair[1] for pair in pairs]))
    )
    return difference_estimate(sample, df, run.options.level)


def by_arm(
    run: ReplicatedMetric, difference: Callable[[ReplicatedArm, ReplicatedArm], Difference]
) -> dict[str, Difference]:
    """The difference of every other arm from the reference."""
    others = {arm.name: arm for arm in run.arms}
    return {
        arm.name: difference(arm, others[run.reference]) for arm in run.arms if run.reference not in (None, arm.name)
    }


def sample_of(arm: ReplicatedArm, columns: Sequence[int]) -> Sample:
    """An arm's mean over columns (perhaps one). A column that is undefined in a replicate leaves it undefined."""
    chosen = list(columns)
    by_draw = arm.sample.by_draw[:, chosen].mean(axis=1)
    return Sample(
        by_draw=by_draw,
        replicates=arm.sample.replicates[:, chosen].mean(axis=1),
        with_draws=arm.sample.with_draws[:, chosen].mean(axis=1),
        by_unit=_matrix(arm, chosen).mean(axis=1),
        row_variance=arm.sample.influence[chosen[0]].row_variance,
        between=components(arm.design, by_draw),
    )


def difference_sample(
    arm: ReplicatedArm, columns: Sequence[int], other: ReplicatedArm, other_columns: Sequence[int]
) -> Sample:
    """An arm's mean over columns less another's: of two arms, or of one arm in two subgroups."""
    one, two = sample_of(arm, columns), sample_of(other, other_columns)
    return Sample(
        by_draw=np.array([one.value - two.value]),
        replicates=one.replicates - two.replicates,
        with_draws=one.with_draws - two.with_draws,
        by_unit=one.by_unit - two.by_unit,
        row_variance=math.nan,
        between=difference_components(arm.design, one.by_draw, other.design, two.by_draw),
    )


def corrected(labels: Mapping[str, LabelResult]) -> tuple[dict[str, LabelResult], tuple[str, ...]]:
    """Holm's p-values over all labels and differences that have a p-value, and the names of these."""
    family = [
        (arm, label, difference.p_value)
        for label, entry in labels.items()
        for arm, difference in entry.differences.items()
        if difference.p_value is not None
    ]
    adjusted = {pair[:2]: p for pair, p in zip(family, holm([p for _, _, p in family]), strict=True)}
    found = {
        label: replace(
            entry,
            differences={
                arm: replace(difference, holm_p_value=adjusted.get((arm, label)))
                for arm, difference in entry.differences.items()
            },
        )
        for label, entry in labels.items()
    }
    return found, tuple(f"{arm}: {label}" for arm, label, _ in family)


def _kind(metric: str) -> Kind:
    return "auroc" if metric == "auroc" else "proportion" if metric in PROPORTIONS else "other"


def _matrix(arm: ReplicatedArm, columns: Sequence[int]) -> NDArray[np.float64]:
    """Influence values, [units, columns]."""
    return np.stack([arm.sample.influence[column].by_unit for column in columns], axis=1)


def _degrees(sizes: Sequence[Sizes]) -> NDArray[np.float64]:
    return np.array([max(one.df, 1) for one in sizes], np.float64)
