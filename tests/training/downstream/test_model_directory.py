"""Model directories: what is written is read by this project and by plain torchvision; what does not fit is refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import torchvision
from sklearn.metrics import roc_auc_score
from torch import nn

from shards.errors import ResumeError
from shards.format.dataset import open_dataset
from shards.format.subsets import select
from tests.training.labelled_shards import LABELS
from tests.training.plain_torchvision import last_linear
from training.backbones.architectures import ARCHITECTURES
from training.downstream.model_directory import (
    Auroc,
    already_done,
    auroc_by_split,
    load_model,
    mean_auroc,
    results_as_json,
    save_model,
)
from training.downstream.options import ProbeOptions
from training.downstream.probe import ProbeDetails, Regularisation, folded
from training.downstream.start import Start, recorded_options
from training.errors import WeightsError
from training.runs.backbone_from import load_backbone
from training.seen_patients import read_seen


@pytest.fixture
def model(probed: Path, tmp_path: Path) -> Path:
    """A copy of the probe's folder, to be spoiled."""
    return Path(shutil.copytree(probed, tmp_path / "model"))


def change(folder: Path, **changed: object) -> None:
    """Write other values, or with None take the key away, in model.json."""
    path = folder / "model.json"
    content = json.loads(path.read_text()) | changed
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_saved_is_loaded_and_plain_torchvision_takes_the_weights(
    architecture: str, labelled_root: Path, tmp_path: Path
) -> None:
    dataset = open_dataset(labelled_root)
    backbone = load_backbone("random", architecture=architecture, image_size=32, mean=100.0, std=40.0)
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(2, last_linear(architecture)[1].in_features))
    bias = np.array([3.0, -1.0])
    rows = select(dataset, "train")
    options = ProbeOptions(
        shards=labelled_root,
        backbone_from="random",
        labels=LABELS,
        output=tmp_path / "out",
        label_fraction=0.5,
        draw=1,
        seed=2,
        uncertain="ones",
        missing="zeros",
    )
    details = ProbeDetails(
        {"Edema": Regularisation(C=0.1, chosen_on=7, chosen_by="hold-out", folds=None)}, selected_on={"C": "train"}
    )
    save_model(
        Start(dataset, backbone, LABELS),
        options,
        folded(backbone, weight, bias),
        trained_on=rows,
        results={},
        details=details,
    )
    model = load_model(tmp_path / "out")
    images = torch.randn(3, 3, 32, 32)
    backbone.network.eval()
    with torch.no_grad():
        expected = backbone.network(images).double() @ torch.tensor(weight).T + torch.tensor(bias)
        torch.testing.assert_close(model.network(images).double(), expected, rtol=1e-4, atol=1e-4)
        assert not model.network.training
        plain: nn.Module = torchvision.models.get_model(architecture, weights=None, num_classes=2)
        plain.load_state_dict(safetensors.torch.load_file(tmp_path / "out" / "model.safetensors"))
        torch.testing.assert_close(plain.eval()(images), model.network(images))
    assert model.labels == LABELS
    said = dict(model.description.value)
    shared = {"label_fraction": 0.5, "draw": 1, "seed": 2, "uncertain": "ones", "missing": "zeros"}
    assert {key: said[key] for key in shared} == shared
    assert said["options"] == recorded_options(Start(dataset, backbone, LABELS), options)
    for read in (said, vars(model)):
        assert [read[key] for key in ("architecture", "image_size", "mean", "std")] == [architecture, 32, 100.0, 40.0]
    assert (said["regularisation"], said["dataset"], said["initial"]) == (
        {"Edema": {"C": 0.1, "chosen_on": 7, "chosen_by": "hold-out", "folds": None}},
        dataset.citation,
        "random",
    )
    assert (said["train_samples"], said["train_patients"]) == (len(rows), rows["patient_id"].nunique())
    assert set(read_seen(tmp_path / "out").patients["patient_id"]) == set(rows["patient_id"])


def test_model_json_has_the_keys_that_others_rely_on(probed: Path, tuned: Path) -> None:
    shared = "architecture image_size mean std channels provenance method initial labels label_fraction draw seed"
    shared += " uncertain missing dataset train_samples train_patients results options digest left_out_labels leakage"
    shared += " selected_on"
    for folder, own in (
        (probed, {"regularisation"}),
        (tuned, {"best_epoch", "best_auroc", "chosen_on", "selected_by", "epochs", "steps"}),
    ):
        described = json.loads((folder / "model.json").read_text())
        assert set(described) >= {"format_version", *shared.split()} | own
        for by_split in described["results"].values():
            assert list(by_split) == ["valid", "test"]
            assert all(set(result) == {"auroc", "n", "positives"} for result in by_split.values())


@pytest.mark.parametrize("place", [0.5, 0.9999])
def test_weights_that_were_tampered_with_are_refused(place: float, model: Path) -> None:
    path = model / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(WeightsError, match=r"model.safetensors is not the file that model.json records"):
        load_model(model)


