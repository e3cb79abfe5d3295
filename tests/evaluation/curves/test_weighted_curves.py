"""Curves of weighted copies equal those of the repeated rows: a slow reference, and scikit-learn."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from evaluation.curves.weighted_curves import STEPS, WeightedCurves

GRID = np.arange(STEPS + 1) / STEPS


def counted(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(false, true) positives at each threshold, from none called positive to all."""
    points = [(0, 0)]
    for threshold in sorted(set(scores), reverse=True):
        called = scores >= threshold
        points.append((int((called & ~truth).sum()), int((called & truth).sum())))
    return points


def slow_roc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> list[float]:
    """The highest sensitivity at each 1 - specificity, along the straight lines between thresholds."""
    points, p, n = counted(scores, truth), int(truth.sum()), int((~truth).sum())
    found = []
    for step in range(STEPS + 1):
        x = Fraction(step * n, STEPS)
        best = Fraction(0)
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            if x0 <= x <= x1:
                best = max(best, Fraction(y1) if x == x1 else y0 + (x - x0) * Fraction(y1 - y0, x1 - x0))
        found.append(float(best / p))
    return found


def slow_pr(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> list[float]:
    """Precision at the highest threshold that reaches each recall."""
    points, p = counted(scores, truth), int(truth.sum())
    return [
        next(true / (true + false) for false, true in points if true and true * STEPS >= step * p)
        for step in range(STEPS + 1)
    ]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_curves_of_each_replicate_are_those_of_its_repeated_rows(data: st.DataObject) -> None:
    rows = data.draw(st.integers(2, 14))
    scores = np.array(data.draw(st.lists(st.integers(0, 5), min_size=rows, max_size=rows)), float)
    truth = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    units = data.draw(st.integers(1, rows))
    unit = np.array([row % units for row in range(rows)])
    counts = np.array(
        data.draw(st.lists(st.lists(st.integers(0, 3), min_size=units, max_size=units), min_size=1, max_size=3)),
        np.int32,
    ).T
    roc, pr = WeightedCurves(scores, truth, unit)(counts)
    for replicate in range(counts.shape[1]):
        repeated = np.repeat(np.arange(rows), counts[unit, replicate])
        if len(set(truth[repeated])) < 2:
            assert np.isnan(roc[replicate]).all()
            assert np.isnan(pr[replicate]).all()
            continue
        assert roc[replicate] == pytest.approx(slow_roc(scores[repeated], truth[repeated]), abs=1e-12)
        assert pr[replicate] == pytest.approx(slow_pr(scores[repeated], truth[repeated]), abs=1e-12)


def test_curves_are_scikit_learns_at_its_own_points() -> None:
    generator = np.random.default_rng(0)
    truth = np.repeat([True, False], [100, 200])  # so that scikit-learn's points lie on the grid
    scores = np.round(generator.normal(size=300) + truth, 2)
    roc, pr = (curve[0] for curve in WeightedCurves(scores, truth, np.arange(300))(np.ones((300, 1), np.int32)))
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    for step in (0, 7, 29, 50, 100):
        assert roc[step] == pytest.approx(np.interp(step / 100 + 1e-12, fpr, tpr), abs=1e-9)
    precision, recall, _ = precision_recall_curve(truth, scores)
    for step in range(1, STEPS + 1):
        reached = recall >= step / 100 - 1e-12
        assert pr[step] == pytest.approx(precision[np.flatnonzero(reached)[-1]], abs=1e-12)
