"""Thresholds by rule, against scikit-learn's ROC curve; their intervals, against scipy."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from evaluation.statistics.thresholds import Rule, choose_threshold, label_threshold, rule_from_text


@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(1, 8), st.sampled_from([0.3, 0.8, 0.9, 1.0]))
def test_a_threshold_is_the_best_of_scikit_learns_curve(seed: int, rows: int, levels: int, target: float) -> None:
    generator = np.random.default_rng(seed)
    positive = generator.permutation(np.arange(rows) < max(1, rows // 3))
    scores = generator.integers(0, levels, rows) / levels
    false_rate, true_rate, thresholds = roc_curve(positive, scores, drop_intermediate=False)
    for rule in (Rule("youden"), Rule("specificity", target), Rule("sensitivity", target)):
        chosen = choose_threshold(scores, positive, rule)
        sensitivity, specificity = (scores >= chosen)[positive].mean(), (scores < chosen)[~positive].mean()
        if rule.name == "youden":
            assert sensitivity + specificity - 1 == pytest.approx((true_rate - false_rate).max())
        elif rule.name == "specificity":
            assert specificity >= target - 1e-12
            assert sensitivity == pytest.approx(true_rate[1 - false_rate >= target - 1e-12].max())
        else:
            assert sensitivity >= target - 1e-12
            assert specificity == pytest.approx((1 - false_rate)[true_rate >= target - 1e-12].max())
        assert chosen in thresholds or chosen > scores.max()


def test_the_sensitivity_and_specificity_of_a_threshold_have_scipys_wilson_intervals() -> None:
    generator = np.random.default_rng(0)
    truth = (generator.random(200) < 0.3).astype(float)
    truth[:9] = np.nan
    scores = generator.random(200) + 0.4 * np.nan_to_num(truth)
    found = label_threshold(scores, truth, Rule("specificity", 0.9), 0.9)
    assert found.threshold is not None
    assert found.sensitivity is not None
    assert found.specificity is not None
    assert found.positives + found.negatives == 191
    hits = int((scores >= found.threshold)[truth == 1].sum())
    theirs = scipy.stats.binomtest(hits, found.positives).proportion_ci(0.9, method="wilson")
    assert found.sensitivity.value == pytest.approx(hits / found.positives)
    assert found.sensitivity.ci == pytest.approx((theirs.low, theirs.high))
    assert found.specificity.value >= 0.9


def test_a_label_with_fewer_than_two_of_a_class_has_no_threshold() -> None:
    found = label_threshold(np.array([0.1, 0.2, 0.9]), np.array([0.0, 0.0, 1.0]), Rule("youden"), 0.95)
    assert (found.threshold, found.positives, found.negatives, found.sensitivity) == (None, 1, 2, None)


@pytest.mark.parametrize("text", ["youden", "specificity=0.9", "sensitivity=1"])
def test_a_rule_is_written_as_it_is_read(text: str) -> None:
    assert str(rule_from_text(text)) == text


@pytest.mark.parametrize("text", ["", "best", "specificity", "specificity=0", "sensitivity=1.1", "youden=1", "ppv=0.5"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no rule"):
        rule_from_text(text)
