"""Arms of a study whose weights or normalisation are not those of its runs: a network of timm, a file, a start."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import safetensors.torch
import timm
import torch

from shards.errors import CxrError
from tests.training.studies.small_study import CONTENT, changed, sweep, write_study
from training.backbones.networks import backbone_weights, build_backbone
from training.studies.cells import Cell, cells_of
from training.studies.records import cell_record
from training.studies.study_file import Study, read_study

NAME = "mobilenetv3_small_050"
TIMM = {"backbone_from": f"timm:{NAME}", "seen_patients": "none"}


def study_with(tmp_path: Path, **arms: dict[str, Any]) -> Study:
    return read_study(write_study(tmp_path / "study.yaml", {**CONTENT, "arms": {**CONTENT["arms"], **arms}}))


def cell_of(study: Study, arm: str) -> Cell:
    return next(cell for cell in cells_of(study) if cell.arm.name == arm)


def options_of(study: Study, arm: str) -> Any:  # noqa: ANN401 - of either method
    return cell_of(study, arm).options(study, data=Path("data"), output=Path("out"))


def test_an_arm_of_timm_has_its_own_size_and_statistics_unless_the_runs_are_named(tmp_path: Path) -> None:
    study = study_with(tmp_path, own={**TIMM, "weights": "w.safetensors"}, runs={**TIMM, "preprocessing": "run"})
    own, runs = options_of(study, "own"), options_of(study, "runs")
    assert (own.backbone_from, own.weights, own.seen_patients) == (f"timm:{NAME}", Path("w.safetensors"), "none")
    assert (own.preprocessing, own.backbone, own.image_size) == (None, None, None)
    assert (runs.preprocessing, runs.backbone, runs.image_size) == ("out/runs/tiny-seed0", None, None)


def test_an_arm_of_a_file_has_the_architecture_and_the_image_size_of_the_run(tmp_path: Path) -> None:
    file = {"backbone_from": "w.safetensors", "seen_patients": "none"}
    content = changed("pretraining", "tiny", "backbone", value="densenet121")
    content["arms"] |= {"file": file, "imagenet": {**file, "preprocessing": "imagenet"}}
    content["arms"]["run"] = {**file, "backbone_from": "other/run", "preprocessing": "own"}
    study = read_study(write_study(tmp_path / "study.yaml", content))
    found = [options_of(study, name) for name in ("file", "imagenet", "run")]
    assert [one.backbone for one in found] == ["densenet121", "densenet121", None]
    assert [one.preprocessing for one in found] == ["out/runs/tiny-seed0", "imagenet", None]
    assert [one.image_size for one in found] == [None, 32, None]  # the run's own comes with its preprocessing


def test_a_start_can_be_shown_under_imagenets_normalisation_beside_the_runs(tmp_path: Path) -> None:
    study = study_with(tmp_path, other={"at": "start", "preprocessing": "imagenet"})
    assert options_of(study, "start").preprocessing is None
    assert (options_of(study, "other").at, options_of(study, "other").preprocessing) == ("start", "imagenet")


def test_what_earlier_releases_recorded_of_an_arm_stays_and_what_is_new_is_recorded(tmp_path: Path) -> None:
    file = {"backbone_from": "w.safetensors", "seen_patients": "none", "preprocessing": "imagenet"}
    new = {
        "own": {**TIMM, "weights": "w.safetensors"},
        "runs": {**TIMM, "preprocessing": "run"},
        "other": {"at": "start", "preprocessing": "dataset"},
    }
    study = study_with(tmp_path, file=file, **new)
    records = {
        name: cell_record(study, cell_of(study, name)).as_json().value["arm"] for name in ("start", "file", *new)
    }
    assert records == {
        "start": {"name": "start", "at": "start", "backbone_from": None},
        "file": {"name": "file", "at": None, "backbone_from": "w.safetensors"},
        "own": {"name": "own", "at": None, "backbone_from": f"timm:{NAME}", "weights": "w.safetensors"},
        "runs": {"name": "runs", "at": None, "backbone_from": f"timm:{NAME}", "preprocessing": "run"},
        "other": {"name": "other", "at": "start", "backbone_from": None, "preprocessing": "dataset"},
    }


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        (
            {"backbone_from": "w.safetensors", "seen_patients": "none", "weights": "v"},
            "weights is the file of a network",
        ),
        ({"at": "start", "weights": "v"}, "weights is the file of a network of timm"),
        ({"at": "start", "preprocessing": "own"}, "an arm of a run has the run's own preprocessing; its start can be"),
        ({**TIMM, "preprocessing": "timm"}, "preprocessing: 'timm' is not one of run, own, imagenet, dataset"),
    ],
)
def test_an_arm_that_contradicts_itself_is_refused_by_its_key(arm: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(CxrError, match=f"arms.x.*{said}"):
        study_with(tmp_path, x=arm)


def test_weights_that_cannot_be_used_are_named_before_the_first_hour(
    labelled_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "labelled").symlink_to(labelled_root)
    torch.manual_seed(1)
    vit = tmp_path / "vit.safetensors"
    safetensors.torch.save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), vit)
    resnet = tmp_path / "resnet.safetensors"
    safetensors.torch.save_file(backbone_weights(build_backbone("resnet18", 3), "resnet18"), resnet)
    vit_of = {"backbone_from": "timm:vit_tiny_patch16_224", "weights": str(vit), "seen_patients": "none"}
    content = {**CONTENT, "arms": {**CONTENT["arms"]}}
    content["arms"] |= {
        "cached": TIMM,
        "missing": {**TIMM, "weights": "nowhere.safetensors"},
        "other": {**TIMM, "weights": str(resnet)},
        "small": {**vit_of, "preprocessing": "run"},
        "lacking": {"backbone_from": "nowhere.pth", "seen_patients": "none"},
        "well": {"backbone_from": str(resnet), "seen_patients": "none"},
    }
    result = sweep(write_study(tmp_path / "study.yaml", content), tmp_path / "out")
    assert result.exit_code == 1
    assert "cannot be trained as it stands: 5 problems" in result.output, result.output
    for said in (
        f"arms.cached: The weights of timm:{NAME} are not in timm's cache here",
        "arms.missing: There is no file of weights at nowhere.safetensors",
        f"arms.other: {resnet} does not hold the weights of a timm {NAME}",
        "arms.small: timm:vit_tiny_patch16_224 takes images of 224 pixels only, and the run tiny-seed0 is to have 32",
        "arms.lacking: There is no file of weights at nowhere.pth",
    ):
        assert said in result.output
    assert not (tmp_path / "out").exists()


def test_a_dry_run_counts_the_images_of_a_network_of_timm_apart(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study.yaml", {**CONTENT, "arms": {**CONTENT["arms"], "timm": TIMM}})
    told = sweep(study, tmp_path / "out", "--dry-run").output
    assert re.search(rf"embed +timm:{NAME} +\d+ images", told), told
    assert re.search(rf"finetune timm:{NAME} +\d+ images", told)
    assert re.search(r"finetune resnet18 +\d+ images", told)


def test_weights_that_have_seen_a_test_patient_are_named_before_the_first_hour(
    labelled_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "labelled").symlink_to(labelled_root)
    rows = pd.read_parquet(labelled_root / "samples.parquet")
    patient = rows.loc[rows["split"] == "test", "patient_id"].iloc[0]
    (tmp_path / "patients.csv").write_text(f"dataset,patient_id\nlabelled,{patient}\n")
    content = {**CONTENT, "arms": {**CONTENT["arms"]}}
    content["arms"]["random"] = {"backbone_from": "random", "seen_patients": str(tmp_path / "patients.csv")}
    result = sweep(write_study(tmp_path / "study.yaml", content), tmp_path / "out")
    assert result.exit_code == 1
    assert f"arms.random: the weights have seen 1 of the test split's patients ({patient})" in result.output
