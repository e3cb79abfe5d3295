"""The linear probe: scikit-learn's regression, the choice of C, the fold into the network, what the model records."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shards.errors import SubsetError
from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import image_fraction, label_fraction, select
from shards.loading.loaders import EvaluationLoader
from tests.training.labelled_shards import LABELS, write_labelled_dataset
from training.backbones.backbone import Backbone
from training.backbones.networks import images_to_input
from training.downstream.features import FeatureSource, cached_features
from training.downstream.model_directory import Results, load_model, results_as_json
from training.downstream.options import ProbeOptions
from training.downstream.probe import probe
from training.downstream.start import Start
from training.errors import TrainingError
from training.labels import LabelPolicy, targets
from training.runs.backbone_from import load_backbone
from training.seen_patients import Seen, no_patients, read_seen

Array = npt.NDArray[np.float32]


def whole(
    dataset: Dataset,
    backbone: Backbone,
    output: Path,
    cache: Path,
    features: FeatureSource = cached_features,
    **changed: Any,  # noqa: ANN401
) -> Results:
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
    return probe(Start(dataset, backbone, LABELS), options, features)


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
        chosen = described(probed)["regularisation"][label]
        assert (chosen["chosen_by"], chosen["chosen_on"]) == ("cross-validation", len(known))
        regression = make_pipeline(StandardScaler(), LogisticRegression(C=chosen["C"], max_iter=2000, tol=1e-6))
        regression.fit(embedded["train"].features[known].astype(np.float64), wanted[known, column])
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
    assert set(read_seen(tmp_path / "half").patients["patient_id"]) == set(rows["patient_id"])
    assert len(rows) < described(tmp_path / "whole")["train_samples"] == 41


def test_a_fraction_of_images_uses_single_images_of_its_patients(
    dataset: Dataset, backbone: Backbone, embeddings_cache: Path, tmp_path: Path
) -> None:
    whole(dataset, backbone, tmp_path / "out", embeddings_cache, label_fraction=0.5, draw=3, fraction_of="images")
    rows = image_fraction(select(dataset, "train"), dataset.name, 0.5, 3)
    found = described(tmp_path / "out")
    assert (found["train_samples"], found["fraction_of"]) == (len(rows), "images")
    assert found["options"]["fraction_of"] == "images"
    assert len(rows) == 21 != len(label_fraction(select(dataset, "train"), dataset.name, 0.5, 3))
    assert set(read_seen(tmp_path / "out").patients["patient_id"]) == set(rows["patient_id"])


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
    seen = replace(backbone, seen=Seen(patients=before))
    whole(dataset, seen, tmp_path, embeddings_cache)
    found = set(read_seen(tmp_path).patients.itertuples(index=False, name=None))
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
    dataset: Dataset, backbone: Backbone, embeddings_cache: Path, tmp_path: Path
) -> None:
    from training.downstream.embeddings import Embeddings

    def short(*args: Any, **options: Any) -> Embeddings:  # noqa: ANN401
        found = cached_features(*args, **options)
        return Embeddings(found.features[1:], found.sample_id[1:], found.attributes)

    with pytest.raises(TrainingError, match="1 samples have no embedding"):
        whole(dataset, backbone, tmp_path, embeddings_cache, features=short)
