"""Confidence intervals of one estimate, each a pure function; None where the data hold no information on it."""

import math
from collections.abc import Callable

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

from evaluation.metrics.influence import Component

Interval = tuple[float, float]


def percentile(replicates: NDArray[np.float64], level: float) -> Interval | None:
    """Percentile interval of the defined replicates; None where they are all equal or there are none."""
    defined = replicates[~np.isnan(replicates)]
    if not len(defined) or defined.min() == defined.max():
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def acceleration(by_unit: NDArray[np.float64]) -> float:
    """BCa's acceleration from influence values, or from jackknife differences from their mean [units]."""
    squares = float(np.sum(by_unit**2))
    return float(np.sum(by_unit**3)) / (6 * squares**1.5) if squares > 0 else 0.0


def bca(value: float, replicates: NDArray[np.float64], accelerated: float, level: float) -> Interval | None:
    """Bias-corrected and accelerated interval (B. Efron, JASA 82, 1987); None where percentile has none.

    Replicates equal to the value count one half on each side. None too where all replicates lie on one side.
    """
    defined = replicates[~np.isnan(replicates)]
    if percentile(defined, level) is None:
        return None
    below = (np.mean(defined < value) + np.mean(defined <= value)) / 2
    bias = float(scipy.special.ndtri(below))
    if not math.isfinite(bias):
        return None
    tails = scipy.special.ndtri(np.array([(1 - level) / 2, (1 + level) / 2])) + bias
    low, high = np.quantile(defined, scipy.special.ndtr(bias + tails / (1 - accelerated * tails)))
    return float(low), float(high)


def newcombe(value: float, positives: float, negatives: float, level: float) -> Interval:
    """Score interval of an AUROC: method 5 of R. G. Newcombe, Statistics in Medicine 25 (2006), 559-573.

    Bounds are the t with |t - value| = z sqrt(V(t)), V Hanley and McNeil's variance of exponential scores with the
    mean class size in both terms, so that it depends on t only, also where the value is 0 or 1. The sizes may be
    effective ones, not whole numbers.
    """
    z = float(scipy.special.ndtri((1 + level) / 2))
    size = (positives + negatives) / 2 - 1

    def inside(t: float) -> bool:
        spread = 1 + size * ((1 - t) / (2 - t) + t / (1 + t))
        return (t - value) ** 2 <= z**2 * t * (1 - t) * spread / (positives * negatives)

    return _farthest(inside, value, 0.0), _farthest(inside, value, 1.0)


def logit_t(value: float, variance: Component, level: float) -> Interval | None:
    """t interval of a fraction on the logit scale; None where value or variance are at their bounds."""
    if not 0 < value < 1 or not variance.variance > 0:
        return None
    half = _quantile(variance.df, level) * math.sqrt(variance.variance) / (value * (1 - value))
    middle = math.log(value / (1 - value))
    return float(scipy.special.expit(middle - half)), float(scipy.special.expit(middle + half))


def t_interval(value: float, variance: Component, level: float) -> tuple[Interval, float] | None:
    """Interval and two-sided p-value of zero, both from one variance; None where it is zero."""
    if not variance.variance > 0:
        return None
    error = math.sqrt(variance.variance)
    half = _quantile(variance.df, level) * error
    return (value - half, value + half), float(2 * scipy.stats.t.sf(abs(value) / error, variance.df))


def wilson(successes: int, trials: int, level: float) -> Interval:
    """Score interval of a proportion (E. B. Wilson, JASA 22, 1927), by scipy."""
    found = scipy.stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def score_interval(proportion: float, trials: float, level: float) -> Interval:
    """Wilson's interval where the trials are effective ones, not a whole number."""
    z = float(scipy.special.ndtri((1 + level) / 2))
    middle = (proportion + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * math.sqrt(proportion * (1 - proportion) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def wider(first: Interval, second: Interval | None) -> Interval:
    """The smallest interval that holds both."""
    return first if second is None else (min(first[0], second[0]), max(first[1], second[1]))


def _farthest(inside: Callable[[float], bool], start: float, end: float) -> float:
    """The farthest point from start towards end that is still inside, by bisection."""
    for _ in range(60):
        middle = (start + end) / 2
        start, end = (middle, end) if inside(middle) else (start, middle)
    return start


def _quantile(df: float, level: float) -> float:
    return float(scipy.stats.t.ppf((1 + level) / 2, df))
