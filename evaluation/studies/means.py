"""The mean gain of an arm over several datasets, each at its lowest fraction, with one interval.

Datasets have equal weights. Their patients and their draws are independent, so those variances add; a pretraining seed
stands in all of them, so the variance that seeds bring is that of the means over datasets by seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from evaluation.metrics.influence import Component, satterthwaite
from evaluation.report.weakness import weakness
from evaluation.statistics.draws import Design, Source, component_of, design, seed_gains
from evaluation.statistics.intervals import t_interval
from evaluation.statistics.result import BootstrapResult, Difference, Interval
from evaluation.studies.families import JudgedResult
from evaluation.tables.provenance import Draw
from training.studies.cells import Comparison

_ROUNDING = 1e-9


@dataclass(frozen=True)
class MeanGain:
    """A mean over targets. targets: (name, fraction). references: one, or those of the targets where they differ.

    ci and p_value are None where a target has none. weak: why the interval of a target is rough; blank where none is.
    """

    method: str
    variant: str
    backbone: str
    arm: str
    references: tuple[str, ...]
    metric: str
    targets: tuple[tuple[str, float], ...]
    value: float
    ci: Interval | None
    p_value: float | None
    weak: str

    @property
    def sentence(self) -> str:
        """The mean in words, for a terminal."""
        at = ", ".join(f"{name} {100 * fraction:g} %" for name, fraction in self.targets)
        interval = "" if self.ci is None else " ({:+.3f}, {:+.3f})".format(*self.ci)
        by = f"{self.backbone} by {self.method}" + ("" if self.variant == "default" else f" ({self.variant})")
        return (
            f"mean {self.metric} gain of {self.arm} over {' or '.join(self.references)}, {by}, at {at}: "
            f"{self.value:+.3f}{interval}"
        )


@dataclass(frozen=True)
class _Part:
    """One target's share. own: the variance of patients and draws; None: not known. by_seed: values [seeds]."""

    value: float
    own: Component | None
    by_seed: dict[Source, NDArray[np.float64]]


def mean_gains(planned: Sequence[Comparison], results: Sequence[JudgedResult]) -> list[MeanGain]:
    """The mean gains of a study: one for each method, variant, backbone, metric, reference and arm.

    planned: all comparisons of the study. There is a mean where these have at least two targets, all of different
    datasets, and each is judged at its lowest fraction: one over some of them would be another figure. A target's gain
    is its mean over labels.
    """
    lowest: dict[_Group, dict[str, JudgedResult]] = {}
    for one in results:
        if one.comparison.fraction == min(one.comparison.target.fractions):
            group: _Group = (*_of_comparison(one.comparison), one.metric, one.over or "")
            lowest.setdefault(group, {})[one.comparison.target.name] = one
    found = []
    for group, judged in lowest.items():
        targets = {other.target.name for other in planned if _of_comparison(other) == group[:3]}
        datasets = {one.comparison.target.dataset for one in judged.values()}
        if set(judged) == targets and len(datasets) == len(targets) > 1:
            arms = [one.result.mean.differences for one in judged.values()]
            found += [_mean(arm, list(judged.values())) for arm in arms[0] if all(arm in others for others in arms)]
    return [one for one in found if one is not None]


_Group = tuple[str, ...]


def _of_comparison(comparison: Comparison) -> tuple[str, str, str]:
    return comparison.pretraining, comparison.method, comparison.variant


def _mean(arm: str, judged: Sequence[JudgedResult]) -> MeanGain | None:
    """The mean of one arm's gains; None where one of them has no value."""
    parts = [_part(one.result, arm) for one in judged]
    values = [part.value for part in parts]
    if any(math.isnan(value) for value in values):
        return None
    value, count, interval = sum(values) / len(values), len(parts), None
    own = [part.own for part in parts if part.own is not None]
    if len(own) == count:
        of_targets = [Component(one.variance / count**2, one.df) for one in own]
        by_seed: dict[Source, NDArray[np.float64]] = {}
        for part in parts:
            for source, means in part.by_seed.items():
                by_seed[source] = by_seed.get(source, np.zeros_like(means)) + means / count
        variance = satterthwaite([*of_targets, *map(component_of, by_seed.values())])
        interval = t_interval(value, variance, judged[0].result.level)
    comparison = judged[0].comparison
    return MeanGain(
        method=comparison.method,
        variant=comparison.variant,
        backbone=comparison.pretraining,
        arm=arm,
        references=tuple(dict.fromkeys(str(one.result.reference) for one in judged)),
        metric=judged[0].metric,
        targets=tuple((one.comparison.target.name, one.comparison.fraction) for one in judged),
        value=value,
        ci=interval[0] if interval else None,
        p_value=interval[1] if interval else None,
        weak="; ".join(
            f"{one.comparison.target.name}: {reason}"
            for one in judged
            if (reason := weakness(one.result, one.result.mean))
        ),
    )


def _part(result: BootstrapResult, arm: str) -> _Part:
    difference = result.mean.differences[arm]
    if difference.value is None:
        return _Part(math.nan, None, {})
    (of_arm, values), (of_reference, others) = (_files(result, name) for name in (arm, str(result.reference)))
    by_seed = seed_gains(of_arm, values, of_reference, others) if "seeds" in result.over else {}
    return _Part(difference.value, _own(difference, list(map(component_of, by_seed.values())), result.level), by_seed)


def _files(result: BootstrapResult, arm: str) -> tuple[Design, NDArray[np.float64]]:
    """In what an arm's files differ, and the mean over labels of each."""
    files = [Draw(file.draw, file.pretraining_seed) for file in result.inputs.arms[arm]]
    return design(files), np.array([math.nan if one is None else one for one in result.mean.arms[arm].draws])


def _own(difference: Difference, by_seed: Sequence[Component], level: float) -> Component | None:
    """The variance of a difference without the part that seeds bring, and its degrees of freedom.

    The whole variance is read off interval and degrees of freedom (of which one end may be cut at -1 or 1); the parts'
    degrees of freedom add up as in `satterthwaite`.
    """
    if difference.ci is None or difference.df is None or difference.value is None:
        return None
    half = max(difference.value - difference.ci[0], difference.ci[1] - difference.value)
    whole = (half / float(scipy.stats.t.ppf((1 + level) / 2, difference.df))) ** 2
    own = whole - sum(part.variance for part in by_seed)
    below = whole**2 / difference.df - sum(part.variance**2 / part.df for part in by_seed)
    # What is left by rounding, where patients and draws bring nothing, is no variance.
    return Component(own, own**2 / below) if own > _ROUNDING * whole and below > 0 else Component(0.0, math.inf)
