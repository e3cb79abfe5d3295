"""The linear probe: scikit-learn's regression, the choice of C, the fold into the network, what the model records."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shards.errors import SubsetError
from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import label_fraction, select
from shards.loading.loaders import EvaluationLoader
from tests.training.labelled_shards import LABELS, write_labelled_dataset
from training.backbones.backbone import Backbone
from training.backbones.networks import images_to_input
from training.downstream.features import cached_features
from training.downstream.holdout import held_out
from training.downstream.model_directory import Results, load_model, results_as_json
from training.downstream.options import ProbeOptions
from training.downstream.probe import DEFAULT_STRENGTH, MAX_ITERATIONS, STRENGTHS, LinearModel, fit, probe
from training.downstream.start import Start
from training.errors import TrainingError
from training.labels import LabelPolicy, targets
from training.runs.backbone_from import load_backbone
from training.seen_patients import no_patients, read_patients

Array = npt.NDArray[np.float32]


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


def test_the_strength_is_the_best_one_on_patients_that_the_regression_has_not_seen() -> None:
    features, target, rows = material(300, 40)
    target[::7] = 1 - target[::7]  # or the weakest regularisation is always the best
    model = fitted(features, target, rows)
    apart = held_out(rows, "set", pd.Series(target == 1)).to_numpy()
    assert model.held_out == apart.sum()
    assert not set(rows[apart]["patient_id"]) & set(rows[~apart]["patient_id"])
    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    losses = {}
    for strength in STRENGTHS:
        one = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS).fit(scaled[~apart], target[~apart])
        losses[strength] = log_loss(target[apart], one.predict_proba(scaled[apart])[:, 1])
    assert min(losses, key=lambda strength: losses[strength]) == model.strength
    assert STRENGTHS[0] < model.strength < STRENGTHS[-1]


def test_with_too_few_patients_to_hold_any_out_a_default_strength_is_taken() -> None:
    features, target, rows = material(9)
    target[:] = [1, 1, 1, 0, 0, 0, 1, 1, 0]
    model = fitted(features, target, rows)
    assert (model.strength, model.held_out) == (DEFAULT_STRENGTH, 0)
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
    assert (one.bias, one.strength, one.held_out) == (two.bias, two.strength, two.held_out)
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


# From here on the whole probe, on real shards.


def whole(dataset: Dataset, backbone: Backbone, output: Path, cache: Path, **changed: Any) -> Results:  # noqa: ANN401
    options = ProbeOptions(
        shards=dataset.root,
        backbone_from="random",
        labels=LABELS,
        output=output,
        cache=cache,
        device="cpu",
        threads=1,
        **changed,
    )
    return probe(Start(dataset, backbone, LABELS), options)


@pytest.fixture(scope="module")
def dataset(labelled_root: Path) -> Dataset:
    return open_dataset(labelled_root)


@pytest.fixture(scope="module")
def backbone(dataset: Dataset) -> Backbone:
    return load_backbone("random", image_size=32, mean=dataset.mean, std=dataset.std)


def described(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return content


def test_the_folded_network_gives_scikit_learns_logits_on_the_images(
    probed: Path, dataset: Dataset, backbone: Backbone, embeddings_cache: Path
) -> None:
    embedded = {
        split: cached_features(backbone, dataset, split, cache=embeddings_cache, device="cpu", threads=1)
        for split in ("train", "test")
    }
    model = load_model(probed)
    rows = select(dataset, "train")
    wanted = targets(rows, LABELS, LabelPolicy())
    logits = []
    with torch.no_grad():
        for batch in EvaluationLoader(dataset, select(dataset, "test"), image_size=32, batch_size=4):
            logits.append(model.network(images_to_input(batch.image, dataset.mean, dataset.std)).numpy())
    for column, label in enumerate(LABELS):
        known = np.flatnonzero(~np.isnan(wanted[:, column]))
        target = wanted[known, column]
        apart = held_out(rows.iloc[known], dataset.name, pd.Series(target == 1, index=rows.index[known]))
        order = np.argsort(apart.to_numpy(), kind="stable")
        strength = described(probed)["regularisation"][label]["C"]
        regression = reference(strength).fit(embedded["train"].features[known[order]].astype(np.float64), target[order])
        expected = regression.decision_function(embedded["test"].features)
        np.testing.assert_allclose(np.concatenate(logits)[:, column], expected, rtol=1e-3, atol=1e-3)


def test_results_are_those_of_the_network_on_plain_labels(probed: Path, dataset: Dataset) -> None:
    model = load_model(probed)
    for split in ("valid", "test"):
        rows = select(dataset, split)
        with torch.no_grad():
            (batch,) = EvaluationLoader(dataset, rows, image_size=32, batch_size=32)
            logits = model.network(images_to_input(batch.image, dataset.mean, dataset.std)).numpy()
        for column, label in enumerate(LABELS):
            truth = rows[label].to_numpy(np.float32)
            plain = np.isin(truth, (0, 1))
            result = described(probed)["results"][label][split]
            assert (result["n"], result["positives"]) == (plain.sum(), (truth == 1).sum())
            assert result["auroc"] == pytest.approx(roc_auc_score(truth[plain], logits[plain, column]))


def test_a_policy_changes_what_is_learned_and_not_what_is_judged(
    dataset: Dataset, backbone: Backbone, embeddings_cache: Path, tmp_path: Path, probed: Path
) -> None:
    whole(dataset, backbone, tmp_path, embeddings_cache, uncertain="ones", missing="zeros")
    one, two = described(probed), described(tmp_path)
    assert (one["uncertain"], one["missing"], two["uncertain"], two["missing"]) == ("ignore", "ignore", "ones", "zeros")
    assert one["digest"] != two["digest"]
    for label in LABELS:
        for split in ("valid", "test"):
            counted = [
                {key: value for key, value in d["results"][label][split].items() if key != "auroc"} for d in (one, two)
            ]
            assert counted[0] == counted[1]


def test_a_label_fraction_uses_its_own_patients_and_the_embeddings_that_are_there(
    dataset: Dataset, backbone: Backbone, embeddings_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    whole(dataset, backbone, tmp_path / "whole", embeddings_cache)
    monkeypatch.setattr("training.downstream.features.embed", never)
    whole(dataset, backbone, tmp_path / "half", embeddings_cache, label_fraction=0.5, draw=3)
    rows = label_fraction(select(dataset, "train"), dataset.name, 0.5, 3)
    found = described(tmp_path / "half")
    assert (found["train_samples"], found["train_patients"]) == (len(rows), rows["patient_id"].nunique())
    assert (found["label_fraction"], found["draw"]) == (0.5, 3)
    assert set(read_patients(tmp_path / "half")["patient_id"]) == set(rows["patient_id"])
    assert len(rows) < described(tmp_path / "whole")["train_samples"] == 41


def test_the_same_options_give_the_same_bytes(
    dataset: Dataset, backbone: Backbone, embeddings_cache: Path, tmp_path: Path, probed: Path
) -> None:
    whole(dataset, backbone, tmp_path, embeddings_cache)
    assert (tmp_path / "model.safetensors").read_bytes() == (probed / "model.safetensors").read_bytes()


def test_everyone_the_weights_have_seen_is_recorded(
    dataset: Dataset, backbone: Backbone, embeddings_cache: Path, tmp_path: Path
) -> None:
    assert backbone.patients.equals(no_patients())
    before = pd.DataFrame({"dataset": ["other", dataset.name], "patient_id": ["patient00000", "patient00000"]})
    seen = Backbone(**{**vars(backbone), "patients": before})
    whole(dataset, seen, tmp_path, embeddings_cache)
    found = set(read_patients(tmp_path).itertuples(index=False, name=None))
    own = {(dataset.name, patient) for patient in select(dataset, "train")["patient_id"]}
    assert found == own | {("other", "patient00000")}


def test_without_a_valid_or_test_split_their_results_are_null(tmp_path: Path, backbone: Backbone) -> None:
    for split in ("valid", "test"):
        dataset = write_labelled_dataset(
            tmp_path / split, name=split, shards={"train-000000": 30, f"{split}-000000": 9}
        )
        results = whole(dataset, backbone, tmp_path / f"of-{split}", tmp_path / "cache")
        assert results_as_json(results) == described(tmp_path / f"of-{split}")["results"]
        for label in LABELS:
            assert results[label][split] is not None
            assert [results[label][other] for other in ("valid", "test") if other != split] == [None]


def test_labels_of_which_a_fraction_knows_one_class_are_refused_by_name(
    dataset: Dataset, backbone: Backbone, embeddings_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(SubsetError, match=r"labelled, label fraction 0.02 of draw 0 \(3 samples\).*about Edema \("):
        whole(dataset, backbone, tmp_path / "out", embeddings_cache, label_fraction=0.02)
    assert not (tmp_path / "out").exists()


def test_samples_without_an_embedding_are_refused(
    dataset: Dataset, backbone: Backbone, embeddings_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.downstream.embeddings import Embeddings

    def short(*args: Any, **options: Any) -> Embeddings:  # noqa: ANN401
        found = cached_features(*args, **options)
        return Embeddings(found.features[1:], found.sample_id[1:], found.attributes)

    monkeypatch.setattr("training.downstream.probe.cached_features", short)
    with pytest.raises(TrainingError, match="1 samples have no embedding"):
        whole(dataset, backbone, tmp_path, embeddings_cache)
