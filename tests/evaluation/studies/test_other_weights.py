"""A study of two pretraining seeds from one start, with arms of timm and of another normalisation, where allowed."""

import csv
import json
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import yaml
from click.testing import CliRunner, Result

from evaluation.cli.main import main as cxr_eval
from tests.training.studies.small_study import changed, sweep, write_study
from training.backbones.networks import backbone_weights, build_backbone

NAME = "mobilenetv3_small_050"
DIFFERENT = ["architecture", "image_size", "preprocessing"]


def judge(output: Path, data: Path) -> Result:
    words = ("study", output, "--data", data, "--device", "cpu", "--threads", 1)
    return CliRunner().invoke(cxr_eval, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(labelled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study file, its dataset, two files of weights, and the study trained in `out`."""
    folder = tmp_path_factory.mktemp("timm")
    (folder / "labelled").symlink_to(labelled_root)
    torch.manual_seed(4)
    safetensors.torch.save_file(timm.create_model(NAME).state_dict(), folder / "timm.safetensors")
    safetensors.torch.save_file(
        backbone_weights(build_backbone("resnet18", 3), "resnet18"), folder / "start.safetensors"
    )
    content = changed("methods", value={"probe": {}})
    tiny = content["pretraining"]["tiny"]
    tiny |= {"seeds": [0, 1], "init": str(folder / "start.safetensors"), "seen_patients": "none"}
    weights = {"weights": str(folder / "timm.safetensors"), "seen_patients": "none"}
    content["arms"] |= {
        "timm": {"backbone_from": f"timm:{NAME}", **weights},
        "imagenet": {"at": "start", "preprocessing": "imagenet"},
    }
    content["targets"][0] |= {"fractions": [1.0]}
    study = write_study(folder / "study.yaml", content)
    trained = sweep(study, folder / "out")
    assert trained.exit_code == 0, trained.output
    assert "5 of 5 cells are done." in trained.output
    return folder


def test_a_network_of_timm_is_an_arm_of_a_study_where_the_differences_are_allowed(folder: Path) -> None:
    model = json.loads((folder / "out/cells/tiny-timm-seed0-probe-plain-edema-1.0-draw0/model.json").read_text())
    config = timm.get_pretrained_cfg(NAME)
    assert config is not None
    assert (model["architecture"], model["initial"], model["image_size"]) == (f"timm:{NAME}", "timm", 224)
    assert model["mean"] == pytest.approx([value * 255 for value in config.mean])
    refused = judge(folder / "out", folder)
    assert "the arms differ in more than their weights: architecture" in refused.output
    assert "In the study file these names stand in a list, evaluation.allow_different" in refused.output
    assert not list((folder / "out/results").glob("*.json"))

    content = yaml.safe_load((folder / "study.yaml").read_text())
    content["evaluation"] |= {"allow_different": DIFFERENT, "also_over": ["imagenet"]}
    study = write_study(folder / "study.yaml", content)
    assert "5 of 5 cells are done." in sweep(study, folder / "out").output  # writes study.yaml again, trains nothing
    allowed = judge(folder / "out", folder)
    assert allowed.exit_code == 0, allowed.output
    assert "2 results" in allowed.output

    result = json.loads((folder / "out/results/tiny-probe-plain-edema-1.0.json").read_text())
    assert result["allowed_different"] == DIFFERENT
    files = {arm: len(of_arm) for arm, of_arm in result["inputs"]["arms"].items()}
    assert files == {"start": 1, "moco": 2, "timm": 1, "imagenet": 1}  # the start is one file for both seeds
    assert set(result["labels"]["Edema"]["differences"]) == {"moco", "timm", "imagenet"}
    gains = list(csv.DictReader((folder / "out/tables/gains.csv").read_text().splitlines()))
    pairs = [(row["arm"], row["reference"]) for row in gains]
    assert pairs[:3] == [("moco", "start"), ("timm", "start"), ("imagenet", "start")]
    assert sorted(pairs[3:]) == [("moco", "imagenet"), ("start", "imagenet"), ("timm", "imagenet")]
    over_it = json.loads((folder / "out/results/tiny-probe-plain-edema-1.0-over-imagenet.json").read_text())
    assert over_it["reference"] == "imagenet"
    for row in gains:
        found = over_it if row["reference"] == "imagenet" else result
        difference = found["labels"]["Edema"]["differences"][row["arm"]]
        assert float(row["value"]) == pytest.approx(difference["value"], abs=1e-6)
        bounds = ["", ""] if difference["ci"] is None else [f"{bound:.6f}" for bound in difference["ci"]]
        assert [row["ci_low"], row["ci_high"]] == bounds
        assert (row["dataset"], row["draws"], row["seeds"]) == ("labelled", "1", "2" if row["arm"] == "moco" else "1")
    opposite = {pair: float(row["value"]) for pair, row in zip(pairs, gains, strict=True)}
    assert opposite["start", "imagenet"] == pytest.approx(-opposite["imagenet", "start"], abs=1e-6)
    report = (folder / "out/report.html").read_text()
    for heading in (f"timm:{NAME}", "start (file)", "imagenet (file)"):
        assert heading in report

    again = judge(folder / "out", folder)
    assert ", 0 were predicted now" in again.output
    assert json.loads((folder / "out/results/tiny-probe-plain-edema-1.0.json").read_text()) == result


def test_what_the_study_no_longer_allows_is_judged_again_and_refused(folder: Path) -> None:
    content = yaml.safe_load((folder / "study.yaml").read_text())
    content["evaluation"]["allow_different"] = ["architecture", "image_size", "weather"]
    write_study(folder / "study.yaml", content)
    sweep(folder / "study.yaml", folder / "out")
    unknown = judge(folder / "out", folder)
    assert unknown.exit_code == 1
    assert "evaluation.allow_different: there is no 'weather'; there are architecture, image_size" in unknown.output
    content["evaluation"]["allow_different"] = ["architecture", "image_size"]
    write_study(folder / "study.yaml", content)
    sweep(folder / "study.yaml", folder / "out")
    assert "the arms differ in more than their weights: preprocessing" in judge(folder / "out", folder).output


def test_a_gain_is_claimed_over_the_better_of_two_starts(folder: Path, tmp_path: Path) -> None:
    content = yaml.safe_load((folder / "out/study.yaml").read_text(encoding="utf-8"))
    content["evaluation"] |= {"allow_different": DIFFERENT, "metrics": ["brier"]}  # AUROCs are 1 here
    del content["evaluation"]["also_over"]
    results = {}
    for reference in ("start", "imagenet", ["start", "imagenet"], ["imagenet", "start"]):
        content["reference"] = reference
        (folder / "out/study.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        done = judge(folder / "out", folder)
        assert done.exit_code == 0, done.output
        (path,) = (folder / "out/results").glob("*-1.0.json")
        results[str(reference)] = json.loads(path.read_text(encoding="utf-8"))
    values = {arm: results["start"]["mean"]["arms"][arm]["value"] for arm in ("start", "imagenet")}
    better = min(values, key=lambda arm: values[arm])
    assert values["start"] != values["imagenet"]
    for both in ("['start', 'imagenet']", "['imagenet', 'start']"):
        assert results[both]["reference"] == better
        assert results[both]["mean"] == results[better]["mean"]
    other = ({*values} - {better}).pop()
    assert results[other]["reference"] == other
