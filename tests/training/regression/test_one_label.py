"""The regression of a probe: scikit-learn's own, the choice of C by folds or a held-out part, what is refused."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from training.errors import TrainingError
from training.regression.holdout import folds, held_out
from training.regression.one_label import (
    CROSS_VALIDATED_BELOW,
    DEFAULT_STRENGTH,
    MAX_ITERATIONS,
    STRENGTHS,
    LinearModel,
    fit,
)

Array = npt.NDArray[np.float32]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As the probe limits them: on a busy machine two threads are ten times as slow on matrices this small."""
    with threadpool_limits(limits=1):
        yield


def material(samples: int, dimension: int = 12, seed: int = 0) -> tuple[Array, Array, pd.DataFrame]:
    """Features of very different scales, labels that follow a few of them, three samples a patient."""
    generator = np.random.default_rng(seed)
    hidden = generator.normal(size=(samples, dimension))
    features = (hidden * 10.0 ** generator.uniform(-3, 2, dimension) + generator.uniform(-5, 5, dimension)).astype(
        np.float32
    )
    logits = hidden[:, :3].sum(axis=1) + generator.normal(0, 0.5, samples)
    target = (logits > np.median(logits)).astype(np.float32)
    return features, target, pd.DataFrame({"patient_id": [f"p{number // 3}" for number in range(samples)]})


def fitted(features: Array, target: Array, rows: pd.DataFrame) -> LinearModel:
    return fit(features, np.arange(len(rows)), target, rows, "set")


def scores(model: LinearModel, features: Array) -> npt.NDArray[np.float64]:
    """As the folded network computes them: in float32."""
    found: Array = features @ model.weight.astype(np.float32) + np.float32(model.bias)
    return found.astype(np.float64)


def reference(strength: float) -> Any:  # noqa: ANN401 - scikit-learn has no types
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=MAX_ITERATIONS, tol=1e-6))


@given(st.integers(8, 120), st.integers(1, 30), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_logits_on_raw_features_are_those_of_scikit_learn_on_standardised_ones(
    samples: int, dimension: int, seed: int
) -> None:
    features, target, rows = material(samples, max(dimension, 3), seed)
    model = fitted(features, target, rows)
    expected = reference(model.strength).fit(features.astype(np.float64), target).decision_function(features)
    # Both stop near the optimum, not at it.
    np.testing.assert_allclose(scores(model, features), expected, rtol=2e-3, atol=2e-3 * max(1, expected.std()))


def slow_losses(scaled: npt.NDArray[np.float64], target: Array, apart: npt.NDArray[np.bool_]) -> dict[float, float]:
    """The summed log loss of the rows apart for each C, each regression begun from zero."""
    losses = {}
    for strength in STRENGTHS:
        one = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS).fit(scaled[~apart], target[~apart])
        losses[strength] = log_loss(target[apart], one.predict_proba(scaled[apart])[:, 1], normalize=False)
    return losses


def noisy(samples: int) -> tuple[Array, Array, pd.DataFrame]:
    features, target, rows = material(samples, 40)
    target[::7] = 1 - target[::7]  # or the weakest regularisation is always the best
    return features, target, rows


def test_with_many_patients_the_strength_is_the_best_one_on_a_held_out_part() -> None:
    features, target, rows = noisy(3 * CROSS_VALIDATED_BELOW)
    model = fitted(features, target, rows)
    apart = held_out(rows, "set", pd.Series(target == 1)).to_numpy()
    assert (model.chosen_by, model.chosen_on, model.folds) == ("hold-out", apart.sum(), 0)
    assert not set(rows[apart]["patient_id"]) & set(rows[~apart]["patient_id"])
    losses = slow_losses(StandardScaler().fit_transform(features.astype(np.float64)), target, apart)
    assert min(losses, key=lambda strength: losses[strength]) == model.strength
    assert STRENGTHS[0] < model.strength < STRENGTHS[-1]


