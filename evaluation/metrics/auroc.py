"""Compute the area under the ROC curve of many weighted copies of the same rows at once, exact under ties.

The influence values are DeLong's placement values summed over the rows of a unit (N. A. Obuchowski, Biometrics 53,
1997): the sum of their squares is the variance of the AUROC under resampling of whole units.
"""

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from evaluation.metrics.influence import Influence


class WeightedAuroc:
    """Prepare rows, sorted by score once, for many sets of weights.

    Sorted rows fall into blocks: rows of one class with no row of the other class between them, or rows that
    share one score. Two sparse matrices, `positives` and `negatives`, both [blocks, units], count each unit's rows
    in each block; a replicate's block weights are one product with its unit counts, and with P and N the weights of
    a block the AUROC is sum P (N_below + N / 2) / (sum P sum N). All sums are of integers, so nothing is rounded
    before the one division.
    """

    needs_probabilities = False
    """Only the order of the scores counts."""

    def __init__(
        self, scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], units: int
    ) -> None:
        """scores, truth, unit: [rows]. unit: which of `units` resampled units a row belongs to, 0-based."""
        order = np.argsort(scores, kind="stable")
        truth, unit = truth[order], unit[order]
        block, blocks = _blocks(scores[order], truth)
        most_rows = int(np.bincount(unit, minlength=1).max()) if len(unit) else 0
        # A unit can be drawn `units` times, so this is the largest weight that a sum may reach.
        most = most_rows * units
        dtype = np.int32 if most < 2**31 else np.int64
        self._products: type[np.int32] | type[np.int64] = np.int32 if 2 * most**2 < 2**31 else np.int64
        shape = (blocks, units)
        self.positives = count_matrix(block[truth], unit[truth], shape, dtype)
        self.negatives = count_matrix(block[~truth], unit[~truth], shape, dtype)

    def __call__(self, counts: NDArray[np.int32]) -> NDArray[np.float64]:
        """AUROC of each replicate: counts [units, replicates] -> [replicates], NaN where one class is absent."""
        positives = self.positives @ counts  # [blocks, replicates]
        negatives = self.negatives @ counts
        through: NDArray[Any] = np.cumsum(negatives, axis=0, dtype=self._products)
        all_negatives = through[-1].astype(np.int64) if len(through) else np.zeros(counts.shape[1], np.int64)
        through *= 2
        through -= negatives  # twice the negatives below a block, plus those within it: 2 (N_below + N / 2)
        numerator = np.einsum("br,br->r", positives.astype(self._products, copy=False), through)
        denominator = 2 * positives.sum(axis=0, dtype=np.int64) * all_negatives
        values = np.full(counts.shape[1], np.nan)
        np.divide(numerator, denominator, out=values, where=denominator > 0)
        return values

    def influence(self) -> Influence:
        """Influence of each unit on the AUROC; NaN where a class has fewer than two units.

        The fraction of the other class that a row beats (ties count one half) less the AUROC, divided by the size of
        its class. Each class's part is scaled by sqrt(k / (k - 1)), k its units, so that the sum of squares of
        independent rows is DeLong's unbiased variance.
        """
        positives = np.asarray(self.positives.sum(axis=1), np.float64).ravel()  # [blocks]
        negatives = np.asarray(self.negatives.sum(axis=1), np.float64).ravel()
        m, n = positives.sum(), negatives.sum()
        groups = (units_of(self.positives), units_of(self.negatives))
        if min(groups) < 2:
            return Influence(np.full(self.positives.shape[1], np.nan), float("nan"), groups)
        beaten = (np.cumsum(negatives) - negatives / 2) / n  # by a positive of the block
        beating = 1 - (np.cumsum(positives) - positives / 2) / m
        value = float(positives @ beaten / m)
        scale = [np.sqrt(k / (k - 1)) for k in groups]
        by_unit = (
            scale[0] * (self.positives.T @ (beaten - value)) / m + scale[1] * (self.negatives.T @ (beating - value)) / n
        )
        by_row = positives @ (beaten - value) ** 2 / (m * max(m - 1, 1)) + negatives @ (beating - value) ** 2 / (
            n * max(n - 1, 1)
        )
        return Influence(np.asarray(by_unit, np.float64), float(by_row), groups)


def auroc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """AUROC of the rows as they are (scores, truth: [rows]); NaN where one class is absent."""
    rows = len(scores)
    metric = WeightedAuroc(scores, truth, np.arange(rows), rows)
    return float(metric(np.ones((rows, 1), np.int32))[0])


def _blocks(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """Block of each sorted row, and how many there are: at most 2 min(positives, negatives) + 1."""
    if not len(scores):
        return np.zeros(0, np.int64), 0
    tie = np.concatenate([[0], np.cumsum(scores[1:] != scores[:-1])])  # rows of one score share a number
    ties = int(tie[-1]) + 1
    positive = np.bincount(tie, weights=truth, minlength=ties) > 0
    negative = np.bincount(tie, weights=~truth, minlength=ties) > 0
    mixed = positive & negative
    starts = (positive[1:] != positive[:-1]) | mixed[1:] | mixed[:-1]
    block_of_tie = np.concatenate([[0], np.cumsum(starts)])
    return block_of_tie[tie], int(block_of_tie[-1]) + 1


def units_of(counts: scipy.sparse.csr_array) -> int:
    """How many units have a row in a matrix [blocks, units]."""
    return len(np.unique(counts.indices))


def count_matrix(
    block: NDArray[np.int64],
    unit: NDArray[np.int64],
    shape: tuple[int, int],
    dtype: type[np.int32] | type[np.int64],
) -> scipy.sparse.csr_array:
    """[blocks, units]: how many rows of a unit lie in a block. block ascends; products add repeated entries."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(block, minlength=shape[0]))])
    index = np.int32 if max(len(block), *shape) < 2**31 else np.int64
    return scipy.sparse.csr_array((np.ones(len(block), dtype), unit.astype(index), starts.astype(index)), shape=shape)
