"""Compute the Brier score: the mean squared distance of a probability from the outcome, 0 at best.

G. W. Brier, Monthly Weather Review 78, 1950, for two classes, as scikit-learn's brier_score_loss.
"""

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.ratio import WeightedRatio


class WeightedBrier(WeightedRatio):
    """Brier score of many weighted copies of the same rows."""

    needs_probabilities = True
    """The distance of a score that is no probability has no meaning."""

    def __init__(
        self, scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], units: int
    ) -> None:
        """scores, truth, unit: [rows]. unit: which of `units` resampled units a row belongs to, 0-based."""
        super().__init__((scores - truth) ** 2, np.ones(len(scores)), unit, units)
