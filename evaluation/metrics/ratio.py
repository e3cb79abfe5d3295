"""Compute a metric that is one sum over rows divided by another: a mean loss, a proportion, an F1 score."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.influence import Influence


class WeightedRatio:
    """Sum of `numerator` over the rows drawn, divided by the sum of `denominator`; NaN where that is 0.

    Both are kept as sums by unit, so that a replicate is two products with its unit counts.
    """

    def __init__(
        self, numerator: NDArray[np.float64], denominator: NDArray[np.float64], unit: NDArray[np.int64], units: int
    ) -> None:
        """numerator, denominator, unit: [rows]. unit: which of `units` resampled units a row belongs to, 0-based."""
        counted = denominator != 0
        numerator, denominator, unit = numerator[counted], denominator[counted], unit[counted]
        self._rows = len(numerator)
        self._squares = [
            float(np.sum(a * b)) for a, b in ((numerator,) * 2, (numerator, denominator), (denominator,) * 2)
        ]
        self._units = len(np.unique(unit))
        self.numerator = np.bincount(unit, weights=numerator, minlength=units)  # [units]
        self.denominator = np.bincount(unit, weights=denominator, minlength=units)

    def __call__(self, counts: NDArray[np.int32]) -> NDArray[np.float64]:
        """The ratio in each replicate: counts [units, replicates] -> [replicates]."""
        return RatioStack([self])(counts)[:, 0]

    def influence(self) -> Influence:
        """(n - value d) / sum of d for a unit's sums n and d, the linear term of the ratio (the delta method).

        Scaled by sqrt(k / (k - 1)), k the units in the denominator; NaN for fewer than two of them.
        """
        total = float(self.denominator.sum())
        groups = (self._units,)
        if self._units < 2:
            return Influence(np.full(len(self.numerator), np.nan), float("nan"), groups, total)
        value = float(self.numerator.sum()) / total
        scale = np.sqrt(self._units / (self._units - 1))
        by_unit = scale * (self.numerator - value * self.denominator) / total
        squares = self._squares[0] - 2 * value * self._squares[1] + value**2 * self._squares[2]
        by_row = max(squares, 0.0) / total**2 * self._rows / max(self._rows - 1, 1)
        return Influence(by_unit, by_row, groups, total)


class RatioStack:
    """Several ratios of the same units at once, in one matrix product each for numerators and denominators."""

    def __init__(self, metrics: Sequence[WeightedRatio]) -> None:
        self._numerators = np.stack([one.numerator for one in metrics])  # [metrics, units]
        self._denominators = np.stack([one.denominator for one in metrics])

    def __call__(self, counts: NDArray[np.int32]) -> NDArray[np.float64]:
        """counts: [units, replicates] -> [replicates, metrics], NaN where a denominator is 0."""
        weights = counts.astype(np.float64)
        above, below = self._numerators @ weights, self._denominators @ weights
        values = np.full(above.shape, np.nan)
        np.divide(above, below, out=values, where=below > 0)
        return values.T
