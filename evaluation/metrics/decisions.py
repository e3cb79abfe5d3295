"""Compute metrics of decisions: a row is called positive where its score is at or above the threshold.

Scores come less their threshold, so that the threshold is 0: in floating point a - b >= 0 exactly where a >= b. A
label without a threshold has NaN for scores, and no value.
"""

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.ratio import WeightedRatio


class WeightedSensitivity(WeightedRatio):
    """Called positive among the positive: recall, the true positive rate. Undefined without a positive row."""

    needs_probabilities = False

    def __init__(
        self, scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], units: int
    ) -> None:
        """scores: [rows], less the threshold. truth, unit: [rows]."""
        super().__init__(*_fraction(scores, scores >= 0, truth), unit, units)


class WeightedSpecificity(WeightedRatio):
    """Called negative among the negative, one less the false positive rate. Undefined without a negative row."""

    needs_probabilities = False

    def __init__(
        self, scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], units: int
    ) -> None:
        """scores: [rows], less the threshold. truth, unit: [rows]."""
        super().__init__(*_fraction(scores, scores < 0, ~truth), unit, units)


class WeightedPpv(WeightedRatio):
    """Positive among those called positive: precision. Undefined where no row is called positive."""

    needs_probabilities = False

    def __init__(
        self, scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], units: int
    ) -> None:
        """scores: [rows], less the threshold. truth, unit: [rows]."""
        super().__init__(*_fraction(scores, truth, scores >= 0), unit, units)


class WeightedNpv(WeightedRatio):
    """Negative among those called negative. Undefined where no row is called negative."""

    needs_probabilities = False

    def __init__(
        self, scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], units: int
    ) -> None:
        """scores: [rows], less the threshold. truth, unit: [rows]."""
        super().__init__(*_fraction(scores, ~truth, scores < 0), unit, units)


class WeightedF1(WeightedRatio):
    """2 TP / (2 TP + FP + FN). Undefined where no row is positive or called positive."""

    needs_probabilities = False

    def __init__(
        self, scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], units: int
    ) -> None:
        """scores: [rows], less the threshold. truth, unit: [rows]."""
        called = scores >= 0
        among = np.where(np.isnan(scores), 0.0, called + truth.astype(np.float64)).astype(np.float64)
        super().__init__(2 * (called & truth).astype(np.float64), among, unit, units)


def _fraction(
    scores: NDArray[np.float64], counted: NDArray[np.bool_], among: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    among = among & ~np.isnan(scores)
    return (counted & among).astype(np.float64), among.astype(np.float64)
