"""Variation between draws and pretraining seeds: what is counted, what is paired, what is resampled."""

import numpy as np
import pytest

from evaluation.statistics.draws import components, design, difference_components, resampling_weights
from evaluation.tables.comparison import Draw


def draws(*numbers: int, seed: int | None = None) -> list[Draw]:
    return [Draw(number, seed) for number in numbers]


@pytest.mark.parametrize(("count", "estimated"), [(1, False), (2, False), (3, True), (10, True)])
def test_the_variation_between_draws_is_estimated_from_three_on(count: int, estimated: bool) -> None:
    found = design(draws(*range(count)))
    assert (found.by_draw, found.by_seed) == (estimated, False)
    assert len(components(found, np.arange(count) / 10)) == int(estimated)


def test_the_variance_of_the_mean_over_draws_is_theirs_over_their_number() -> None:
    values = np.array([0.80, 0.84, 0.91, 0.85])
    (part,) = components(design(draws(0, 1, 2, 3)), values)
    assert [part.variance, part.df] == pytest.approx([values.var(ddof=1) / 4, 3])


def test_draws_of_both_arms_are_paired_by_number_whatever_their_order() -> None:
    one, two = np.array([0.80, 0.84, 0.91]), np.array([0.70, 0.81, 0.74])  # of draws 0 1 2, and of 0 2 1
    (part,) = difference_components(design(draws(0, 1, 2)), one, design(draws(0, 2, 1)), two)
    assert part.variance == pytest.approx((one - two[[0, 2, 1]]).var(ddof=1) / 3)


def test_draws_of_other_numbers_are_independent() -> None:
    one, two = np.array([0.80, 0.84, 0.91]), np.array([0.70, 0.81, 0.74])
    found = difference_components(design(draws(0, 1, 2)), one, design(draws(3, 4, 5)), two)
    assert sum(part.variance for part in found) == pytest.approx(one.var(ddof=1) / 3 + two.var(ddof=1) / 3)
    alone = difference_components(design(draws(0, 1, 2)), one, design(draws(0)), np.array([0.7]))
    assert [part.variance for part in alone] == [pytest.approx(one.var(ddof=1) / 3)]


def test_seeds_that_are_crossed_with_draws_add_their_own_part() -> None:
    files = [Draw(number, seed) for seed in (0, 1, 2) for number in (0, 1, 2, 3)]
    values = np.random.default_rng(0).random((3, 4))
    by_draw, by_seed = components(design(files), values.ravel())
    assert [by_draw.variance, by_draw.df] == pytest.approx([values.mean(axis=0).var(ddof=1) / 4, 3])
    assert [by_seed.variance, by_seed.df] == pytest.approx([values.mean(axis=1).var(ddof=1) / 3, 2])


def test_a_seed_of_its_own_for_each_draw_is_not_counted_twice() -> None:
    found = design([Draw(number, number + 7) for number in range(5)])
    assert (found.by_draw, found.by_seed) == (True, False)


def test_arms_with_the_same_draws_get_the_same_resamples_of_them() -> None:
    one = resampling_weights(design(draws(0, 1, 2, 3)), 200, 5)
    two = resampling_weights(design(draws(3, 1, 0, 2)), 200, 5)
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one, two[[2, 1, 3, 0]])
    np.testing.assert_allclose(one.sum(axis=0), 1)
    assert len({column.tobytes() for column in one.T}) > 20
    assert resampling_weights(design(draws(0, 1)), 200, 5) is None
