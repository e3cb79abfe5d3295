"""Probabilities are the sigmoid of the logits, and never lose their order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from evaluation.probabilities import probabilities


def column(*logits: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array(logits, dtype=np.float32)[:, None]


def test_scores_that_do_not_saturate_are_the_sigmoid_to_the_bit() -> None:
    logits = np.random.default_rng(0).normal(scale=5, size=(200, 3)).astype(np.float32)
    assert np.array_equal(probabilities(logits), expit(logits.astype(np.float64)))


def test_saturated_scores_keep_their_order_and_ties_stay_ties() -> None:
    found = probabilities(column(900, 40, 55, 40, 38.5, -800, -900, -800))[:, 0]
    order = [6, 5, 4, 1, 2, 0]
    assert (np.diff(found[order]) > 0).all()
    assert found[1] == found[3]
    assert found[5] == found[7]
    assert found.max() == 1
    assert found.min() >= 0
    assert abs(found - expit(column(900, 40, 55, 40, 38.5, -800, -900, -800).astype(np.float64))[:, 0]).max() < 1e-14


def test_the_auroc_of_saturated_scores_is_that_of_the_logits() -> None:
    generator = np.random.default_rng(1)
    truth = np.arange(300) % 2
    logits = (generator.normal(size=300) * 8 + 60 + 6 * truth).astype(np.float32)[:, None]
    assert roc_auc_score(truth, expit(logits.astype(np.float64))) != roc_auc_score(truth, logits)
    assert roc_auc_score(truth, probabilities(logits)) == roc_auc_score(truth, logits)


@given(st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=50))
def test_any_scores_keep_their_order(logits: list[float]) -> None:
    found = probabilities(column(*logits))[:, 0]
    _, expected = np.unique(np.array(logits, dtype=np.float32), return_inverse=True)
    _, order = np.unique(found, return_inverse=True)
    assert np.array_equal(order, expected)
    assert ((found >= 0) & (found <= 1)).all()
