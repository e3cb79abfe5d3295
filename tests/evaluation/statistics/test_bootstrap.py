"""Resampling against loops that do the obvious thing."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from evaluation.metrics.auroc import WeightedAuroc
from evaluation.statistics import bootstrap
from evaluation.statistics.bootstrap import Replicates, replicate_arms, resampled_counts


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
    ours = replicate_arms(arms, truth, unit, WeightedAuroc, Replicates(5, seed))
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
    whole = replicate_arms(arms, truth, np.arange(60), WeightedAuroc, Replicates(50, 1))
    monkeypatch.setattr(bootstrap, "CHUNK_ELEMENTS", 60 * 7)
    chunked = replicate_arms(arms, truth, np.arange(60), WeightedAuroc, Replicates(50, 1))
    for a, b in zip(whole, chunked, strict=True):
        np.testing.assert_array_equal(a.replicates, b.replicates)


def test_a_second_arm_or_label_leaves_the_first_ones_replicates_alone() -> None:
    arms, truth = simulate(4)
    both = replicate_arms(arms, truth, np.arange(60), WeightedAuroc, Replicates(20, 9))
    alone = replicate_arms([arms[0][:, :, :1]], truth[:, :1], np.arange(60), WeightedAuroc, Replicates(20, 9))
    np.testing.assert_array_equal(both[0].replicates[:, :1], alone[0].replicates)


def test_an_arm_against_itself_differs_by_zero_in_every_replicate() -> None:
    arms, truth = simulate(5)
    first, second = replicate_arms([arms[0], arms[0]], truth, np.arange(60), WeightedAuroc, Replicates(30, 0))
    assert not np.nan_to_num(first.replicates - second.replicates).any()


def test_draws_are_resampled_by_the_weights_given_and_the_conditional_replicates_are_not() -> None:
    arms, truth = simulate(8, labels=2, draws=3)
    truth[:, -1] = truth[:, 0]
    weights = np.random.default_rng(0).dirichlet(np.ones(3), size=20).T
    plain = replicate_arms(arms[:1], truth, np.arange(60), WeightedAuroc, Replicates(20, 9))[0]
    weighted = replicate_arms(arms[:1], truth, np.arange(60), WeightedAuroc, Replicates(20, 9, weights=[weights]))[0]
    singles = [
        replicate_arms([draw[None]], truth, np.arange(60), WeightedAuroc, Replicates(20, 9))[0].replicates
        for draw in arms[0]
    ]
    np.testing.assert_allclose(plain.with_draws, np.mean(singles, axis=0), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(weighted.replicates, plain.replicates)
    np.testing.assert_allclose(weighted.with_draws, np.einsum("drl,dr->rl", singles, weights), rtol=0, atol=1e-12)


def test_whole_clusters_are_drawn_not_rows() -> None:
    """Ten copies of each row: by row the interval shrinks, by cluster it is that of the rows themselves."""
    arms, truth = simulate(6, rows=80, labels=1, draws=1)
    truth = np.where(np.arange(80)[:, None] % 3 == 0, 1.0, 0.0)
    once = replicate_arms(arms[:1], truth, np.arange(80), WeightedAuroc, Replicates(200, 2))[0]
    copied_arm, copied_truth = np.repeat(arms[0], 10, axis=1), np.repeat(truth, 10, axis=0)
    by_cluster = replicate_arms(
        [copied_arm], copied_truth, np.repeat(np.arange(80), 10), WeightedAuroc, Replicates(200, 2)
    )[0]
    by_row = replicate_arms([copied_arm], copied_truth, np.arange(800), WeightedAuroc, Replicates(200, 2))[0]
    np.testing.assert_allclose(by_cluster.replicates, once.replicates, rtol=0, atol=1e-12)
    assert by_row.replicates.std() < 0.5 * once.replicates.std()


def test_500_replicates_of_200_000_rows_stay_under_200_megabytes() -> None:
    generator = np.random.default_rng(0)
    rows = 200_000
    truth = (generator.random((rows, 1)) < 0.5).astype(float)  # alternating classes: the most blocks there can be
    scores = generator.random((1, rows, 1))
    tracemalloc.start()
    try:
        replicate_arms([scores], truth, np.arange(rows), WeightedAuroc, Replicates(500, 0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200e6
