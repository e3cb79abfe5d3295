"""Compute the average precision of many weighted copies of the same rows at once, as scikit-learn does, without
interpolation: the precision at each positive's score, averaged over the positives (tied scores are one step).
"""

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.auroc import count_matrix
from evaluation.metrics.influence import Influence


class WeightedAveragePrecision:
    """Prepare rows, sorted by score once, for many sets of weights.

    From the highest score down, rows fall into blocks that each end with a score that some positive has; rows below
    the last positive count nowhere. With T and A the positives and all rows down to the end of a block, and P the
    positives in it, the average precision is sum P T / A divided by sum P.
    """

    needs_probabilities = False
    """Only the order of the scores counts."""

    def __init__(
        self, scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], units: int
    ) -> None:
        """scores, truth, unit: [rows]. unit: which of `units` resampled units a row belongs to, 0-based."""
        order = np.argsort(-scores, kind="stable")
        truth, unit = truth[order], unit[order]
        block, blocks = _blocks(scores[order], truth)
        self._groups = (len(np.unique(unit[truth])), len(np.unique(unit[~truth])))
        kept = block < blocks
        block, truth, unit = block[kept], truth[kept], unit[kept]
        most = int(np.bincount(unit, minlength=1).max()) * units if len(unit) else 0  # the largest sum of weights
        dtype = np.int32 if most < 2**31 else np.int64
        self._positives = count_matrix(block[truth], unit[truth], (blocks, units), dtype)
        self._negatives = count_matrix(block[~truth], unit[~truth], (blocks, units), dtype)

    def __call__(self, counts: NDArray[np.int32]) -> NDArray[np.float64]:
        """Average precision of each replicate: counts [units, replicates] -> [replicates], NaN without a positive."""
        positives = (self._positives @ counts).astype(np.float64)  # [blocks, replicates]
        through = np.cumsum(positives, axis=0)
        every = np.cumsum(self._negatives @ counts, axis=0, dtype=np.float64)
        every += through
        total = through[-1].copy() if len(through) else np.zeros(counts.shape[1])
        precision = np.divide(through, every, out=through, where=every > 0)
        values = np.full(counts.shape[1], np.nan)
        np.divide(np.einsum("br,br->r", positives, precision), total, out=values, where=total > 0)
        return values

    def influence(self) -> Influence:
        """Derivative by a unit's weight; NaN where a class has fewer than two units.

        A row adds to T and A of every block at or below its own, and a positive also its own precision. Each class's
        part is scaled by sqrt(k / (k - 1)), k its units.
        """
        units = self._positives.shape[1]
        if min(self._groups) < 2:
            return Influence(np.full(units, np.nan), float("nan"), self._groups)
        positives = np.asarray(self._positives.sum(axis=1), np.float64).ravel()  # [blocks]
        negatives = np.asarray(self._negatives.sum(axis=1), np.float64).ravel()
        through = np.cumsum(positives)
        every = through + np.cumsum(negatives)
        total, precision = through[-1], through / every
        value = float(positives @ precision / total)
        as_positive = precision - value + _from_here(positives * (every - through) / every**2)
        as_negative = -_from_here(positives * through / every**2)
        scale = [np.sqrt(k / (k - 1)) for k in self._groups]
        by_unit = scale[0] * (self._positives.T @ as_positive) + scale[1] * (self._negatives.T @ as_negative)
        by_row = positives @ as_positive**2 + negatives @ as_negative**2
        return Influence(np.asarray(by_unit / total, np.float64), float(by_row / total**2), self._groups)


def _blocks(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """Block of each row, sorted by descending score, and how many there are; rows below the last have that number."""
    if not len(scores):
        return np.zeros(0, np.int64), 0
    tie = np.concatenate([[0], np.cumsum(scores[1:] != scores[:-1])])  # rows of one score share a number
    ends = np.bincount(tie, weights=truth) > 0
    block_of_tie: NDArray[np.int64] = np.cumsum(ends) - ends
    return block_of_tie[tie], int(ends.sum())


def _from_here(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of each value and all after it."""
    return np.asarray(np.cumsum(values[::-1])[::-1])
