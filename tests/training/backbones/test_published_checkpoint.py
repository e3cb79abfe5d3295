"""cxr-train import: files in the authors' format, whole and damaged, to a backbone of ours."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner, Result

from tests.training.published_checkpoints import HEADS, features_of, old_densenet_names, published, write
from training.cli.main import main
from training.runs.backbone_from import load_backbone


def invoke(*args: object) -> Result:
    return CliRunner().invoke(main, ["import", *map(str, args)])


@pytest.fixture(scope="module")
def resnet() -> dict[str, Any]:
    """A whole ResNet-18 file's content, to change a copy of."""
    return published()[0]


@pytest.mark.parametrize("mlp", [True, False], ids=["mlp", "linear"])
@pytest.mark.parametrize("architecture", sorted(HEADS))
def test_features_are_those_of_the_published_network_to_the_bit(tmp_path: Path, architecture: str, mlp: bool) -> None:
    content, moco = published(architecture, mlp=mlp)
    if architecture == "densenet121" and mlp:
        content["state_dict"] = old_densenet_names(content["state_dict"])
        assert "module.encoder_q.features.denseblock1.denselayer1.norm.1.weight" in content["state_dict"]
    result = invoke(write(tmp_path / "checkpoint_0000.pth.tar", content), tmp_path / "out")
    assert result.exit_code == 0, result.output
    backbone = load_backbone(str(tmp_path / "out"), mean=1.0, std=1.0)
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = features_of(moco, architecture)(images)
        assert torch.equal(backbone.network.eval()(images), expected)
    assert expected.std() > 0
    assert (backbone.architecture, backbone.initial, backbone.image_size) == (architecture, "moco", 320)
    assert backbone.provenance["method"] == ("moco-v2" if mlp else "moco-v1")


def test_the_published_preprocessing_and_the_source_stand_in_backbone_json(
    tmp_path: Path, resnet: dict[str, Any]
) -> None:
    assert invoke(write(tmp_path / "c.pth.tar", resnet), tmp_path / "out").exit_code == 0
    described = json.loads((tmp_path / "out" / "backbone.json").read_text())
    assert described["mean"] / 255 == pytest.approx(0.5020)
    assert described["std"] / 255 == pytest.approx(0.085585)
    assert (described["image_size"], described["channels"], described["architecture"]) == (320, 3, "resnet18")
    assert (described["provenance"]["epochs"], described["provenance"]["imported_from"]) == (1, "c.pth.tar")
    assert not [name for name in safetensors.torch.load_file(tmp_path / "out" / "backbone.safetensors") if "fc" in name]


def test_patients_of_the_shards_that_are_named_are_recorded_as_seen(
    tmp_path: Path, resnet: dict[str, Any], tiny_shards: Path
) -> None:
    path = write(tmp_path / "c.pth.tar", resnet)
    assert invoke(path, tmp_path / "out", "--shards", tiny_shards).exit_code == 0
    backbone = load_backbone(str(tmp_path / "out"), mean=1.0, std=1.0)
    assert len(backbone.patients) == 25
    assert set(backbone.patients["dataset"]) == {"tiny"}


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, resnet: dict[str, Any]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    result = invoke(write(tmp_path / "c.pth.tar", resnet), tmp_path / "out")
    assert result.exit_code == 1
    assert "not empty" in result.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


class _Exploit:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return eval, ("__import__('pathlib').Path('exploited').touch()",)


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (argparse.Namespace(lr=1e-4), "argparse.Namespace"),
        (np.float64(0.5), "numpy"),
        (_Exploit(), "eval"),
    ],
    ids=["argparse", "numpy", "hostile"],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["torch since 1.6", "torch before 1.6"])
def test_objects_in_a_file_are_named_and_refused_without_running_anything(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    resnet: dict[str, Any],
    extra: object,
    named: str,
    zipped: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "objects.pth.tar"
    torch.save(resnet | {"args": extra}, path, _use_new_zipfile_serialization=zipped)
    result = invoke(path, tmp_path / "out")
    assert result.exit_code == 1
    for part in ("objects.pth.tar holds more than tensors", named, "If you trust its authors", "torch.save"):
        assert part in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "exploited").exists()
    assert not (tmp_path / "out").exists()


def test_a_file_of_torch_before_1_6_is_read(tmp_path: Path, resnet: dict[str, Any]) -> None:
    torch.save(resnet, tmp_path / "old.pth.tar", _use_new_zipfile_serialization=False)
    result = invoke(tmp_path / "old.pth.tar", tmp_path / "out")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and no more"])
def test_a_damaged_file_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pth.tar").write_bytes(content)
    result = invoke(tmp_path / "c.pth.tar", tmp_path / "out")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "c.pth.tar" in result.output
    assert "Traceback" not in result.output


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    result = invoke(tmp_path / "none.pth.tar", tmp_path / "out")
    assert "There is no checkpoint at" in result.output


def _without(name: str) -> Any:  # noqa: ANN401 - a change of the content
    return lambda content: content["state_dict"].pop(name)


def _with(name: str) -> Any:  # noqa: ANN401 - a change of the content
    return lambda content: content["state_dict"].update({name: torch.zeros(1)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("module.encoder_q.bn1.weight"), "missing: bn1.weight"),
        (_without("module.encoder_q.fc.2.bias"), "missing: encoder_q.fc.2.bias"),
        (_with("module.encoder_q.stem.weight"), "left over: stem.weight"),
        (_with("module.encoder_q.fc.4.weight"), "left over: encoder_q.fc.4.weight"),
        (_with("module.predictor.weight"), "left over: predictor.weight"),
        (lambda content: content.update(arch="resnet34"), "architecture 'resnet34'"),
        (lambda content: content.update(arch="densenet121"), "missing: encoder_q.classifier.0.bias"),
        (lambda content: content.update(epoch="last"), "its epoch is 'last'"),
        (lambda content: content.pop("state_dict"), "no state_dict of tensors, only arch, epoch, optimizer"),
    ],
)
def test_what_is_missing_or_left_over_is_named(tmp_path: Path, resnet: dict[str, Any], change: Any, said: str) -> None:  # noqa: ANN401
    content = resnet | {"state_dict": dict(resnet["state_dict"])}
    change(content)
    result = invoke(write(tmp_path / "c.pth.tar", content), tmp_path / "out")
    assert result.exit_code == 1, result.output
    assert said in result.output
    assert "c.pth.tar" in result.output
    assert not (tmp_path / "out").exists()
