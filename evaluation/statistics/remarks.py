"""Say what a reader of a result must know: refuse options without an answer, and warn where data are too few."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from evaluation.metrics.metrics import AT_THRESHOLD
from evaluation.statistics.draws import FEWEST, Design
from evaluation.statistics.estimates import FEWEST_OF_A_CLASS, FEWEST_UNITS
from evaluation.statistics.options import AnalysisOptions
from evaluation.statistics.result import ByResult, LabelResult, MeanResult, MetricResult, SubgroupResult
from evaluation.tables.comparison import Comparison
from evaluation.tables.identifiers import some
from shards.errors import CxrError

FEW_UNITS = 30
"""Units below which a result says that its intervals are rough."""
_UNIT_NAMES = {"patient_id": "patients", "Study": "studies", "Path": "images", "key": "images", "sample_id": "images"}


class StatisticsError(CxrError):
    """An analysis that has no sensible answer."""


def fewest_replicates(level: float) -> int:
    """20 / (1 - level): ten replicates beyond each end of the interval; 400 at 0.95, where the paper has 500."""
    return math.ceil(20 / (1 - level) - 1e-9)


def check_options(
    options: AnalysisOptions, arms: Sequence[str], reference: str | None, thresholds: bool = False
) -> None:
    """Raise StatisticsError for too few replicates, a reference that is no arm, or decisions without a threshold."""
    refusal = missing_thresholds(options.metric) if not thresholds else None
    if refusal:
        raise StatisticsError(refusal)
    fewest = fewest_replicates(options.level)
    if options.replicates < fewest:
        raise StatisticsError(
            f"{options.replicates} replicates are too few for {100 * options.level:g} % intervals: at least {fewest} "
            f"are needed. Give --replicates {fewest} or more, or a lower --level"
        )
    if reference is not None and reference not in arms:
        raise StatisticsError(f"the reference {reference!r} is none of the arms ({', '.join(arms)})")
    if reference is None and len(arms) > 1:
        raise StatisticsError(f"with the arms {', '.join(arms)}, --reference has to name the one to compare with")


def missing_thresholds(metrics: Sequence[str]) -> str | None:
    """What to do about metrics that need a threshold; None where none does."""
    decisions = [metric for metric in metrics if metric in AT_THRESHOLD]
    if not decisions:
        return None
    return (
        f"{', '.join(decisions)} need{'s' if len(decisions) == 1 else ''} a threshold, and it has to come from other "
        "data than are judged: choose it on the validation split by `cxr-eval thresholds`, and give its file as "
        "--thresholds"
    )


def unit_words(unit: str) -> str:
    """The resampled units as a reader calls them."""
    return _UNIT_NAMES.get(unit, f"values of {unit}")


def vary_over(unit: str, designs: Sequence[Design]) -> tuple[str, ...]:
    """What the intervals let vary: units, and draws and pretraining seeds where there are three or more."""
    found = [unit_words(unit)]
    found += ["draws"] if any(one.by_draw for one in designs) else []
    found += ["seeds"] if any(one.by_seed for one in designs) else []
    return tuple(found)


def remarks(
    comparison: Comparison,
    options: AnalysisOptions,
    designs: Mapping[str, Design],
    results: Mapping[str, MetricResult],
    subgroups: Mapping[str, Mapping[str, SubgroupResult]],
    by: Mapping[str, ByResult],
) -> tuple[str, ...]:
    """Warnings as sentences. results: by metric, the first one first. subgroups: by column and name."""
    labels, mean = results[options.metric[0]].labels, results[options.metric[0]].mean
    return (
        *comparison.warnings,
        *_about_units(comparison),
        *_about_draws(designs, options),
        *_about_labels(comparison, labels, mean),
        *_about_differences(labels),
        *_about_undefined(results),
        *_about_subgroups(subgroups, by),
    )


def _about_units(comparison: Comparison) -> Iterator[str]:
    units = unit_words(comparison.unit_name)
    if comparison.units < FEWEST_UNITS:
        yield f"Only {comparison.units} {units}: no intervals and no p-values, for which {FEWEST_UNITS} are needed."
    elif comparison.units < FEW_UNITS:
        yield f"Only {comparison.units} {units}: intervals are rough with fewer than {FEW_UNITS}."


def _about_draws(designs: Mapping[str, Design], options: AnalysisOptions) -> Iterator[str]:
    if options.over == "fixed":
        yield "Draws and seeds are taken as fixed: intervals leave the variation between them out (--over fixed)."
        return
    for name, one in designs.items():
        for numbers, used, what in ((one.draws, one.by_draw, "draws"), (one.seeds, one.by_seed, "pretraining seeds")):
            count = len(np.unique(numbers))
            if count == FEWEST - 1 and not used:
                yield (
                    f"Arm {name} has two {what}: its intervals are conditional on them, since the variation between "
                    f"{what} is estimated from {FEWEST} on."
                )


def _about_labels(comparison: Comparison, labels: Mapping[str, LabelResult], mean: MeanResult) -> Iterator[str]:
    for name, entry in labels.items():
        if min(entry.positives, entry.negatives) < FEWEST_OF_A_CLASS:
            yield (
                f"{name} has {entry.positives} positive and {entry.negatives} negative rows: no value, and it is left "
                "out of the mean."
            )
        elif comparison.units >= FEWEST_UNITS and any(value.ci is None for value in entry.arms.values()):
            yield (
                f"{name}: no interval, since all of a class is of one {comparison.unit_name}, or all replicates are "
                "equal."
            )
    if mean.undefined_replicates and len(mean.labels) > 1:
        yield (
            f"In {mean.undefined_replicates} replicates a label of the mean has one class only: they are left out of "
            "the mean's replicates."
        )


def _about_undefined(results: Mapping[str, MetricResult]) -> Iterator[str]:
    """Labels that have both classes, and yet no value: without a threshold, or none is called positive (negative)."""
    for metric, result in results.items():
        found = [
            f"{arm}: {label}"
            for label, entry in result.labels.items()
            for arm, value in entry.arms.items()
            if value.value is None and min(entry.positives, entry.negatives) >= FEWEST_OF_A_CLASS
        ]
        if found:
            yield f"{metric} has no value for {some(found)}: no threshold, or no row on that side of it."


def _about_subgroups(
    subgroups: Mapping[str, Mapping[str, SubgroupResult]], by: Mapping[str, ByResult]
) -> Iterator[str]:
    for column, groups in subgroups.items():
        few = [f"{group}: {label}" for group, one in groups.items() for label in one.few]
        not_judged = [f"{group}: {label}" for group, one in groups.items() for label in one.not_judged]
        if few:
            yield f"Subgroups by {column} with few of a class, whose intervals are rough: {some(few)}."
        if not_judged:
            yield f"Subgroups by {column} with too few of a class to be judged: {some(not_judged)}."
        if by[column].blank:
            yield f"{column} is blank in {by[column].blank} rows, which are in none of its subgroups and in no rest."


def _about_differences(labels: Mapping[str, LabelResult]) -> Iterator[str]:
    equal = [
        f"{arm}: {label}"
        for label, entry in labels.items()
        for arm, difference in entry.differences.items()
        if difference.value is not None and difference.ci is None and entry.arms[arm].ci is not None
    ]
    if equal:
        yield (
            f"Without a variance, and so without interval and p-value: {some(equal)}. The arms order the rows alike, "
            "or both without an error."
        )
