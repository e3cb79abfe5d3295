"""Influence values against DeLong's definition, published figures and the jackknife over units."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluation.metrics.auroc import WeightedAuroc, auroc
from evaluation.metrics.influence import Component, effective_df, satterthwaite

# Ovarian cancer with intestinal obstruction: albumin, total protein, K-G score, event (0 is the event); the 43
# complete of the 49 patients of DeLong, DeLong and Clarke-Pearson (1988). The SAS/STAT User's Guide prints them,
# with the expected figures below, in "Comparing Receiver Operating Characteristic Curves" (PROC LOGISTIC).
PUBLISHED = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""


def influence(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Influence values of several models, [units, models]. scores: [models, rows]."""
    unit = np.arange(len(truth)) if unit is None else unit
    units = int(unit.max()) + 1
    return np.stack([WeightedAuroc(model, truth, unit, units).influence().by_unit for model in scores], axis=1)


def brute_force(
    scores: NDArray[np.float64], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROCs and covariance from every pair of rows, as DeLong's equations (3) to (5) say."""
    positive, negative = scores[:, truth], scores[:, ~truth]
    m, n = positive.shape[1], negative.shape[1]
    models = len(scores)
    wins = np.empty((models, m, n))
    for model in range(models):
        for i in range(m):
            for j in range(n):
                x, y = positive[model, i], negative[model, j]
                wins[model, i, j] = 1.0 if x > y else 0.5 if x == y else 0.0
    aurocs = wins.mean(axis=(1, 2))
    v10, v01 = wins.mean(axis=2), wins.mean(axis=1)
    covariance = np.zeros((models, models))
    for a in range(models):
        for b in range(models):
            s10 = sum((v10[a, i] - aurocs[a]) * (v10[b, i] - aurocs[b]) for i in range(m)) / (m - 1)
            s01 = sum((v01[a, j] - aurocs[a]) * (v01[b, j] - aurocs[b]) for j in range(n)) / (n - 1)
            covariance[a, b] = s10 / m + s01 / n
    return aurocs, covariance


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 9), st.integers(2, 11), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_squares_of_independent_rows_are_delongs_covariance_ties_included(
    m: int, n: int, levels: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, levels, (3, m + n)).astype(float)
    truth = generator.permutation(np.arange(m + n) < m)
    found = influence(scores, truth)
    aurocs, covariance = brute_force(scores, truth)
    np.testing.assert_allclose([auroc(model, truth) for model in scores], aurocs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.T @ found, covariance, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=0), 0, rtol=0, atol=1e-12)
    rows = [WeightedAuroc(model, truth, np.arange(m + n), m + n).influence().row_variance for model in scores]
    np.testing.assert_allclose(rows, np.diag(covariance), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("test", "area", "standard_error", "estimate", "p_value"),
    [("albumin", 0.7366, 0.0927, 0.0108, 0.9102), ("total protein", 0.6478, 0.1000, -0.0780, 0.4561)],
)
def test_the_published_comparison_of_ovarian_cancer_tests_is_reproduced(
    test: str, area: float, standard_error: float, estimate: float, p_value: float
) -> None:
    albumin, protein, k_g_score, event = np.array(PUBLISHED.split(), float).reshape(-1, 4).T
    scores = np.stack([-albumin if test == "albumin" else -protein, k_g_score])
    values = [auroc(model, event == 0) for model in scores]
    found = influence(scores, event == 0)
    errors = np.sqrt((found**2).sum(axis=0))
    assert values == pytest.approx([area, 0.7258], abs=5e-5)
    assert errors == pytest.approx([standard_error, 0.1028], abs=5e-5)
    assert values[0] - values[1] == pytest.approx(estimate, abs=5.1e-5)
    z = (values[0] - values[1]) / math.sqrt(((found[:, 0] - found[:, 1]) ** 2).sum())
    assert 2 * scipy.stats.norm.sf(abs(z)) == pytest.approx(p_value, abs=5e-5)


def clustered(seed: int, units: int) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Two models' scores [2, rows] with ties, truth and unit: one to six rows a unit that resemble each other."""
    generator = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), generator.integers(1, 7, units))
    own = generator.normal(size=(2, units))
    truth = generator.random(len(unit)) < generator.beta(1, 2, units)[unit]
    scores = own[:, unit] + generator.normal(size=(2, len(unit))) + truth * np.array([[1.3], [1.0]])
    return np.round(scores, 1), truth, unit


@pytest.mark.parametrize("seed", range(5))
def test_the_clustered_variance_is_the_jackknifes_over_units_to_one_percent(seed: int) -> None:
    units = 400
    scores, truth, unit = clustered(seed, units)
    found = influence(scores, truth, unit)
    values = np.array([[auroc(model[unit != left], truth[unit != left]) for model in scores] for left in range(units)])
    pairs = [(found[:, 0], values[:, 0]), (found[:, 1], values[:, 1])]
    pairs.append((found[:, 0] - found[:, 1], values[:, 0] - values[:, 1]))
    for by_unit, left_out in pairs:
        jackknife = (units - 1) / units * float(np.sum((left_out - left_out.mean()) ** 2))
        assert float(np.sum(by_unit**2)) == pytest.approx(jackknife, rel=0.01)


def test_rows_that_resemble_each_other_have_a_larger_variance_than_independent_ones() -> None:
    scores, truth, unit = clustered(0, 400)
    found = WeightedAuroc(scores[0], truth, unit, 400).influence()
    assert float(np.sum(found.by_unit**2)) > 1.3 * found.row_variance
    assert found.groups == (len(set(unit[truth])), len(set(unit[~truth])))


@pytest.mark.parametrize("positives", [0, 1, 6, 7])
def test_fewer_than_two_units_of_a_class_have_no_influence_values(positives: int) -> None:
    scores = np.random.default_rng(0).random((2, 7))
    assert np.isnan(influence(scores, np.arange(7) < positives)).all()


def test_satterthwaite_weighs_parts_by_their_variance() -> None:
    assert satterthwaite([Component(2.0, 10), Component(0.0, 2)]).df == pytest.approx(10)
    both = satterthwaite([Component(1.0, 10), Component(1.0, 2)])
    assert [both.variance, both.df] == pytest.approx([2.0, 4 / (1 / 10 + 1 / 2)])
    assert satterthwaite([]).variance == 0


def test_labels_that_are_equal_keep_their_degrees_of_freedom_in_the_mean() -> None:
    one = np.random.default_rng(0).normal(size=(50, 1))
    assert effective_df(np.repeat(one, 3, axis=1), np.array([7.0, 7.0, 7.0])) == pytest.approx(7)
    rare = effective_df(np.random.default_rng(1).normal(size=(5000, 2)) * [1, 3], np.array([200.0, 7.0]))
    assert 7 < rare < 12
