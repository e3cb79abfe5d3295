"""Every metric against scikit-learn on rows that are really repeated; its influence values against the jackknife."""

import math
import warnings
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from sklearn import metrics as sk

from evaluation.metrics.metrics import AT_THRESHOLD, METRICS, PROPORTIONS, ReplicatedMetric
from tests.evaluation.metrics.test_auroc import weighted_rows

THRESHOLD = 3 / 7  # one of the scores of weighted_rows
Scores: TypeAlias = NDArray[np.float64]
Truth: TypeAlias = NDArray[np.bool_]
Case: TypeAlias = tuple[Scores, Truth, NDArray[np.int64], NDArray[np.int32]]


def _called(scores: Scores) -> Truth:
    return np.asarray(scores >= THRESHOLD)


REFERENCES: dict[str, Callable[[Truth, Scores], float]] = {
    "auroc": lambda t, s: sk.roc_auc_score(t, s) if len(set(t)) == 2 else math.nan,
    "ap": lambda t, s: sk.average_precision_score(t, s) if t.any() else math.nan,
    "brier": lambda t, s: sk.brier_score_loss(t, s, pos_label=True),
    "sensitivity": lambda t, s: sk.recall_score(t, _called(s), zero_division=np.nan),
    "specificity": lambda t, s: sk.recall_score(~t, ~_called(s), zero_division=np.nan),
    "ppv": lambda t, s: sk.precision_score(t, _called(s), zero_division=np.nan),
    "npv": lambda t, s: sk.precision_score(~t, ~_called(s), zero_division=np.nan),
    "f1": lambda t, s: sk.f1_score(t, _called(s), zero_division=np.nan),
}


def prepared(name: str, scores: Scores, truth: Truth, unit: NDArray[np.int64], units: int) -> ReplicatedMetric:
    return METRICS[name](scores - THRESHOLD if name in AT_THRESHOLD else scores, truth, unit, units)


def reference(name: str, truth: Truth, scores: Scores) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return math.nan if not len(truth) else float(REFERENCES[name](truth, scores))


def test_every_metric_is_compared_with_scikit_learn() -> None:
    assert set(REFERENCES) == set(METRICS)
    assert PROPORTIONS < AT_THRESHOLD < set(METRICS)


@pytest.mark.parametrize("name", sorted(METRICS))
@settings(deadline=None, max_examples=60)
@given(weighted_rows())
def test_every_replicate_equals_scikit_learn_on_the_repeated_rows(name: str, case: Case) -> None:
    scores, truth, unit, counts = case
    ours = prepared(name, scores, truth, unit, len(counts))(counts)
    for found, replicate in zip(ours, counts.T, strict=True):
        rows = np.repeat(np.arange(len(scores)), replicate[unit])
        expected = reference(name, truth[rows], scores[rows])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize("levels", [5, 10**6])
def test_large_resamples_equal_scikit_learn(name: str, levels: int) -> None:
    generator = np.random.default_rng(levels)
    truth = generator.random(2000) < 0.1
    scores = np.round((generator.random(2000) + 0.4 * truth) * levels / 1.4) / levels
    unit = generator.integers(0, 700, 2000)
    counts = generator.poisson(1, (700, 3)).astype(np.int32)
    ours = prepared(name, scores, truth, unit, 700)(counts)
    for found, replicate in zip(ours, counts.T, strict=True):
        rows = np.repeat(np.arange(2000), replicate[unit])
        assert found == pytest.approx(reference(name, truth[rows], scores[rows]), abs=1e-12)


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize("seed", range(3))
def test_the_clustered_variance_is_the_jackknifes_over_units(name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    units = 400
    unit = np.repeat(np.arange(units), generator.integers(1, 7, units))
    own = generator.normal(size=units)
    truth = generator.random(len(unit)) < generator.beta(1, 2, units)[unit]
    scores = 1 / (1 + np.exp(-(own[unit] + generator.normal(size=len(unit)) + truth - 0.5)))
    metric = prepared(name, scores, truth, unit, units)
    without = metric((1 - np.eye(units)).astype(np.int32))
    jackknife = (units - 1) / units * float(np.sum((without - without.mean()) ** 2))
    found = metric.influence()
    assert float(np.sum(found.by_unit**2)) == pytest.approx(jackknife, rel=0.03)
    assert float(np.sum(found.by_unit)) == pytest.approx(0, abs=3e-3)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_independent_rows_have_the_same_variance_by_row_and_by_unit(name: str) -> None:
    generator = np.random.default_rng(1)
    truth = generator.random(5000) < 0.3
    scores = np.clip(0.3 * truth + 0.7 * generator.random(5000), 0, 1)
    found = prepared(name, scores, truth, np.arange(5000), 5000).influence()
    assert float(np.sum(found.by_unit**2)) == pytest.approx(found.row_variance, rel=1e-3)


def test_a_proportions_variance_is_the_binomials_and_its_trials_are_its_rows() -> None:
    truth = np.arange(40) < 25
    scores = np.where(np.arange(40) % 3 == 0, 0.9, 0.1)
    found = prepared("sensitivity", scores, truth, np.arange(40), 40).influence()
    p = 9 / 25
    assert (found.trials, found.groups) == (25, (25,))
    assert float(np.sum(found.by_unit**2)) == pytest.approx(p * (1 - p) / 24)


def test_a_score_that_equals_the_threshold_is_called_positive_whatever_rounding_does() -> None:
    threshold = 0.1 + 0.2  # not 0.3
    scores = np.array([threshold, np.nextafter(threshold, 0), 0.3])
    metric = METRICS["sensitivity"](scores - threshold, np.ones(3, bool), np.arange(3), 3)
    np.testing.assert_array_equal(metric(np.eye(3, dtype=np.int32)), [1, 0, 0])


@pytest.mark.parametrize("name", sorted(METRICS))
def test_one_unit_alone_has_no_influence_values(name: str) -> None:
    found = prepared(name, np.array([0.9, 0.1]), np.array([True, False]), np.zeros(2, np.int64), 3).influence()
    assert np.isnan(found.by_unit).all()


@pytest.mark.parametrize(
    ("name", "scores", "truth"),
    [("ppv", [0.1, 0.2], [True, False]), ("npv", [0.8, 0.9], [True, False]), ("f1", [0.1, 0.2], [False, False])],
)
def test_a_metric_without_a_row_to_be_of_is_undefined(name: str, scores: list[float], truth: list[bool]) -> None:
    metric = prepared(name, np.array(scores), np.array(truth), np.arange(2), 2)
    assert np.isnan(metric(np.ones((2, 1), np.int32))).all()
