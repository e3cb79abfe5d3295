"""Resampling, intervals and p-values against loops that do the obvious thing."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from evaluation.statistics import bootstrap
from evaluation.statistics.auroc import WeightedAuroc
from evaluation.statistics.bootstrap import Replicated, replicate_arms, resampled_counts


def simulate(
    seed: int, rows: int = 60, labels: int = 3, draws: int = 2
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Two arms [draws, rows, labels] and truth [rows, labels] with a tenth unknown; the last label is rare."""
    generator = np.random.default_rng(seed)
    truth = (generator.random((rows, labels)) < 0.4).astype(float)
    truth[:, -1] = np.arange(rows) == 7
    truth[generator.random((rows, labels)) < 0.1] = np.nan
    noise = generator.random((2, draws, rows, labels))
    return [np.round((noise[arm] + 0.3 * np.nan_to_num(truth)) * 10) / 13 for arm in (0, 1)], truth


def test_a_replicate_draws_as_many_units_as_there_are() -> None:
    counts = np.concatenate(list(resampled_counts(37, 20, 5, chunk=7)), axis=1)
    assert counts.shape == (37, 20)
    assert (counts.sum(axis=0) == 37).all()
    assert len({replicate.tobytes() for replicate in counts.T}) == 20


def test_units_are_drawn_uniformly_and_as_often_as_chance_would() -> None:
    counts = np.concatenate(list(resampled_counts(50, 4000, 11, chunk=512)), axis=1)
    assert np.abs(counts.mean(axis=1) - 1).max() < 0.08  # five standard errors: sqrt(0.98 / 4000) = 0.0157
    assert counts.var() == pytest.approx(1 - 1 / 50, rel=0.02)  # multinomial


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 2**63), st.integers(1, 40))
def test_replicates_depend_neither_on_the_chunk_nor_on_how_many_follow(
    units: int, replicates: int, seed: int, chunk: int
) -> None:
    whole = np.concatenate(list(resampled_counts(units, 30, seed, chunk=30)), axis=1)
    chunked = np.concatenate(list(resampled_counts(units, replicates, seed, chunk)), axis=1)
    np.testing.assert_array_equal(whole[:, :replicates], chunked)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_arms_draws_and_labels_equal_a_scikit_learn_loop_over_the_same_replicates(seed: int, clusters: bool) -> None:
    arms, truth = simulate(seed)
    unit = np.arange(60) // 3 if clusters else np.arange(60)
    ours = replicate_arms(arms, truth, unit, WeightedAuroc, 5, seed)
    counts = np.concatenate(list(resampled_counts(int(unit.max()) + 1, 5, seed, chunk=5)), axis=1)
    for arm, replicated in zip(arms, ours, strict=True):
        for replicate in range(5):
            drawn = np.repeat(np.arange(60), counts[unit, replicate])
            for label in range(3):
                rows = drawn[~np.isnan(truth[drawn, label])]
                classes = set(truth[rows, label])
                expected = (
                    np.mean([roc_auc_score(truth[rows, label], draw[rows, label]) for draw in arm])
                    if len(classes) == 2
                    else math.nan
                )
                np.testing.assert_allclose(replicated.replicates[replicate, label], expected, rtol=0, atol=1e-12)


def test_chunks_change_no_replicate(monkeypatch: pytest.MonkeyPatch) -> None:
    arms, truth = simulate(3)
    whole = replicate_arms(arms, truth, np.arange(60), WeightedAuroc, 50, 1)
    monkeypatch.setattr(bootstrap, "CHUNK_ELEMENTS", 60 * 7)
    chunked = replicate_arms(arms, truth, np.arange(60), WeightedAuroc, 50, 1)
    for a, b in zip(whole, chunked, strict=True):
        np.testing.assert_array_equal(a.replicates, b.replicates)


def test_a_second_arm_or_label_leaves_the_first_ones_replicates_alone() -> None:
    arms, truth = simulate(4)
    both = replicate_arms(arms, truth, np.arange(60), WeightedAuroc, 20, 9)
    alone = replicate_arms([arms[0][:, :, :1]], truth[:, :1], np.arange(60), WeightedAuroc, 20, 9)
    np.testing.assert_array_equal(both[0].replicates[:, :1], alone[0].replicates)


def test_an_arm_against_itself_differs_by_zero_in_every_replicate() -> None:
    arms, truth = simulate(5)
    first, second = replicate_arms([arms[0], arms[0]], truth, np.arange(60), WeightedAuroc, 30, 0)
    difference = first - second
    assert not np.nan_to_num(difference.replicates).any()
    assert Replicated(difference.value[0], difference.replicates[:, 0]).p_value() == 1.0


