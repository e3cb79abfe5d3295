"""Analyse a comparison: every arm's metric by label, its difference from the reference, and the mean over labels."""

import functools
import importlib.metadata
import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.influence import effective_df
from evaluation.metrics.metrics import METRICS
from evaluation.statistics.bootstrap import ArmSample, replicate_arms
from evaluation.statistics.draws import Design, components, design, difference_components, resampling_weights
from evaluation.statistics.estimates import Sample, Sizes, difference_estimate, mean_estimate, value_estimate
from evaluation.statistics.holm import holm
from evaluation.statistics.options import AnalysisOptions
from evaluation.statistics.remarks import check_options, remarks, vary_over
from evaluation.statistics.result import (
    ArmInput,
    BootstrapResult,
    Difference,
    Inputs,
    LabelResult,
    MeanResult,
    Value,
)
from evaluation.tables.comparison import Comparison


@dataclass(frozen=True)
class _Arm:
    name: str
    design: Design
    sample: ArmSample


def bootstrap_result(
    comparison: Comparison,
    options: AnalysisOptions,
    reference: str | None = None,
    advance: Callable[[int], None] = lambda replicates_done: None,
) -> BootstrapResult:
    """Bootstrap a comparison. reference: the arm that the others are compared with; None where there is one arm.

    advance is told of replicates as they are done. Raises StatisticsError where the options ask for what has no answer.
    """
    check_options(options, [arm.name for arm in comparison.arms], reference)
    return analyse(comparison, options, reference, advance)


def analyse(
    comparison: Comparison,
    options: AnalysisOptions,
    reference: str | None,
    advance: Callable[[int], None] = lambda replicates_done: None,
) -> BootstrapResult:
    """Do the work of bootstrap_result without its checks: what needs replicates is None where there is one only."""
    arms = _replicated(comparison, options, advance)
    sizes = [_sizes(comparison, column) for column in range(len(comparison.labels))]
    labels = {
        label: _label(arms, reference, comparison, column, sizes[column], options)
        for column, label in enumerate(comparison.labels)
    }
    mean = _mean(arms, reference, comparison.labels, labels, sizes, options)
    family = None
    if options.holm:
        labels, family = _corrected(labels)
    return BootstrapResult(
        metric=options.metric,
        replicates=options.replicates,
        level=options.level,
        seed=options.seed,
        reference=reference,
        unit=comparison.unit_name,
        units=comparison.units,
        over=vary_over(comparison.unit_name, [arm.design for arm in arms]),
        different=comparison.different,
        allowed_different=comparison.allowed,
        allow_seen_patients="seen_patients" in comparison.leaks.allowed,
        allow_unknown_patients="unknown_patients" in comparison.leaks.allowed,
        selected_on={arm: dict(selected) for arm, selected in comparison.leaks.selected_on.items()},
        left_out=comparison.left_out,
        warnings=remarks(comparison, options, {arm.name: arm.design for arm in arms}, labels, mean),
        labels=labels,
        mean=mean,
        holm_family=family,
        inputs=_inputs(comparison),
        versions=dict(_versions()),
    )


def _replicated(comparison: Comparison, options: AnalysisOptions, advance: Callable[[int], None]) -> list[_Arm]:
    designs = [design(arm.draws) for arm in comparison.arms]
    if options.over == "fixed":
        designs = [replace(one, by_draw=False, by_seed=False) for one in designs]
    samples = replicate_arms(
        [arm.scores for arm in comparison.arms],
        comparison.truth,
        comparison.unit,
        METRICS[options.metric],
        options.replicates,
        options.seed,
        advance,
        [resampling_weights(one, options.replicates, options.seed) for one in designs],
    )
    return [
        _Arm(arm.name, of_arm, sample) for arm, of_arm, sample in zip(comparison.arms, designs, samples, strict=True)
    ]


def _sizes(comparison: Comparison, column: int) -> Sizes:
    truth = comparison.truth[:, column]
    groups = [len(np.unique(comparison.unit[truth == one])) for one in (1, 0)]
    rows = (int((truth == 1).sum()), int((truth == 0).sum()))
    return Sizes(comparison.units, groups[0], groups[1], rows, comparison.clustered)


def _label(
    arms: Sequence[_Arm],
    reference: str | None,
    comparison: Comparison,
    column: int,
    sizes: Sizes,
    options: AnalysisOptions,
) -> LabelResult:
    samples = {arm.name: _sample(arm, [column]) for arm in arms}
    values = {name: value_estimate(sample, sizes, options.level, options.interval) for name, sample in samples.items()}

    def difference(arm: _Arm, other: _Arm) -> Difference:
        if values[arm.name].value is None:
            return Difference(None)
        sample = _difference(arm, other, [column])
        return difference_estimate(sample, sizes.df, options.level) if sizes.estimable else Difference(sample.value)

    return LabelResult(
        n=sum(sizes.rows),
        positives=sizes.rows[0],
        negatives=sizes.rows[1],
        undefined_replicates=int(np.isnan(arms[0].sample.replicates[:, column]).sum()),
        arms=values,
        differences=_by_arm(arms, reference, difference),
    )


