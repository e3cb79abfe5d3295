"""Temperatures against scikit-learn, and what has none."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from evaluation.calibration.temperature import LabelTemperature, Temperatures, fit_temperature


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_the_temperature_is_scikit_learns_and_recovers_the_true_one(true: float) -> None:
    generator = np.random.default_rng(0)
    own = generator.normal(size=20_000) * 1.5
    truth = (generator.random(20_000) < 1 / (1 + np.exp(-own))).astype(float)
    truth[:50], truth[50:70] = np.nan, -1
    logits = own * true
    found = fit_temperature(logits.astype(np.float32), truth)
    assert found.temperature is not None
    assert found.temperature == pytest.approx(true, rel=0.05)
    known = np.isin(truth, (0, 1))
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(logits[known, None], truth[known])
    assert found.temperature == pytest.approx(1 / theirs.coef_[0, 0], rel=1e-5)
    assert (found.positives, found.negatives) == ((truth == 1).sum(), (truth == 0).sum())
    losses = [
        log_loss(truth[known], 1 / (1 + np.exp(-logits[known] / temperature)))
        for temperature in (found.temperature, found.temperature * 1.02, found.temperature / 1.02)
    ]
    assert losses[0] == min(losses)


@pytest.mark.parametrize("case", ["few", "reversed", "separated"])
def test_few_rows_scores_worse_than_none_and_separated_classes_have_no_temperature(case: str) -> None:
    generator = np.random.default_rng(0)
    truth = (np.arange(200) < (9 if case == "few" else 80)).astype(float)
    logits = generator.normal(size=200) + truth * {"few": 1, "reversed": -1, "separated": 100}[case]
    logits = logits if case == "reversed" else logits - 3
    logits = logits - 50 if case == "separated" else logits
    assert fit_temperature(logits, truth).temperature is None


def test_logits_are_divided_label_by_label_and_stay_where_there_is_no_temperature() -> None:
    labels = {"a": LabelTemperature(2.0, 10, 10), "b": LabelTemperature(None, 3, 90)}
    found = Temperatures("m", "d", "valid", {}, labels).apply(np.array([[4.0, 4.0]], np.float32), ("b", "a"))
    np.testing.assert_array_equal(found, [[4.0, 2.0]])
