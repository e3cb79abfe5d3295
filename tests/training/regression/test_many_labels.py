"""The regressions of several labels at once are those of each label alone."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tests.training.regression.test_one_label import material, scores
from training.errors import TrainingError
from training.labels import Targets
from training.regression import many_labels
from training.regression.many_labels import fit_labels, fit_many
from training.regression.one_label import CROSS_VALIDATED_BELOW, DEFAULT_STRENGTH, LinearModel, fit

SAMPLES = 3 * CROSS_VALIDATED_BELOW + 60
"""Three a patient: enough patients to hold a part of them out, for labels that are unknown for a few of them too."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(limits=1):
        yield


def several(target: Targets, seed: int) -> Targets:
    """Four labels: a noisy one, one that is unknown for single images, a rare one, one that is hardly to be told."""
    generator = np.random.default_rng(seed)
    noisy = np.where(generator.random(len(target)) < 0.15, 1 - target, target)
    unknown = np.where(generator.random(len(target)) < 0.2, np.nan, noisy)
    rare = (target == 1) & (generator.random(len(target)) < 0.1)
    hardly = np.where(generator.random(len(target)) < 0.45, 1 - target, target)
    return np.stack([noisy, unknown, rare, hardly], axis=1).astype(np.float32)


def assert_same(one: LinearModel, other: LinearModel, features: Targets) -> None:
    assert (one.strength, one.chosen_by, one.chosen_on, one.folds) == (
        *(other.strength, other.chosen_by, other.chosen_on, other.folds),
    )
    expected = scores(other, features)
    np.testing.assert_allclose(scores(one, features), expected, rtol=2e-3, atol=2e-3 * max(1, expected.std()))


@given(st.integers(3, 30), st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_each_label_has_the_regression_that_it_has_alone(dimension: int, seed: int) -> None:
    features, target, rows = material(SAMPLES, dimension, seed)
    wanted, places = several(target, seed), np.arange(SAMPLES)
    for label, model in enumerate(fit_many(features, places, wanted, rows, "set")):
        assert model.chosen_by == "hold-out"
        assert_same(model, fit(features, places, wanted[:, label], rows, "set"), features)


def test_blocks_of_rows_and_other_places_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    features, target, rows = material(SAMPLES)
    wanted, places = several(target, 0), np.random.default_rng(1).permutation(SAMPLES)
    expected = fit_many(features, np.arange(SAMPLES), wanted, rows, "set")
    moved = np.empty_like(features)
    moved[places] = features
    monkeypatch.setattr(many_labels, "ROWS", 7)
    for one, other in zip(fit_many(moved, places, wanted, rows, "set"), expected, strict=True):
        assert_same(one, other, features)


def test_labels_of_few_patients_are_fitted_alone_and_those_that_cannot_be_held_out_by_the_default() -> None:
    features, target, rows = material(SAMPLES)
    wanted, places = several(target, 0), np.arange(SAMPLES)
    wanted[90:, 1] = np.nan
    wanted[:, 2] = 0
    wanted[:9, 2] = 1  # three patients: none of them is the fourth
    found = fit_labels(features, places, wanted, rows, "set")
    assert [model.chosen_by for model in found] == ["hold-out", "cross-validation", "default", "hold-out"]
    assert found[2].strength == DEFAULT_STRENGTH
    for label, model in enumerate(found):
        assert_same(model, fit(features, places, wanted[:, label], rows, "set"), features)


def test_a_constant_feature_says_nothing_here_too() -> None:
    features, target, rows = material(SAMPLES)
    wanted, places = several(target, 0), np.arange(SAMPLES)
    constant = np.full((SAMPLES, 1), 0.1, dtype=np.float32)
    for one, other in zip(
        fit_many(np.hstack([features, constant]), places, wanted, rows, "set"),
        fit_many(features, places, wanted, rows, "set"),
        strict=True,
    ):
        assert abs(one.weight[-1]) < 1e-6 * np.abs(one.weight).max()
        np.testing.assert_allclose(one.weight[:-1], other.weight, rtol=1e-2, atol=1e-3 * np.abs(other.weight).max())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_numbers_are_refused(value: float) -> None:
    features, target, rows = material(SAMPLES)
    features[4, 2] = value
    with pytest.raises(TrainingError, match="the backbone's features are not numbers"):
        fit_many(features, np.arange(SAMPLES), several(target, 0), rows, "set")


def test_all_labels_share_one_copy_of_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_labels, "ROWS", 512)
    features, target, rows = material(20_000, 64)
    wanted = several(target, 0)
    tracemalloc.start()
    fit_many(features, np.arange(20_000), wanted, rows, "set")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3.5 * features.nbytes
