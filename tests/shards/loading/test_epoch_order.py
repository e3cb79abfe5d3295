"""The order of an epoch: a permutation, pure, mixed over the whole split, and never changed unnoticed."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.loading.epoch_order import BLOCK, WINDOW, epoch_order, epoch_windows
from tests.shards.loading import plain_hashes

SAMPLES = 20_000
"""More than two windows, no multiple of anything."""


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 500), st.integers(0, 2**63), st.integers(0, 10_000))
def test_an_epoch_is_the_permutation_that_the_definition_says(samples: int, seed: int, epoch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shards.loading.epoch_order.WINDOW", 100)
        order = epoch_order(samples, seed, epoch)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(samples))
    assert list(order) == plain_hashes.epoch_order(samples, seed, epoch, BLOCK, window=100)


@pytest.mark.parametrize("samples", [0, 1, BLOCK, WINDOW - 1, WINDOW, 3 * WINDOW + 5])
def test_every_sample_is_visited_once_whatever_their_number(samples: int) -> None:
    assert np.array_equal(np.sort(epoch_order(samples, 1, 2)), np.arange(samples))


def test_the_same_seed_and_epoch_give_the_same_order_and_others_another() -> None:
    order = epoch_order(1000, 7, 3)
    assert np.array_equal(order, epoch_order(1000, 7, 3))
    for other in (epoch_order(1000, 8, 3), epoch_order(1000, 7, 4), epoch_order(1000, 3, 7)):
        assert (order == other).mean() < 0.01


def test_the_order_of_an_epoch_is_the_one_that_earlier_releases_had() -> None:
    """ITERATION ORDER: a change here breaks resuming. Raise loader.STATE_FORMAT and say so in CHANGELOG.md."""
    assert list(epoch_order(12, seed=0, epoch=0)) == [3, 10, 1, 2, 5, 8, 0, 9, 11, 4, 7, 6]
    assert list(epoch_order(12, seed=0, epoch=1)) == [4, 0, 5, 1, 9, 7, 6, 10, 8, 11, 2, 3]
    digest = hashlib.sha256(epoch_order(SAMPLES, seed=5, epoch=2).astype("<i8").tobytes()).hexdigest()
    assert digest == "a365e9276dfb33789951e966242a1729dd11bef7a8c9d483da2407123db7da35"


@pytest.mark.parametrize("samples", [1000, 5000, SAMPLES, 100_000])
def test_places_of_an_epoch_do_not_follow_storage(samples: int) -> None:
    # Were the samples permuted one by one, the correlation would have a deviation of 1 / sqrt(samples); dealing blocks
    # evenly keeps it under that. Among 20 epochs the largest stays under four deviations.
    found = [np.corrcoef(epoch_order(samples, 0, epoch), np.arange(samples))[0, 1] for epoch in range(20)]
    assert np.abs(found).max() < 4 * samples**-0.5
    assert abs(np.mean(found)) < samples**-0.5


@pytest.mark.parametrize("samples", [5_000, SAMPLES, 60_000])
def test_two_samples_share_a_batch_in_two_epochs_about_as_often_as_by_chance(samples: int) -> None:
    batch_of = []
    for epoch in range(6):
        batch = np.empty(samples, dtype=np.int64)
        batch[epoch_order(samples, 0, epoch)] = np.arange(samples) // 64
        batch_of.append(batch)
    ratios = []
    for one in range(6):
        for other in range(one):
            _, together = np.unique(batch_of[one] * samples + batch_of[other], return_counts=True)
            _, alone = np.unique(batch_of[one], return_counts=True)
            chance = (alone * (alone - 1)).sum() * 63 / (samples - 1)
            ratios.append((together * (together - 1)).sum() / chance)
    assert 0.8 < np.mean(ratios) < 1.25
    assert max(ratios) < 1.5


def test_a_window_reads_whole_blocks_of_neighbours_from_all_over_the_storage() -> None:
    windows = epoch_windows(100 * WINDOW, 0, 0)
    assert len(windows) == 100
    for window in windows:
        assert abs(len(window) - WINDOW) <= 2 * BLOCK
        runs = np.split(np.sort(window), np.flatnonzero(np.diff(np.sort(window)) != 1) + 1)
        assert all(len(run) % BLOCK == 0 for run in runs[1:-1])  # the storage's first and last block may be cut
        tenths = np.bincount(window // (10 * WINDOW), minlength=10)
        assert tenths.min() > 0.8 * WINDOW / 10
        assert tenths.max() < 1.2 * WINDOW / 10


def test_neighbours_do_not_always_travel_in_the_same_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shards.loading.epoch_order.WINDOW", 16 * BLOCK)
    samples = 40 * 16 * BLOCK
    together = np.zeros(BLOCK, dtype=int)
    for epoch in range(64):
        window_of = np.empty(samples, dtype=np.int64)
        for number, window in enumerate(epoch_windows(samples, 0, epoch)):
            window_of[window] = number
        together += window_of[:BLOCK] == window_of[1 : BLOCK + 1]
    assert (together < 64).all()
    assert (together > 48).all()  # 15 of 16 epochs
