"""cxr-train export: files that torchvision, timm and onnxruntime take, and the pages' snippets for them."""

import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import safetensors.torch
import timm
import torch
from click.testing import CliRunner, Result
from torch import nn

from tests.training.plain_torchvision import headless, last_linear
from training.backbones import export as exporting
from training.backbones.architectures import ARCHITECTURES, TABLE
from training.backbones.description import BackboneDescription
from training.backbones.networks import backbone_weights, build_backbone
from training.cli.main import main
from training.runs.backbone_from import save_backbone
from training.runs.directory import write_last
from training.seen_patients import Seen, write_seen

ROOT = Path(__file__).parents[3]
SIZE = 64


def invoke(*args: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, args)])


def a_run(run: Path, architecture: str) -> nn.Module:
    """A finished run whose BatchNorm statistics are not those of the start; its network in eval mode."""
    network = build_backbone(architecture, seed=5)
    network(torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2)))
    run.mkdir(parents=True)
    description = BackboneDescription(
        architecture=architecture, image_size=SIZE, mean=127.5, std=51.0, provenance={"method": "moco-v2", "seed": 5}
    )
    save_backbone(run, backbone_weights(network, architecture), description)
    write_seen(run, Seen(patients=pd.DataFrame({"dataset": ["tiny"], "patient_id": ["p1"]})))
    write_last(run, 20, 2, finished=True)
    return network.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_exported_form_gives_the_features_of_the_run(tmp_path: Path, architecture: str) -> None:
    network = a_run(tmp_path / "run", architecture)
    out = tmp_path / "out"
    result = invoke(tmp_path / "run", out)
    assert result.exit_code == 0, result.output
    assert "differ by at most" in result.output
    images = torch.randn(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = network(images)

    plain = headless(architecture)
    weights = safetensors.torch.load_file(out / "backbone.safetensors")
    plain.load_state_dict(weights, strict=True)
    with torch.inference_mode():
        assert torch.equal(plain.eval()(images), expected)
        if TABLE[architecture].in_timm:
            theirs = timm.create_model(architecture, num_classes=0)
            theirs.load_state_dict(weights, strict=True)
            assert (theirs.eval()(images) - expected).abs().max() < 1e-4

    session = onnxruntime.InferenceSession(out / "backbone.onnx")
    for batch in (1, 2, 5):
        found = session.run(["features"], {"images": images[:batch].numpy()})[0]
        assert found.shape == (batch, last_linear(architecture)[1].in_features)
        assert np.abs(found - expected[:batch].numpy()).max() < 1e-4
    assert expected.std() > 0.01
    described = json.loads((out / "preprocessing.json").read_text())
    assert described["mean"] == pytest.approx([0.5] * 3)
    assert described["std"] == pytest.approx([0.2] * 3)
    assert (described["image_size"], described["channels"]) == (SIZE, 3)
    assert described["resize"]["short_side"] == SIZE
    assert 0 <= described["onnx_difference"] <= 1e-4
    assert not (out / "patients.parquet").exists()  # --with-patients: tests/robustness/test_patients_data.py


@pytest.mark.parametrize(
    ("wanted", "kept", "left_out"),
    [("torchvision", "backbone.safetensors", "backbone.onnx"), ("onnx", "backbone.onnx", "backbone.safetensors")],
)
def test_one_format_alone_can_be_asked_for(tmp_path: Path, wanted: str, kept: str, left_out: str) -> None:
    a_run(tmp_path / "run", "resnet18")
    assert invoke(tmp_path / "run" / "backbone.safetensors", tmp_path / "out", "--format", wanted).exit_code == 0
    assert (tmp_path / "out" / kept).is_file()
    assert not (tmp_path / "out" / left_out).exists()
    assert (tmp_path / "out" / "preprocessing.json").is_file()


def test_an_onnx_file_of_another_network_is_found_out_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_run(tmp_path / "run", "resnet18")
    true_export = exporting.to_onnx

    def slightly_wrong(network: nn.Module, image_size: int) -> bytes:
        other = build_backbone("resnet18", seed=0)
        other.load_state_dict(network.state_dict())
        with torch.no_grad():
            other.get_parameter("layer4.1.bn2.bias").add_(2e-4)
        return true_export(other, image_size)

    monkeypatch.setattr(exporting, "to_onnx", slightly_wrong)
    result = invoke(tmp_path / "run", tmp_path / "out")
    assert result.exit_code == 1
    assert "differ from torch's by" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", ["imagenet", "random", "weights.pth"])
def test_weights_without_preprocessing_of_their_own_are_refused(tmp_path: Path, source: str) -> None:
    result = invoke(source, tmp_path / "out")
    assert result.exit_code == 1
    assert "has no preprocessing of its own" in result.output


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    a_run(tmp_path / "run", "resnet18")
    result = invoke(tmp_path / "run", tmp_path / "run")
    assert result.exit_code == 1
    assert "not empty" in result.output
    assert not (tmp_path / "run" / "preprocessing.json").exists()


def snippets(page: Path) -> list[str]:
    """The Python blocks of a page that use weights."""
    found: list[str] = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [block for block in found if "backbone." in block]


def test_the_readmes_snippets_give_the_run_in_torchvision_and_in_timm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = a_run(tmp_path / "study" / "runs" / "moco", "resnet18")
    monkeypatch.chdir(tmp_path)
    blocks = snippets(ROOT / "README.md")
    assert [("torchvision" in block, "timm" in block) for block in blocks] == [(True, False), (False, True)]
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    for block in blocks:
        names: dict[str, nn.Module] = {}
        exec(block, names)
        with torch.inference_mode():
            assert (names["network"].eval()(images) - expected(images)).abs().max() < 1e-4


def test_the_snippet_for_onnx_runs_on_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = a_run(tmp_path / "run", "resnet18")
    monkeypatch.chdir(tmp_path)
    assert invoke("run", "study/exported").exit_code == 0
    (block,) = snippets(ROOT / "docs" / "weights.md")
    names: dict[str, np.ndarray] = {}
    exec(block, names)
    with torch.inference_mode():
        black = network(torch.full((1, 3, SIZE, SIZE), -0.5 / 0.2)).numpy()
    assert np.abs(names["features"] - black).max() < 1e-4