def test_whole_clusters_are_drawn_not_rows() -> None:
    """Ten copies of each row: by row the interval shrinks, by cluster it is that of the rows themselves."""
    arms, truth = simulate(6, rows=80, labels=1, draws=1)
    truth = np.where(np.arange(80)[:, None] % 3 == 0, 1.0, 0.0)
    once = replicate_arms(arms[:1], truth, np.arange(80), WeightedAuroc, 200, 2)[0]
    copied_arm, copied_truth = np.repeat(arms[0], 10, axis=1), np.repeat(truth, 10, axis=0)
    by_cluster = replicate_arms([copied_arm], copied_truth, np.repeat(np.arange(80), 10), WeightedAuroc, 200, 2)[0]
    by_row = replicate_arms([copied_arm], copied_truth, np.arange(800), WeightedAuroc, 200, 2)[0]
    np.testing.assert_allclose(by_cluster.replicates, once.replicates, rtol=0, atol=1e-12)
    assert by_row.replicates.std() < 0.5 * once.replicates.std()


def test_the_mean_leaves_an_undefined_label_out_of_that_replicate_only() -> None:
    metric = Replicated(np.array([0.5, 0.9]), np.array([[0.5, 0.9], [0.6, np.nan], [np.nan, np.nan]]))
    mean = metric.macro_average()
    assert mean.value == pytest.approx(0.7)
    np.testing.assert_allclose(mean.replicates, [0.7, 0.6, np.nan])


def test_an_interval_is_the_percentiles_of_the_defined_replicates() -> None:
    replicates = np.append(np.arange(101) / 100, np.nan)
    assert Replicated(np.array(0.5), replicates).interval(0.9) == pytest.approx((0.05, 0.95))


def test_nothing_defined_has_neither_interval_nor_p_value() -> None:
    nothing = Replicated(np.array(np.nan), np.full(5, np.nan))
    assert nothing.interval(0.95) is None
    assert nothing.p_value() is None


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([0.1] * 99, 2 * 1 / 100),
        ([-0.1] * 99, 2 * 1 / 100),
        ([0.1] * 95 + [-0.1] * 4, 2 * 5 / 100),
        ([0.1] * 95 + [0.0] * 4, 2 * 5 / 100),
        ([0.0] * 99, 1.0),
        ([0.1] * 50 + [-0.1] * 49, 1.0),
        ([0.1] * 9 + [math.nan] * 90, 2 * 1 / 10),
    ],
)
def test_the_p_value_counts_replicates_on_the_smaller_side(differences: list[float], expected: float) -> None:
    assert Replicated(np.array(0.1), np.array(differences)).p_value() == pytest.approx(expected)


def test_intervals_of_a_difference_cover_the_true_difference() -> None:
    """200 simulated data sets of two correlated normal scores; the true AUROC is Phi(shift / sqrt 2).

    Between 90 % and 99 % must cover: for a true 95 % the chance to fall outside is under one in a thousand.
    """
    generator = np.random.default_rng(20)
    rows, shifts = 150, np.array([1.2, 0.7])
    true_difference = _normal_auroc(shifts[0]) - _normal_auroc(shifts[1])
    covered = 0
    for trial in range(200):
        truth = (np.arange(rows) < 50).astype(float)[:, None]
        shared = generator.normal(size=rows)
        scores = [
            (0.6 * shared + 0.8 * generator.normal(size=rows) + shift * truth[:, 0]).reshape(1, rows, 1)
            for shift in shifts
        ]
        model, baseline = replicate_arms(scores, truth, np.arange(rows), WeightedAuroc, 300, trial)
        difference = model - baseline
        interval = Replicated(difference.value[0], difference.replicates[:, 0]).interval(0.95)
        assert interval is not None
        covered += interval[0] <= true_difference <= interval[1]
    assert 180 <= covered <= 198


def test_500_replicates_of_200_000_rows_stay_under_200_megabytes() -> None:
    generator = np.random.default_rng(0)
    rows = 200_000
    truth = (generator.random((rows, 1)) < 0.5).astype(float)  # alternating classes: the most blocks there can be
    scores = generator.random((1, rows, 1))
    tracemalloc.start()
    try:
        replicate_arms([scores], truth, np.arange(rows), WeightedAuroc, 500, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200e6


def _normal_auroc(shift: float) -> float:
    return 0.5 * (1 + math.erf(shift / 2))
