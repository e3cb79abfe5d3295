"""Weights as other code writes them: wrapped, with a prefix, for gray images, or lost."""

import logging
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from training.backbones.backbone import initial_backbone
from training.backbones.networks import backbone_weights, build_backbone
from training.errors import WeightsError


def weights() -> dict[str, Tensor]:
    return backbone_weights(build_backbone("resnet18", 3), "resnet18")


def loaded(path: Path, content: object) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        assert isinstance(content, dict)
        safetensors.torch.save_file(content, path)
    else:
        torch.save(content, path)
    return initial_backbone(str(path), "resnet18", 0).state_dict()


def same(found: dict[str, Tensor]) -> bool:
    expected = weights()
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "backbone.", "encoder.", "module.encoder.", "_orig_mod.module."]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_prefix_that_all_names_share_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, prefix: str, suffix: str
) -> None:
    content = {prefix + name: value.clone() for name, value in weights().items()}
    with caplog.at_level(logging.WARNING):
        assert same(loaded(tmp_path / f"w{suffix}", content))
    assert f"the prefix {prefix.split('.')[0]}. of all names is left out" in caplog.text


def test_a_state_dict_beside_other_entries_is_taken_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = {"epoch": 3, "state_dict": {"module." + name: value for name, value in weights().items()}}
    with caplog.at_level(logging.WARNING):
        assert same(loaded(tmp_path / "w.pth", content))
    assert "are taken from the entry state_dict" in caplog.text


def test_weights_as_they_should_be_are_read_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert same(loaded(tmp_path / "w.pth", weights()))
    assert not caplog.records


def test_a_first_layer_for_gray_images_gives_gray_images_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gray = torch.randn(64, 1, 7, 7)
    with caplog.at_level(logging.WARNING):
        found = loaded(tmp_path / "w.pth", weights() | {"conv1.weight": gray})
    assert "conv1.weight has one input channel" in caplog.text
    image = torch.randn(2, 1, 16, 16)
    expected = torch.nn.functional.conv2d(image, gray)
    shown = torch.nn.functional.conv2d(image.expand(-1, 3, -1, -1), found["conv1.weight"])
    torch.testing.assert_close(shown, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_where_they_are_read(tmp_path: Path, value: float) -> None:
    broken = weights()
    broken["layer1.0.conv1.weight"] = broken["layer1.0.conv1.weight"].clone()
    broken["layer1.0.conv1.weight"][0, 0, 0, 0] = value
    with pytest.raises(WeightsError, match=r"not finite numbers \(layer1.0.conv1.weight\)"):
        loaded(tmp_path / "w.pth", broken)


def test_names_that_share_no_prefix_are_named_as_left_over(tmp_path: Path) -> None:
    content = {
        ("module." if number % 2 else "net.") + name: value for number, (name, value) in enumerate(weights().items())
    }
    with pytest.raises(WeightsError, match=r"missing: conv1\.weight"):
        loaded(tmp_path / "w.pth", content)