def test_with_few_patients_the_strength_is_the_best_one_over_all_folds() -> None:
    features, target, rows = noisy(3 * CROSS_VALIDATED_BELOW - 3)
    model = fitted(features, target, rows)
    assert (model.chosen_by, model.chosen_on, model.folds) == ("cross-validation", len(rows), 5)
    of = folds(rows, "set", pd.Series(target == 1), 5)
    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    each = [slow_losses(scaled, target, of == fold) for fold in range(5)]
    losses = {strength: sum(fold[strength] for fold in each) for strength in STRENGTHS}
    assert min(losses, key=lambda strength: losses[strength]) == model.strength
    assert STRENGTHS[0] < model.strength < STRENGTHS[-1]


@pytest.mark.parametrize(
    ("of_rarer", "chosen_by", "count"),
    [(1, "default", 0), (2, "cross-validation", 2), (4, "cross-validation", 4), (9, "cross-validation", 5)],
)
@pytest.mark.parametrize("rarer", [0, 1])
def test_there_are_as_many_folds_as_patients_of_the_rarer_class_but_no_more_than_five(
    of_rarer: int, chosen_by: str, count: int, rarer: int
) -> None:
    features, target, rows = material(60)
    target[:] = 1 - rarer
    target[: 3 * of_rarer] = rarer
    model = fitted(features, target, rows)
    assert (model.chosen_by, model.folds, model.chosen_on) == (chosen_by, count, 60 if count else 0)
    if not count:
        assert model.strength == DEFAULT_STRENGTH


def test_a_part_that_holds_one_class_only_chooses_nothing() -> None:
    features, target, rows = material(3 * CROSS_VALIDATED_BELOW)
    target[:] = 0
    target[:9] = 1  # three patients: none of them is the fourth
    model = fitted(features, target, rows)
    assert (model.chosen_by, model.strength, model.chosen_on) == ("default", DEFAULT_STRENGTH, 0)
    assert roc_auc_score(target, scores(model, features)) > 0.7


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(np.zeros(60), id="a dead unit"),
        pytest.param(np.full(60, 0.1), id="a constant that float32 cannot hold"),
        pytest.param(1000 + np.arange(60) % 2 * 6e-5, id="a constant with rounding"),
    ],
)
def test_a_constant_feature_says_nothing_and_does_no_harm_where_it_varies_later(column: Array) -> None:
    features, target, rows = material(60)
    without = fitted(features, target, rows)
    with_it = np.column_stack([features, column.astype(np.float32)])
    model = fitted(with_it, target, rows)
    assert np.isfinite(model.weight).all()
    np.testing.assert_allclose(model.weight[:-1], without.weight, rtol=1e-3)
    later = with_it.copy()
    later[:, -1] += 0.01
    np.testing.assert_allclose(scores(model, later), scores(without, features), atol=0.01)


def test_unknown_targets_and_other_places_are_left_out_and_the_features_stay_as_they_are() -> None:
    features, target, rows = material(90)
    before = features.copy()
    target[5:30] = np.nan
    places = np.random.default_rng(1).permutation(90)[:60]
    chosen = rows.iloc[places].reset_index(drop=True)
    one = fit(features, places, target[places], chosen, "set")
    known = places[~np.isnan(target[places])]
    two = fitted(features[known], target[known], rows.iloc[known].reset_index(drop=True))
    np.testing.assert_array_equal(one.weight, two.weight)
    assert (one.bias, one.strength, one.chosen_on) == (two.bias, two.strength, two.chosen_on)
    np.testing.assert_array_equal(features, before)


def test_fitting_takes_one_copy_of_the_features() -> None:
    """All of CheXpert through a DenseNet are 0.9 GB: one copy in float64 is 1.8 GB, five were 6 GB or more."""
    features, target, rows = material(20_000, 64)
    fitted(features[:100], target[:100], rows[:100])  # whatever is loaded on first use
    tracemalloc.start()
    fitted(features, target, rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3.5 * features.nbytes  # and for a moment one in float32


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_numbers_are_refused(value: float) -> None:
    features, target, rows = material(30)
    features[4, 2] = value
    with pytest.raises(TrainingError, match="the backbone's features are not numbers"):
        fitted(features, target, rows)
