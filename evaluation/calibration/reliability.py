"""Compare predicted with observed fractions in bins of equally many rows, as scikit-learn's calibration_curve."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.ratio import WeightedRatio
from evaluation.statistics.estimates import Sample, Sizes, value_estimate
from evaluation.statistics.intervals import Interval


@dataclass(frozen=True)
class Bin:
    """n: rows. predicted: their mean probability. observed: the fraction of positives, with its interval."""

    n: int
    predicted: float
    observed: float
    ci: Interval | None
    method: str | None


def reliability(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.bool_],
    unit: NDArray[np.int64],
    bins: int,
    level: float,
) -> tuple[Bin, ...]:
    """Bins between quantiles of the probability; bins without a row are left out. probabilities, truth, unit: [rows].

    The interval of a fraction is Wilson's, and where units have several rows that of a clustered proportion
    (docs/statistics.md).
    """
    if not len(probabilities):
        return ()
    edges = np.percentile(probabilities, 100 * np.linspace(0, 1, bins + 1))  # rounds as scikit-learn does
    place = np.searchsorted(edges[1:-1], probabilities)
    return tuple(
        _bin(probabilities[rows], truth[rows], unit[rows], level)
        for rows in (place == number for number in range(bins))
        if rows.any()
    )


def _bin(probabilities: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], level: float) -> Bin:
    names, unit = np.unique(unit, return_inverse=True)
    n, k = len(truth), len(names)
    influence = WeightedRatio(truth.astype(np.float64), np.ones(n), unit, k).influence()
    observed = float(truth.mean())
    sample = Sample(
        by_draw=np.array([observed]),
        replicates=np.zeros(0),
        with_draws=np.zeros(0),
        by_unit=influence.by_unit,
        row_variance=influence.row_variance,
        between=(),
    )
    sizes = Sizes(k, (k,), (n, n), k < n, "proportion", influence.trials)
    value = value_estimate(sample, sizes, level, "auto")
    ci = None if value.ci is None or math.isnan(value.ci[0]) else value.ci
    return Bin(n, float(probabilities.mean()), observed, ci, value.method)
