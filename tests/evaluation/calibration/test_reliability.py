"""The reliability curve against scikit-learn's; intervals against scipy's."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from evaluation.calibration.reliability import reliability


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 300), st.integers(2, 12), st.sampled_from([3, 20, 10**6]))
def test_the_curve_is_scikit_learns_with_quantile_bins(seed: int, rows: int, bins: int, levels: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities = generator.integers(0, levels + 1, rows) / levels
    truth = generator.random(rows) < probabilities
    truth[:2] = (True, False)
    observed, predicted = calibration_curve(truth, probabilities, n_bins=bins, strategy="quantile")
    found = reliability(probabilities, truth, np.arange(rows), bins, 0.95)
    np.testing.assert_allclose([one.observed for one in found], observed, atol=1e-12)
    np.testing.assert_allclose([one.predicted for one in found], predicted, atol=1e-12)
    assert sum(one.n for one in found) == rows


def test_the_interval_of_independent_rows_is_scipys_and_copies_of_rows_do_not_shorten_it() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.random(400)
    truth = generator.random(400) < probabilities
    once = reliability(probabilities, truth, np.arange(400), 5, 0.9)
    for one in once:
        theirs = scipy.stats.binomtest(round(one.observed * one.n), one.n).proportion_ci(0.9, method="wilson")
        assert one.ci == pytest.approx((theirs.low, theirs.high))
        assert one.method == "wilson"
    copied = reliability(np.repeat(probabilities, 4), np.repeat(truth, 4), np.repeat(np.arange(400), 4), 5, 0.9)
    for one, four in zip(once, copied, strict=True):
        assert four.n == 4 * one.n
        assert four.observed == pytest.approx(one.observed)
        assert one.ci is not None
        assert four.ci is not None
        assert four.ci[1] - four.ci[0] > 0.95 * (one.ci[1] - one.ci[0])


def test_no_rows_have_no_bins() -> None:
    assert reliability(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64), 10, 0.95) == ()
