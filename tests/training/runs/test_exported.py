"""An exported folder as a backbone: used as the run would be, or refused."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from training.backbones.description import BackboneDescription
from training.backbones.export import export_backbone
from training.backbones.networks import backbone_weights, build_backbone
from training.errors import WeightsError
from training.runs.backbone_from import load_backbone, save_backbone
from training.runs.directory import write_last
from training.seen_patients import Seen, write_seen

MEAN, STD = 127.3, 51.7


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Folder of an exported run at 96 pixels; the run itself is gone."""
    run = tmp_path / "run"
    run.mkdir()
    network: nn.Module = build_backbone("resnet18", seed=7)
    described = BackboneDescription(
        architecture="resnet18", image_size=96, mean=MEAN, std=STD, provenance={"method": "moco-v2", "seed": 5}
    )
    save_backbone(run, backbone_weights(network, "resnet18"), described)
    write_seen(run, Seen(patients=pd.DataFrame({"dataset": ["tiny"], "patient_id": ["p1"]})))
    write_last(run, 20, 2, finished=True)
    export_backbone(load_backbone(str(run)), tmp_path / "out", ("torchvision",), with_patients=True)
    return tmp_path / "out"


@pytest.mark.parametrize("name", ["", "backbone.safetensors"])
def test_an_exported_folder_is_used_as_the_run_would_be(exported: Path, name: str) -> None:
    """Not at 320 pixels with the dataset's mean, as a plain file of weights would be."""
    of_run = load_backbone(str(exported.parent / "run"))
    backbone = load_backbone(str(exported / name), mean=1.0, std=1.0)
    for field in ("architecture", "image_size", "mean", "std", "initial", "digest", "provenance"):
        assert getattr(backbone, field) == getattr(of_run, field), field
    assert backbone.patients.values.tolist() == [["tiny", "p1"]]
    states = backbone.network.state_dict(), of_run.network.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


def test_an_export_of_an_earlier_release_has_its_levels_in_fractions_of_white(exported: Path) -> None:
    path = exported / "preprocessing.json"
    described = json.loads(path.read_text())
    del described["mean_in_gray_levels"], described["std_in_gray_levels"]
    path.write_text(json.dumps(described))
    backbone = load_backbone(str(exported))
    assert isinstance(backbone.mean, float)
    assert isinstance(backbone.std, float)
    assert (backbone.mean, backbone.std) == pytest.approx((MEAN, STD))


def test_another_size_or_architecture_than_the_folders_is_refused(exported: Path) -> None:
    with pytest.raises(WeightsError, match="image_size 96, asked for is 320"):
        load_backbone(str(exported), image_size=320)
    with pytest.raises(WeightsError, match="architecture resnet18, asked for is densenet121"):
        load_backbone(str(exported), architecture="densenet121")


def test_an_export_has_no_start(exported: Path) -> None:
    with pytest.raises(WeightsError, match="has no start"):
        load_backbone(str(exported), at="start")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"format_version": 1}', b'{"format_version": 9}']
)
def test_a_damaged_description_is_an_error_in_words(exported: Path, content: bytes) -> None:
    (exported / "preprocessing.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"preprocessing\.json .*[Ee]xport the run again"):
        load_backbone(str(exported))


def test_other_weights_than_the_described_ones_are_refused(exported: Path) -> None:
    path = exported / "backbone.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"does not hold the weights that preprocessing\.json records"):
        load_backbone(str(exported))


def test_a_folder_of_onnx_alone_says_what_to_do(exported: Path) -> None:
    (exported / "backbone.safetensors").unlink()
    with pytest.raises(WeightsError, match="Export the run again with --format torchvision"):
        load_backbone(str(exported))
