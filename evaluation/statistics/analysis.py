"""Analyse a comparison: every arm's metric by label, its difference from the reference, and the mean over labels."""

import functools
import importlib.metadata
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.metrics import AT_THRESHOLD, METRICS
from evaluation.statistics.bootstrap import Replicates, replicate_arms
from evaluation.statistics.draws import Design, design, resampling_weights
from evaluation.statistics.label_results import ReplicatedArm, ReplicatedMetric, corrected, label_result, mean_result
from evaluation.statistics.options import AnalysisOptions
from evaluation.statistics.remarks import check_options, remarks, vary_over
from evaluation.statistics.result import ArmInput, BootstrapResult, Inputs, LabelResult, MetricResult, ThresholdCitation
from evaluation.statistics.subgroups import GAPS, Columns, columns_of, subgroup_results
from evaluation.tables.comparison import Comparison, Draw


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of decisions. by_arm: [draws, labels] of each arm, NaN where a label has none."""

    by_arm: Mapping[str, NDArray[np.float64]]
    citation: ThresholdCitation


Advance = Callable[[int], None]


@dataclass(frozen=True)
class _Analysis:
    """What every metric of an analysis shares. designs: by arm."""

    comparison: Comparison
    columns: Columns
    designs: Mapping[str, Design]
    reference: str | None
    options: AnalysisOptions
    thresholds: Thresholds | None


def bootstrap_result(
    comparison: Comparison,
    options: AnalysisOptions,
    reference: str | None = None,
    advance: Advance = lambda replicates_done: None,
    thresholds: Thresholds | None = None,
) -> BootstrapResult:
    """Bootstrap a comparison. reference: the arm that the others are compared with; None where there is one arm.

    advance is told of replicates as they are done. thresholds: what metrics of decisions judge by. Raises
    StatisticsError where the options ask for what has no answer.
    """
    check_options(options, [arm.name for arm in comparison.arms], reference, thresholds is not None)
    return analyse(comparison, options, reference, advance, thresholds)


def analyse(
    comparison: Comparison,
    options: AnalysisOptions,
    reference: str | None,
    advance: Advance = lambda replicates_done: None,
    thresholds: Thresholds | None = None,
) -> BootstrapResult:
    """Do the work of bootstrap_result without its checks: what needs replicates is None where there is one only."""
    designs = {arm.name: design_of(arm.draws, options) for arm in comparison.arms}
    columns = columns_of(comparison)
    analysis = _Analysis(comparison, columns, designs, reference, options, thresholds)
    runs = {metric: _replicated(analysis, metric, advance) for metric in passes(options, comparison.subgroups)}
    results = {metric: _result(runs[metric], comparison.labels) for metric in options.metric}
    subgroups, by = subgroup_results(runs, options.metric, columns, comparison)
    first = results.pop(options.metric[0])
    return BootstrapResult(
        metric=options.metric[0],
        replicates=options.replicates,
        level=options.level,
        seed=options.seed,
        reference=reference,
        unit=comparison.unit_name,
        units=comparison.units,
        over=vary_over(comparison.unit_name, list(designs.values())),
        different=comparison.different,
        allowed_different=comparison.allowed,
        allow_seen_patients="seen_patients" in comparison.leaks.allowed,
        allow_unknown_patients="unknown_patients" in comparison.leaks.allowed,
        selected_on={arm: dict(selected) for arm, selected in comparison.leaks.selected_on.items()},
        left_out=comparison.left_out,
        warnings=remarks(comparison, options, designs, {options.metric[0]: first, **results}, subgroups, by),
        labels=first.labels,
        mean=first.mean,
        holm_family=first.holm_family,
        metrics=results,
        subgroups=subgroups,
        by=by,
        inputs=_inputs(comparison, thresholds),
        versions=dict(_versions()),
    )


def passes(options: AnalysisOptions, by: Collection[object]) -> tuple[str, ...]:
    """The metrics that are replicated: those asked for, and those of the gaps between subgroups at the threshold."""
    gaps = GAPS.values() if by and any(metric in AT_THRESHOLD for metric in options.metric) else ()
    return tuple(dict.fromkeys((*options.metric, *gaps)))


def design_of(draws: Sequence[Draw], options: AnalysisOptions) -> Design:
    """In what the files of an arm differ, and what of it the options let vary."""
    found = design(draws)
    return replace(found, by_draw=False, by_seed=False) if options.over == "fixed" else found


def _replicated(analysis: _Analysis, metric: str, advance: Advance) -> ReplicatedMetric:
    comparison, columns, options = analysis.comparison, analysis.columns, analysis.options
    scores = [arm.scores for arm in comparison.arms]
    if metric in AT_THRESHOLD and analysis.thresholds is not None:
        by_arm = analysis.thresholds.by_arm
        scores = [arm.scores - by_arm[arm.name][:, None, :] for arm in comparison.arms]
    designs = [analysis.designs[arm.name] for arm in comparison.arms]
    weights = [resampling_weights(one, options.replicates, options.seed) for one in designs]
    replicates = Replicates(options.replicates, options.seed, advance, weights)
    samples = replicate_arms(scores, columns.truth, comparison.unit, METRICS[metric], replicates, columns.scored)
    arms = [
        ReplicatedArm(arm.name, of_arm, sample)
        for arm, of_arm, sample in zip(comparison.arms, designs, samples, strict=True)
    ]
    return ReplicatedMetric(
        metric, arms, analysis.reference, columns.truth, comparison.unit, columns.units, comparison.clustered, options
    )


def _result(run: ReplicatedMetric, names: Sequence[str]) -> MetricResult:
    labels: dict[str, LabelResult] = {label: label_result(run, column) for column, label in enumerate(names)}
    mean = mean_result(run, {label: column for column, label in enumerate(names)}, labels)
    family = None
    if run.options.holm:
        labels, family = corrected(labels)
    return MetricResult(labels, mean, family)


def _inputs(comparison: Comparison, thresholds: Thresholds | None) -> Inputs:
    arms = {
        arm.name: tuple(
            ArmInput(file.path, file.sha256, draw.number, draw.pretraining_seed, file.sidecar)
            for file, draw in zip(arm.files, arm.draws, strict=True)
        )
        for arm in comparison.arms
    }
    return Inputs(comparison.truth_origin, arms, None if thresholds is None else thresholds.citation)


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("cxr-moco", "numpy", "scipy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
