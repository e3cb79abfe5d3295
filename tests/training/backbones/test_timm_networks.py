"""--backbone-from timm:NAME: a network of timm as an arm of embed and probe, with timm's own preprocessing."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from click.testing import CliRunner, Result

from evaluation.cli.main import main as cxr_eval
from training.backbones.networks import build_backbone, feature_dimension
from training.cli.main import main as cxr_train
from training.downstream.embeddings import read_embeddings
from training.downstream.model_directory import load_model
from training.errors import WeightsError
from training.runs.backbone_from import load_backbone

NAME = "mobilenetv3_small_050"
SOURCE = f"timm:{NAME}"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as timm's hub has it: all of the network's weights, the classifier too."""
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    safetensors.torch.save_file(timm.create_model(NAME).state_dict(), path)
    return path


@pytest.fixture(autouse=True)
def _no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty caches of the hub and of torch."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def invoke(group: object, *args: object) -> Result:
    return CliRunner().invoke(group, list(map(str, args)))  # type: ignore[arg-type]


def test_a_network_has_timms_features_size_and_statistics(weights: Path) -> None:
    backbone = load_backbone(SOURCE, weights=weights, mean=1.0, std=1.0)
    config = timm.get_pretrained_cfg(NAME)
    assert config is not None
    assert backbone.image_size == config.input_size[1] == 224
    assert backbone.mean == pytest.approx([value * 255 for value in config.mean])
    assert backbone.std == pytest.approx([value * 255 for value in config.std])
    assert (backbone.initial, backbone.provenance["init"], len(backbone.patients)) == ("timm", SOURCE, 0)
    theirs = timm.create_model(NAME, num_classes=0)
    theirs.load_state_dict(safetensors.torch.load_file(weights), strict=False)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = theirs.eval()(images)
        assert torch.equal(backbone.network.eval()(images), expected)
    assert feature_dimension(SOURCE) == expected.shape[1]


@pytest.mark.parametrize("where", ["hub", "torch"])
def test_weights_are_found_in_timms_caches(weights: Path, where: str, tmp_path: Path) -> None:
    config = timm.get_pretrained_cfg(NAME)
    assert config is not None
    if where == "hub":
        repository = tmp_path / "hub" / ("models--" + str(config.hf_hub_id).replace("/", "--"))
        snapshot = repository / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        (snapshot / "model.safetensors").write_bytes(weights.read_bytes())
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("0" * 40)
    else:
        path = tmp_path / "torch" / "hub" / "checkpoints" / str(config.url).rsplit("/", 1)[-1]
        path.parent.mkdir(parents=True)
        torch.save(safetensors.torch.load_file(weights), path)
    assert load_backbone(SOURCE).digest == load_backbone(SOURCE, weights=weights).digest


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"source": SOURCE}, "are not in timm's cache here, and nothing is downloaded.*or name the file by --weights"),
        ({"source": "timm:mobilenetv3_smal"}, "has no network 'mobilenetv3_smal'. Names that are close: mobilenetv3"),
        ({"source": SOURCE, "architecture": "resnet18"}, "--at and --backbone are not for timm:"),
        ({"source": "random", "weights": Path("x.safetensors")}, "--weights names the file of a network of timm"),
        ({"source": "timm:vit_tiny_patch16_224", "image_size": 96}, "takes images of 224 pixels only"),
    ],
)
def test_what_cannot_be_had_of_timm_is_said(arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(WeightsError, match=complaint):
        load_backbone(**arguments)  # type: ignore[arg-type]


def test_a_file_of_another_network_is_refused_with_the_names(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file(timm.create_model("mobilenetv3_small_075").state_dict(), path)
    with pytest.raises(WeightsError, match=f"does not hold the weights of a timm {NAME}: .*under timm's names"):
        load_backbone(SOURCE, weights=path)


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(WeightsError, match=r"needs timm, which is not installed here: `pip install -e .\[timm\]`"):
        build_backbone(SOURCE, seed=0)


def test_embed_and_probe_take_it_and_it_is_compared_with_another_arm_if_differences_are_allowed(
    labelled_root: Path, weights: Path, tmp_path: Path
) -> None:
    backbone = ("--backbone-from", SOURCE, "--weights", weights, "--image-size", 32, "--device", "cpu", "--threads", 1)
    embedded = invoke(
        cxr_eval, "embed", "--shards", labelled_root, *backbone, "--output", tmp_path / "e.zarr", "--split", "test"
    )
    assert embedded.exit_code == 0, embedded.output
    features = read_embeddings(tmp_path / "e.zarr")
    assert features.features.shape[1] == feature_dimension(SOURCE)
    assert np.isfinite(features.features).all()
    arms = {
        "timm": (*backbone, "--seen-patients", "none"),
        "random": ("--backbone-from", "random", "--image-size", 32, "--device", "cpu"),
    }
    for arm, words in arms.items():
        probe = invoke(
            cxr_train, "probe", "--shards", labelled_root, *words, "--labels", "Edema", "--cache", tmp_path / "cache",
            "--output", tmp_path / arm,
        )  # fmt: skip
        assert probe.exit_code == 0, probe.output
        predicted = invoke(
            cxr_eval, "predict", "--shards", labelled_root, "--model", tmp_path / arm, "--device", "cpu",
            "--output", tmp_path / f"{arm}.csv",
        )  # fmt: skip
        assert predicted.exit_code == 0, predicted.output
    assert load_model(tmp_path / "timm").architecture == SOURCE
    assert json.loads((tmp_path / "timm" / "model.json").read_text())["initial"] == "timm"
    compare = (
        "bootstrap", "--labels", labelled_root, "--cluster", "patient_id", "--arm", f"timm={tmp_path / 'timm.csv'}",
        "--arm", f"random={tmp_path / 'random.csv'}", "--reference", "random", "--replicates", 1000,
        "--output", tmp_path / "result.json",
    )  # fmt: skip
    refused = invoke(cxr_eval, *compare)
    assert refused.exit_code == 1, refused.output
    assert "--allow-different" in refused.output
    named = refused.output.split("--allow-different")[1].split()[0].strip(".,;`")
    allowed = invoke(cxr_eval, *compare, "--allow-different", named)
    assert allowed.exit_code == 0, allowed.output
    assert "architecture" in json.loads((tmp_path / "result.json").read_text())["different"]
