"""Compute the ROC and precision-recall curves of many weighted copies of the same rows, on a common grid."""

import numpy as np
from numpy.typing import NDArray

STEPS = 100
"""The grid is 0, 1 / STEPS, ..., 1."""


class WeightedCurves:
    """The rows of one draw and label in descending order of the score; tied rows are one point of a curve."""

    def __init__(self, scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64]) -> None:
        """scores, truth, unit: [rows]. unit: which resampled unit a row belongs to, 0-based."""
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        self._unit, self._truth = unit[order], truth[order]
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # last row of each tie

    def __call__(self, counts: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(roc, pr), each [replicates, STEPS + 1]; counts: [units, replicates].

        roc: sensitivity at 1 - specificity, the highest there, linear within ties, as scikit-learn's roc_curve read by
        numpy.interp. pr: precision at the first threshold that reaches a recall (precision_recall_curve, whose steps
        the average precision sums). NaN where a class is absent.
        """
        weights = np.ascontiguousarray(counts[self._unit].T)  # [replicates, rows]
        positives = np.cumsum(weights * self._truth, axis=1, dtype=np.int64)[:, self._ends]
        negatives = np.cumsum(weights * ~self._truth, axis=1, dtype=np.int64)[:, self._ends]
        roc, pr = np.full((2, len(weights), STEPS + 1), np.nan)
        steps = np.arange(STEPS + 1)
        for number, (true, false) in enumerate(zip(positives, negatives, strict=True)):
            p, n = int(true[-1]), int(false[-1])
            if not (p and n):
                continue
            # steps * n / STEPS is exact where it is whole, so that no step is missed by rounding.
            roc[number] = np.interp(steps * n / STEPS, np.append(0, false), np.append(0, true)) / p
            reached = np.searchsorted(true, np.maximum(steps * p / STEPS, 0.5), side="left")
            pr[number] = true[reached] / (true[reached] + false[reached])
        return roc, pr
