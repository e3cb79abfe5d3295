"""Intervals against scipy, and against their definitions."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics.auroc import WeightedAuroc, auroc
from evaluation.metrics.influence import Component
from evaluation.statistics.bootstrap import resampled_counts
from evaluation.statistics.intervals import acceleration, bca, logit_t, newcombe, percentile, t_interval, wider, wilson


def test_a_percentile_interval_is_the_percentiles_of_the_defined_replicates() -> None:
    replicates = np.append(np.arange(101) / 100, np.nan)
    assert percentile(replicates, 0.9) == pytest.approx((0.05, 0.95))


@pytest.mark.parametrize("replicates", [[math.nan] * 5, [], [1.0] * 500, [0.3, math.nan, 0.3]])
def test_replicates_that_are_all_equal_hold_no_information(replicates: list[float]) -> None:
    assert percentile(np.array(replicates), 0.95) is None
    assert bca(1.0, np.array(replicates), 0.1, 0.95) is None


@pytest.mark.parametrize("seed", range(4))
def test_bca_is_scipys_on_the_same_replicates(seed: int) -> None:
    """scipy takes its acceleration from the jackknife; ours from influence values, which are close to it."""
    generator = np.random.default_rng(seed)
    rows, level = 120, 0.9
    truth = np.arange(rows) < 40
    scores = np.asarray(np.round(generator.normal(size=rows) + 1.5 * truth, 1), np.float64)
    metric = WeightedAuroc(scores, truth, np.arange(rows), rows)
    replicates = np.concatenate([metric(counts) for counts in resampled_counts(rows, 2000, seed, 500)])

    def statistic(drawn: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> float:
        return auroc(scores[drawn], truth[drawn])

    theirs = scipy.stats.bootstrap(
        (np.arange(rows),),
        statistic,
        vectorized=False,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=replicates),
        confidence_level=level,
        method="BCa",
    ).confidence_interval
    left_out = np.array([statistic(np.delete(np.arange(rows), row)) for row in range(rows)])
    by_jackknife = bca(auroc(scores, truth), replicates, acceleration(left_out.mean() - left_out), level)
    assert by_jackknife == pytest.approx(tuple(theirs), abs=1e-12)
    ours = bca(auroc(scores, truth), replicates, acceleration(metric.influence().by_unit), level)
    assert ours == pytest.approx(tuple(theirs), abs=5e-4)


def test_bca_without_a_replicate_on_one_side_of_the_value_is_undefined() -> None:
    assert bca(0.9, np.linspace(0.1, 0.5, 100), 0.0, 0.95) is None


@given(st.integers(1, 300), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_is_scipys(trials: int, fraction: float, level: float) -> None:
    successes = round(trials * fraction)
    theirs = scipy.stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    assert wilson(successes, trials, level) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(2, 400), st.integers(2, 400), st.sampled_from([0.8, 0.95, 0.99]))
def test_newcombes_bounds_lie_z_standard_errors_of_their_own_from_the_value(
    value: float, m: int, n: int, level: float
) -> None:
    low, high = newcombe(value, m, n, level)
    z = scipy.stats.norm.ppf((1 + level) / 2)
    size = (m + n) / 2 - 1

    def error(t: float) -> float:
        return math.sqrt(t * (1 - t) * (1 + size * (1 - t) / (2 - t) + size * t / (1 + t)) / (m * n))

    assert 0 <= low <= value <= high <= 1
    for bound in (low, high):
        if 0 < bound < 1:
            assert abs(value - bound) == pytest.approx(z * error(bound), abs=1e-6)
    mirrored = newcombe(1 - value, n, m, level)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-6)


def test_newcombes_interval_of_a_perfect_auroc_says_how_little_few_positives_tell() -> None:
    assert newcombe(1.0, 4, 400, 0.95)[0] < newcombe(1.0, 40, 400, 0.95)[0] < 1.0
    assert newcombe(1.0, 4, 400, 0.95)[1] == 1.0


def test_a_logit_interval_is_a_t_interval_on_its_scale_and_stays_within_bounds() -> None:
    found = logit_t(0.98, Component(0.01**2, 5), 0.95)
    assert found is not None
    assert 0.7 < found[0] < 0.98 < found[1] < 1
    logits = np.log(np.array(found) / (1 - np.array(found)))
    middle = math.log(0.98 / 0.02)
    assert logits - middle == pytest.approx(
        np.array([-1, 1]) * scipy.stats.t.ppf(0.975, 5) * 0.01 / (0.98 * 0.02), rel=1e-9
    )


@pytest.mark.parametrize(("value", "variance"), [(1.0, 0.1), (0.0, 0.1), (0.5, 0.0), (0.5, math.nan)])
def test_a_logit_interval_without_variance_or_at_a_bound_is_none(value: float, variance: float) -> None:
    assert logit_t(value, Component(variance, 5), 0.95) is None


@given(st.floats(-1, 1), st.floats(1e-8, 1), st.floats(1, 500), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_a_difference_has_zero_outside_its_interval_exactly_where_its_p_value_is_small(
    value: float, variance: float, df: float, level: float
) -> None:
    found = t_interval(value, Component(variance, df), level)
    assert found is not None
    (low, high), p_value = found
    if abs(p_value - (1 - level)) > 1e-9:
        assert (low > 0 or high < 0) == (p_value < 1 - level)


def test_a_difference_without_variance_has_neither_interval_nor_p_value() -> None:
    assert t_interval(0.0, Component(0.0, 5), 0.95) is None


def test_the_wider_of_two_intervals_holds_both() -> None:
    assert wider((0.2, 0.5), (0.3, 0.7)) == (0.2, 0.7)
    assert wider((0.2, 0.5), None) == (0.2, 0.5)