def test_weights_that_were_cut_off_or_are_missing_are_refused(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_model(model)
    path.unlink()
    with pytest.raises(WeightsError, match="no file of weights"):
        load_model(model)


def test_of_a_model_without_its_list_of_patients_it_is_unknown_what_it_has_seen(model: Path) -> None:
    """Else anybody would count as unseen."""
    (model / "patients.parquet").unlink()
    (reason,) = load_model(model).seen.unknown
    assert "holds no patients.parquet" in reason


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format_version": 2}, "format version 2, not 1"),
        ({"format_version": None}, "format version None, not 1"),
        ({"digest": "0" * 64}, "is not the file that model.json records"),
        ({"digest": None}, "the key digest is missing"),
        ({"labels": "Edema"}, "labels is 'Edema', not a list"),
        ({"image_size": 0.5}, "image_size is 0.5, not a whole number"),
        ({"mean": [1.0]}, "mean is [1.0], not one number for each of three channels"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(changed: dict[str, Any], message: str, model: Path) -> None:
    change(model, **changed)
    with pytest.raises(WeightsError, match=re.escape(message)):
        load_model(model)


@pytest.mark.parametrize("text", ["{", "[]", '"model"'])
def test_a_description_that_is_none_is_refused(text: str, model: Path) -> None:
    (model / "model.json").write_text(text)
    for use in (load_model, lambda folder: already_done(folder, {})):
        with pytest.raises(WeightsError, match=r"model.json (is not JSON|does not describe a model)"):
            use(model)


def test_an_unfinished_model_is_refused_with_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"not a finished model. Run `cxr-train probe` or `cxr-train finetune`"):
        load_model(tmp_path)


def test_the_same_options_are_done_and_others_are_refused_with_what_differs(probed: Path, tmp_path: Path) -> None:
    options = json.loads((probed / "model.json").read_text())["options"]
    assert already_done(probed, options)
    with pytest.raises(ResumeError, match=r"other options \(draw: 0 there, 3 here; seed: 0 there, None here\)"):
        already_done(probed, {**{k: v for k, v in options.items() if k != "seed"}, "draw": 3})
    assert not already_done(tmp_path, options)
    assert not already_done(tmp_path / "new", options)


@pytest.mark.parametrize("name", ["config.yaml", "last.json"])
def test_a_model_is_never_written_into_a_pretraining_run(name: str, tmp_path: Path) -> None:
    """Both have a patients.parquet and a metrics.jsonl."""
    (tmp_path / name).write_text("{}")
    with pytest.raises(ResumeError, match=r"holds a run of `cxr-train pretrain`. Give another --output"):
        already_done(tmp_path, {})


def test_a_file_in_the_place_of_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")
    with pytest.raises(ResumeError, match="model is a file"):
        already_done(tmp_path / "model", {})


def test_aurocs_are_of_known_targets_and_null_where_undefined_or_without_a_split() -> None:
    generator = np.random.default_rng(0)
    truth = generator.choice([0.0, 1.0, np.nan], (40, 2)).astype(np.float32)
    truth[:, 1] = np.where(np.isnan(truth[:, 1]), np.nan, 0)
    scores = np.round(generator.normal(size=(40, 2)), 1).astype(np.float32)
    found = auroc_by_split(["a", "b"], {"valid": None, "test": (truth, scores)})
    known = ~np.isnan(truth[:, 0])
    expected = roc_auc_score(truth[known, 0], scores[known, 0])
    of_test = found["a"]["test"]
    assert of_test is not None
    assert of_test == Auroc(of_test.auroc, known.sum(), (truth[:, 0] == 1).sum())
    assert of_test.auroc == pytest.approx(expected)
    assert found["b"]["test"] == Auroc(None, (~np.isnan(truth[:, 1])).sum(), 0)
    assert (found["a"]["valid"], found["b"]["valid"]) == (None, None)
    assert mean_auroc(["a", "b"], truth, scores) == of_test.auroc, "undefined ones are no zeros"
    assert mean_auroc(["b"], truth[:, 1:], scores[:, 1:]) is None
    assert mean_auroc(["a"], truth[:0, :1], scores[:0, :1]) is None
    assert results_as_json(found)["a"]["valid"] is None
    json.dumps(results_as_json(found))


def test_patients_seen_before_and_now_are_listed_once(labelled_root: Path, tmp_path: Path, tuned: Path) -> None:
    patients = read_seen(tuned).patients
    assert not patients.duplicated().any()
    assert list(patients.columns) == ["dataset", "patient_id"]
    expected = select(open_dataset(labelled_root), "train")["patient_id"].unique()
    assert patients["patient_id"].tolist() == sorted(expected)
    pd.testing.assert_frame_equal(patients, load_model(tuned).patients)
