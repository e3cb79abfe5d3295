"""The draws behind the views: uniform, independent, never changed unnoticed, as plain integers say."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from shards.format.identity import sample_id
from shards.loading.random_draws import id_words, streams, uniform
from tests.shards.loading import plain_hashes

COUNT = 20_000
IDS = {
    "hashed": np.array([sample_id("name", str(number)) for number in range(COUNT)], dtype=np.int64),
    "counted": np.arange(COUNT, dtype=np.int64),  # harder: neighbours differ in one bit
    "high word only": np.arange(COUNT, dtype=np.int64) << 32,
}


def draws(ids: npt.NDArray[np.int64], seed: int, epoch: int) -> npt.NDArray[np.float32]:
    return uniform(id_words(ids), streams(seed, epoch, range(8)))


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
def test_each_draw_is_uniform(ids: npt.NDArray[np.int64]) -> None:
    values = draws(ids, seed=0, epoch=0)
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert values.max() < 1
    for column in values.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
        fine = np.bincount((column * 2**24).astype(np.int64) % 256, minlength=256)  # the lowest bits too
        assert stats.chisquare(fine).pvalue > 1e-3


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
def test_draws_are_independent_of_each_other_and_from_epoch_to_epoch_seed_and_neighbour(
    ids: npt.NDArray[np.int64],
) -> None:
    values = draws(ids, seed=0, epoch=0)
    others = [values, draws(ids, seed=0, epoch=1), draws(ids, seed=1, epoch=0), np.roll(values, 1, axis=0)]
    pvalues = []
    for number, other in enumerate(others):
        for i in range(8):
            for j in range(8):
                if number == 0 and i <= j:
                    continue
                table, _, _ = np.histogram2d(values[:, i], other[:, j], bins=8, range=[[0, 1], [0, 1]])
                pvalues.append(stats.chi2_contingency(table).pvalue)
    # Some 220 independent tests: their p-values are uniform themselves, and the smallest is no miracle.
    assert min(pvalues) > 1e-3 / len(pvalues)
    assert stats.kstest(pvalues, "uniform").pvalue > 1e-3


def test_draws_are_those_that_earlier_releases_had() -> None:
    """ITERATION ORDER: a change here changes every view. Raise loader.STATE_FORMAT and say so in CHANGELOG.md."""
    ids = np.array([0, 1, 8105861916275588434, 2**63 - 1], dtype=np.int64)
    found = (uniform(id_words(ids), streams(seed=5, epoch=2, numbers=range(3))) * 2**24).astype(np.int64)
    assert found.tolist() == [
        [1250140, 4567439, 15139713],
        [8342004, 6217883, 11429455],
        [11633878, 9501180, 12330762],
        [9791802, 12890364, 9602727],
    ]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63), st.integers(0, 10_000))
def test_draws_are_what_their_definition_says_in_plain_integers(sample: int, seed: int, epoch: int) -> None:
    found = uniform(id_words(np.array([sample], dtype=np.int64)), streams(seed, epoch, range(8)))[0]
    assert [float(value) for value in found] == [plain_hashes.draw(seed, epoch, sample, n) for n in range(8)]


def test_a_draw_does_not_depend_on_how_many_are_made_or_for_whom() -> None:
    everyone = draws(IDS["hashed"], seed=3, epoch=9)
    alone = uniform(id_words(IDS["hashed"][77:78]), streams(3, 9, range(4)))
    assert np.array_equal(everyone[77:78, :4], alone)
