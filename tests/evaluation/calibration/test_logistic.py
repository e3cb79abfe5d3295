"""Logistic regressions against statsmodels and scikit-learn, with clustered variances."""

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from evaluation.calibration.logistic import fit_logistic


def simulated(seed: int, units: int = 150) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Logits, truth and unit; one to five rows a unit that share a part of their truth."""
    generator = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), generator.integers(1, 6, units))
    logits = generator.normal(size=len(unit)) * 1.5 - 0.5
    own = generator.normal(size=units)[unit]
    truth = generator.random(len(unit)) < 1 / (1 + np.exp(-(0.7 * logits + 0.3 + own)))
    return logits, truth, unit


@pytest.mark.parametrize("seed", range(4))
def test_intercept_and_slope_with_their_clustered_errors_are_statsmodels(seed: int) -> None:
    logits, truth, unit = simulated(seed)
    terms = np.column_stack([np.ones(len(logits)), logits])
    fit = fit_logistic(terms, truth, unit, 150)
    assert fit is not None
    theirs = sm.Logit(truth.astype(float), terms).fit(
        disp=0, tol=1e-12, cov_type="cluster", cov_kwds={"groups": unit, "use_correction": False}
    )
    np.testing.assert_allclose(fit.coefficients, theirs.params, atol=1e-8)
    errors = np.sqrt((fit.by_unit**2).sum(axis=0))
    np.testing.assert_allclose(errors, np.sqrt(150 / 149) * theirs.bse, rtol=1e-8)
    np.testing.assert_allclose(fit.by_unit.sum(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_an_intercept_beside_an_offset_is_that_of_statsmodels(seed: int) -> None:
    logits, truth, unit = simulated(seed)
    ones = np.ones((len(logits), 1))
    fit = fit_logistic(ones, truth, unit, 150, offset=logits)
    assert fit is not None
    theirs = sm.GLM(truth.astype(float), ones, family=sm.families.Binomial(), offset=logits).fit(
        tol=1e-12, cov_type="cluster", cov_kwds={"groups": unit, "use_correction": False}
    )
    np.testing.assert_allclose(fit.coefficients, theirs.params, atol=1e-8)
    errors = np.sqrt((fit.by_unit**2).sum(axis=0))
    np.testing.assert_allclose(errors, np.sqrt(150 / 149) * theirs.bse, rtol=1e-7)


def test_a_slope_alone_is_scikit_learns() -> None:
    logits, truth, unit = simulated(9)
    fit = fit_logistic(logits[:, None], truth, unit, 150)
    assert fit is not None
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000).fit(logits[:, None], truth)
    assert fit.coefficients[0] == pytest.approx(theirs.coef_[0, 0], abs=1e-6)


@pytest.mark.parametrize("truth", [[True] * 4, [False] * 4, [False, False, True, True]])
def test_one_class_and_separated_classes_have_no_fit(truth: list[bool]) -> None:
    terms = np.column_stack([np.ones(4), np.array([-2.0, -1.0, 1.0, 2.0])])
    assert fit_logistic(terms, np.array(truth), np.arange(4), 4) is None


def test_logits_that_are_all_equal_have_no_slope() -> None:
    terms = np.column_stack([np.ones(6), np.full(6, 0.4)])
    assert fit_logistic(terms, np.arange(6) < 3, np.arange(6), 6) is None


def test_a_logit_far_from_its_outcome_does_not_make_the_fit_diverge() -> None:
    """A plain Newton step from zero overshoots here."""
    logits = np.concatenate([np.linspace(-1, 1, 200), [27.0, -27.0]])
    truth = np.concatenate([np.arange(200) % 2 == 0, [False, True]])
    fit = fit_logistic(np.column_stack([np.ones(202), logits]), truth, np.arange(202), 202)
    assert fit is not None
    theirs = sm.Logit(truth.astype(float), np.column_stack([np.ones(202), logits])).fit(
        disp=0, method="bfgs", maxiter=500
    )
    np.testing.assert_allclose(fit.coefficients, theirs.params, atol=1e-4)
