"""DeLong's test for two correlated AUROCs: scores of two models on the same independent rows -> p-value.

E. R. DeLong et al., Biometrics 44 (1988); the O(n log n) form with midranks is X. Sun and W. Xu, IEEE Signal
Processing Letters 21 (2014). Knows nothing of files, labels or arms.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import NDArray


@dataclass(frozen=True)
class DeLong:
    """AUROCs [models], their covariance [models, models], and the two-sided p-value of no difference.

    p_value compares the first two models; None where it is undefined (fewer than two rows of a class, or a
    difference without variance).
    """

    aurocs: NDArray[np.float64]
    covariance: NDArray[np.float64]
    p_value: float | None


def delong(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> DeLong:
    """scores: [models, rows], two or more models; truth: [rows]. Rows must be independent of each other."""
    positive, negative = scores[:, truth], scores[:, ~truth]  # [models, m], [models, n]
    models, m, n = len(scores), positive.shape[1], negative.shape[1]
    if m < 2 or n < 2:
        return DeLong(np.full(models, np.nan), np.full((models, models), np.nan), None)
    together = _midranks(np.concatenate([positive, negative], axis=1))
    # The share of the other class that each row beats, ties counted as one half (DeLong's V10 and V01).
    beaten_by_positive = (together[:, :m] - _midranks(positive)) / n
    beaten_by_negative = 1 - (together[:, m:] - _midranks(negative)) / m
    aurocs = beaten_by_positive.mean(axis=1)
    covariance = np.cov(beaten_by_positive) / m + np.cov(beaten_by_negative) / n
    return DeLong(aurocs, covariance, _p_value(aurocs, covariance))


def _p_value(aurocs: NDArray[np.float64], covariance: NDArray[np.float64]) -> float | None:
    difference = float(aurocs[0] - aurocs[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    # What is left of equal terms after subtraction is rounding, not variance.
    if variance <= 1e-12 * float(covariance[0, 0] + covariance[1, 1]) or variance <= 0:
        return 1.0 if abs(difference) < 1e-12 else None
    return float(2 * scipy.special.ndtr(-abs(difference) / math.sqrt(variance)))


def _midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1 within each row of [models, rows]; equal values share the mean of their ranks."""
    ranks = np.empty(values.shape)
    for row, of_row in zip(values, ranks, strict=True):
        _, place, count = np.unique(row, return_inverse=True, return_counts=True)
        of_row[:] = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks
