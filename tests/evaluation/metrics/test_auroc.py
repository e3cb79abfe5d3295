"""The weighted AUROC against scikit-learn on rows that are really repeated."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from evaluation.metrics.auroc import WeightedAuroc, auroc


def reference(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], counts: NDArray[np.int32]
) -> float:
    """scikit-learn on each row repeated as often as its unit was drawn; NaN where one class is absent."""
    repeated = np.repeat(np.arange(len(scores)), counts[unit])
    if len(set(truth[repeated])) < 2:
        return math.nan
    return float(roc_auc_score(truth[repeated], scores[repeated]))


@st.composite
def weighted_rows(
    draw: st.DrawFn,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int32]]:
    """Few rows, scores from a grid of at most seven values (ties everywhere), clusters, several replicates."""
    rows = draw(st.integers(1, 30))
    units = draw(st.integers(1, rows))
    replicates = draw(st.integers(1, 4))
    levels = draw(st.integers(1, 7))
    scores = draw(st.lists(st.integers(0, levels - 1), min_size=rows, max_size=rows))
    truth = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    unit = draw(st.lists(st.integers(0, units - 1), min_size=rows, max_size=rows))
    counts = draw(st.lists(st.integers(0, 3), min_size=units * replicates, max_size=units * replicates))
    return (
        np.array(scores) / 7,
        np.array(truth),
        np.array(unit, np.int64),
        np.array(counts, np.int32).reshape(units, replicates),
    )


@settings(deadline=None)
@given(weighted_rows())
def test_every_replicate_equals_scikit_learn_on_the_repeated_rows(
    case: tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int32]],
) -> None:
    scores, truth, unit, counts = case
    ours = WeightedAuroc(scores, truth, unit, len(counts))(counts)
    theirs = [reference(scores, truth, unit, replicate) for replicate in counts.T]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12, equal_nan=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.3, 0.97]), st.sampled_from([3, 40, 10**6]))
def test_large_resamples_equal_scikit_learn_to_the_last_digits(seed: int, prevalence: float, levels: int) -> None:
    generator = np.random.default_rng(seed)
    rows = 997
    truth = generator.random(rows) < prevalence
    truth[:2] = (True, False)
    scores = np.round((generator.random(rows) + 0.4 * truth) * levels) / levels
    unit = generator.integers(0, 400, rows)
    counts = generator.poisson(1, (400, 3)).astype(np.int32)
    ours = WeightedAuroc(scores, truth, unit, 400)(counts)
    theirs = [reference(scores, truth, unit, replicate) for replicate in counts.T]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_one_class_alone_is_undefined_and_never_a_number() -> None:
    scores = np.array([0.1, 0.2, 0.3])
    assert math.isnan(auroc(scores, np.array([True, True, True])))
    assert math.isnan(auroc(scores, np.array([False, False, False])))
    assert math.isnan(auroc(np.zeros(0), np.zeros(0, bool)))


def test_a_class_that_was_not_drawn_is_undefined_in_that_replicate_only() -> None:
    metric = WeightedAuroc(np.array([0.9, 0.1]), np.array([True, False]), np.arange(2), 2)
    values = metric(np.array([[2, 1, 0], [0, 1, 2]], np.int32))
    np.testing.assert_array_equal(values, [np.nan, 1.0, np.nan])


def test_scores_that_are_all_equal_are_worth_one_half_exactly() -> None:
    assert auroc(np.full(101, 0.3), np.arange(101) < 7) == 0.5


def test_scores_one_float_apart_are_not_ties() -> None:
    low = 0.3
    assert auroc(np.array([low, np.nextafter(low, 1)]), np.array([False, True])) == 1.0


def test_weights_beyond_32_bits_do_not_overflow() -> None:
    """One unit with many rows, drawn often: the sums exceed 2**31, their product 2**62 / 2."""
    rows = 60_000
    truth = np.arange(rows) % 2 == 0
    scores = np.where(truth, 0.75, 0.25)
    metric = WeightedAuroc(scores, truth, np.zeros(rows, np.int64), 40_000)
    counts = np.zeros((40_000, 1), np.int32)
    counts[0] = 40_000
    assert metric(counts)[0] == 1.0
