"""DeLong's test against its definition and against published figures."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluation.statistics.delong import delong

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
def test_midranks_give_the_covariance_of_all_pairs_ties_included(m: int, n: int, levels: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, levels, (3, m + n)).astype(float)
    truth = generator.permutation(np.arange(m + n) < m)
    ours = delong(scores, truth)
    aurocs, covariance = brute_force(scores, truth)
    np.testing.assert_allclose(ours.aurocs, aurocs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.covariance, covariance, rtol=0, atol=1e-12)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    if variance > 1e-9:
        z = (aurocs[0] - aurocs[1]) / math.sqrt(variance)
        assert ours.p_value == pytest.approx(2 * scipy.stats.norm.cdf(-abs(z)), rel=1e-9)


@pytest.mark.parametrize(
    ("test", "area", "standard_error", "estimate", "p_value"),
    [("albumin", 0.7366, 0.0927, 0.0108, 0.9102), ("total protein", 0.6478, 0.1000, -0.0780, 0.4561)],
)
def test_the_published_comparison_of_ovarian_cancer_tests_is_reproduced(
    test: str, area: float, standard_error: float, estimate: float, p_value: float
) -> None:
    albumin, protein, k_g_score, event = np.array(PUBLISHED.split(), float).reshape(-1, 4).T
    scores = np.stack([-albumin if test == "albumin" else -protein, k_g_score])
    result = delong(scores, event == 0)
    assert result.aurocs[1] == pytest.approx(0.7258, abs=5e-5)
    assert math.sqrt(result.covariance[1, 1]) == pytest.approx(0.1028, abs=5e-5)
    assert result.aurocs[0] == pytest.approx(area, abs=5e-5)
    assert math.sqrt(result.covariance[0, 0]) == pytest.approx(standard_error, abs=5e-5)
    assert result.aurocs[0] - result.aurocs[1] == pytest.approx(estimate, abs=5.1e-5)
    assert result.p_value == pytest.approx(p_value, abs=5e-5)


def test_a_model_against_itself_differs_with_p_one() -> None:
    scores = np.random.default_rng(1).random(40)
    assert delong(np.stack([scores, scores]), np.arange(40) < 11).p_value == 1.0


def test_a_difference_without_variance_has_no_p_value() -> None:
    truth = np.arange(10) < 5
    perfect = truth.astype(float)
    assert delong(np.stack([perfect, 1 - perfect]), truth).p_value is None


@pytest.mark.parametrize("positives", [0, 1, 6, 7])
def test_fewer_than_two_rows_of_a_class_have_no_p_value(positives: int) -> None:
    scores = np.random.default_rng(0).random((2, 7))
    assert delong(scores, np.arange(7) < positives).p_value is None