def _mean(
    arms: Sequence[_Arm],
    reference: str | None,
    names: Sequence[str],
    labels: dict[str, LabelResult],
    sizes: Sequence[Sizes],
    options: AnalysisOptions,
) -> MeanResult:
    """The mean over the labels that have a value; of one label it is that label's own estimate."""
    defined = [
        column for column, name in enumerate(names) if arms and labels[name].arms[arms[0].name].value is not None
    ]
    if len(defined) < 2:
        only = labels[names[defined[0]]] if defined else None
        return MeanResult(
            tuple(names[column] for column in defined),
            only.undefined_replicates if only else options.replicates,
            only.arms if only else {arm.name: Value(None) for arm in arms},
            only.differences if only else _by_arm(arms, reference, lambda arm, other: Difference(None)),
        )
    estimable = all(sizes[column].estimable for column in defined)
    df = np.array([max(sizes[column].df, 1) for column in defined], np.float64)

    def value(arm: _Arm) -> Value:
        sample = _sample(arm, defined)
        if not estimable:
            return Value(sample.value, draws=tuple(float(one) for one in sample.by_draw))
        return mean_estimate(sample, effective_df(_matrix(arm, defined), df), options.level, options.interval)

    def difference(arm: _Arm, other: _Arm) -> Difference:
        sample = _difference(arm, other, defined)
        if not estimable:
            return Difference(sample.value)
        by_label = _matrix(arm, defined) - _matrix(other, defined)
        return difference_estimate(sample, effective_df(by_label, df), options.level)

    undefined = np.isnan(arms[0].sample.replicates[:, defined]).any(axis=1)
    return MeanResult(
        labels=tuple(names[column] for column in defined),
        undefined_replicates=int(undefined.sum()),
        arms={arm.name: value(arm) for arm in arms},
        differences=_by_arm(arms, reference, difference),
    )


def _by_arm(
    arms: Sequence[_Arm], reference: str | None, difference: Callable[[_Arm, _Arm], Difference]
) -> dict[str, Difference]:
    """The difference of every other arm from the reference."""
    others = {arm.name: arm for arm in arms}
    return {arm.name: difference(arm, others[reference]) for arm in arms if reference not in (None, arm.name)}


def _matrix(arm: _Arm, columns: Sequence[int]) -> NDArray[np.float64]:
    """Influence values, [units, labels]."""
    return np.stack([arm.sample.influence[column].by_unit for column in columns], axis=1)


def _sample(arm: _Arm, columns: Sequence[int]) -> Sample:
    """An arm's mean over labels (perhaps one). A label that is undefined in a replicate leaves it undefined."""
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


def _difference(arm: _Arm, other: _Arm, columns: Sequence[int]) -> Sample:
    one, two = _sample(arm, columns), _sample(other, columns)
    return Sample(
        by_draw=np.array([one.value - two.value]),
        replicates=one.replicates - two.replicates,
        with_draws=one.with_draws - two.with_draws,
        by_unit=one.by_unit - two.by_unit,
        row_variance=math.nan,
        between=difference_components(arm.design, one.by_draw, other.design, two.by_draw),
    )


def _corrected(labels: dict[str, LabelResult]) -> tuple[dict[str, LabelResult], tuple[str, ...]]:
    """Holm's p-values over all labels and differences that have a p-value, and the names of these."""
    family = [
        (arm, label, difference.p_value)
        for label, entry in labels.items()
        for arm, difference in entry.differences.items()
        if difference.p_value is not None
    ]
    adjusted = {pair[:2]: p for pair, p in zip(family, holm([p for _, _, p in family]), strict=True)}
    corrected = {
        label: replace(
            entry,
            differences={
                arm: replace(difference, holm_p_value=adjusted.get((arm, label)))
                for arm, difference in entry.differences.items()
            },
        )
        for label, entry in labels.items()
    }
    return corrected, tuple(f"{arm}: {label}" for arm, label, _ in family)


def _inputs(comparison: Comparison) -> Inputs:
    arms = {
        arm.name: tuple(
            ArmInput(file.path, file.sha256, draw.number, draw.pretraining_seed, file.sidecar)
            for file, draw in zip(arm.files, arm.draws, strict=True)
        )
        for arm in comparison.arms
    }
    return Inputs(comparison.truth_origin, arms)


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("cxr-moco", "numpy", "scipy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
