"""Judge how well probabilities are calibrated: each arm and label on its own, resampled unit by unit, over draws."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from evaluation.calibration.logistic import Fit, fit_logistic
from evaluation.calibration.reliability import Bin, reliability
from evaluation.metrics.brier import WeightedBrier
from evaluation.metrics.influence import Component, satterthwaite
from evaluation.statistics.draws import components, design
from evaluation.statistics.estimates import FEWEST_OF_A_CLASS, FEWEST_UNITS
from evaluation.statistics.intervals import Interval, logit_t, t_interval
from evaluation.tables.comparison import Arm, Comparison
from evaluation.tables.identifiers import some

CLIPPED = 1e-12
"""Probabilities nearer to 0 and 1 are taken as this far from them: their logits are not finite."""


@dataclass(frozen=True)
class Figure:
    """A figure of one arm and label, the mean over its draws. method: of the interval; both None without one."""

    value: float | None
    ci: Interval | None = None
    method: str | None = None
    draws: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class LabelCalibration:
    """intercept: of the logits with a slope of 1 (calibration in the large); 0 at best, above 0: predicted too low.

    slope: of the logits; 1 at best, below 1: predictions too extreme. brier: lower is better. reliability: all draws'
    rows together.
    """

    n: int
    positives: int
    negatives: int
    intercept: Figure
    slope: Figure
    brier: Figure
    reliability: tuple[Bin, ...]


@dataclass(frozen=True)
class Calibration:
    """By arm and label. warnings: sentences."""

    arms: dict[str, dict[str, LabelCalibration]]
    warnings: tuple[str, ...]


def calibrate(comparison: Comparison, level: float, bins: int) -> Calibration:
    """Judge the calibration of every arm and label. Scores must be probabilities."""
    arms = {
        arm.name: {
            label: _label(comparison, arm, column, level, bins) for column, label in enumerate(comparison.labels)
        }
        for arm in comparison.arms
    }
    return Calibration(arms, tuple(_warnings(comparison, arms)))


def _label(comparison: Comparison, arm: Arm, column: int, level: float, bins: int) -> LabelCalibration:
    known = ~np.isnan(comparison.truth[:, column])
    truth, unit = comparison.truth[known, column] == 1, comparison.unit[known]
    scores = arm.scores[:, known, column]  # [draws, rows]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    counts = (positives + negatives, positives, negatives)
    if min(positives, negatives) < FEWEST_OF_A_CLASS:
        nothing = Figure(None, draws=(None,) * len(scores))
        return LabelCalibration(*counts, nothing, nothing, nothing, ())
    fits = [_fits(draw, truth, unit, comparison.units) for draw in scores]
    smaller = min(len(np.unique(unit[truth])), len(np.unique(unit[~truth])))
    df = smaller - 1 if comparison.units >= FEWEST_UNITS else 0
    brier = [WeightedBrier(draw, truth, unit, comparison.units) for draw in scores]
    return LabelCalibration(
        *counts,
        intercept=_figure(arm, [_term(fit[0], 0) for fit in fits], df, level),
        slope=_figure(arm, [_term(fit[1], 1) for fit in fits], df, level),
        brier=_figure(
            arm,
            [
                (float(np.mean((draw - truth) ** 2)), one.influence().by_unit)
                for draw, one in zip(scores, brier, strict=True)
            ],
            df,
            level,
            fraction=True,
        ),
        reliability=reliability(scores.ravel(), np.tile(truth, len(scores)), np.tile(unit, len(scores)), bins, level),
    )


def _fits(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], units: int
) -> tuple[Fit | None, Fit | None]:
    """The regression on an intercept, the logits as offset, and that on an intercept and the logits."""
    logits = logit(np.clip(scores, CLIPPED, 1 - CLIPPED))
    ones = np.ones((len(logits), 1))
    return (
        fit_logistic(ones, truth, unit, units, offset=logits),
        fit_logistic(np.column_stack([ones, logits]), truth, unit, units),
    )


def _term(fit: Fit | None, term: int) -> tuple[float, NDArray[np.float64]] | None:
    return None if fit is None else (float(fit.coefficients[term]), fit.by_unit[:, term])


def _figure(
    arm: Arm,
    draws: Sequence[tuple[float, NDArray[np.float64]] | None],
    df: int,
    level: float,
    *,
    fraction: bool = False,
) -> Figure:
    """The mean over draws with a t interval from the clustered variance and that between draws and seeds."""
    values = tuple(None if one is None else one[0] for one in draws)
    defined = [one for one in draws if one is not None]
    if len(defined) < len(draws):
        return Figure(None, draws=values)
    by_draw = np.array([one[0] for one in defined])
    value = float(by_draw.mean())
    by_unit = np.mean([one[1] for one in defined], axis=0)
    if df < 1 or np.isnan(by_unit).any():
        return Figure(value, draws=values)
    over_units = Component(float(np.sum(by_unit**2)), df)
    variance = satterthwaite([over_units, *components(design(arm.draws), by_draw)])
    if fraction:
        ci = logit_t(value, variance, level)
        return Figure(value, ci, None if ci is None else "logit-t", values)
    found = t_interval(value, variance, level)
    return Figure(value, None if found is None else found[0], None if found is None else "sandwich-t", values)


def _warnings(comparison: Comparison, arms: dict[str, dict[str, LabelCalibration]]) -> Iterator[str]:
    yield from comparison.warnings
    none = [
        f"{arm}: {label}" for arm, labels in arms.items() for label, one in labels.items() if one.slope.value is None
    ]
    if none:
        yield (
            f"No intercept and slope for {some(none)}: fewer than {FEWEST_OF_A_CLASS} rows of a class, or classes that "
            "the probabilities separate."
        )
    extreme = {arm.name: int(((arm.scores < CLIPPED) | (arm.scores > 1 - CLIPPED)).sum()) for arm in comparison.arms}
    for name, count in extreme.items():
        if count:
            yield f"{count} probabilities of arm {name} are 0 or 1 but for {CLIPPED:g}: taken as {CLIPPED:g} from them."
