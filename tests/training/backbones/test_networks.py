import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from tests.training.plain_torchvision import headless, last_linear
from training.backbones.architectures import ARCHITECTURES, TABLE
from training.backbones.description import GrayLevels
from training.backbones.networks import (
    backbone_weights,
    build_backbone,
    feature_dimension,
    feature_network,
    head_name,
    images_to_input,
    per_channel,
    set_stochastic_depth,
)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_backbone_ends_in_features_of_the_stated_length(architecture: str) -> None:
    network = build_backbone(architecture, seed=0)
    assert network(torch.zeros(2, 3, 33, 47)).shape == (2, feature_dimension(architecture))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_head_of_the_table_is_torchvisions_last_linear_layer(architecture: str) -> None:
    name, layer = last_linear(architecture)
    assert (name, layer.in_features) == (head_name(architecture), feature_dimension(architecture))
    images = torch.rand(2, 3, 64, 64)
    ours, plain = build_backbone(architecture, seed=0), headless(architecture)
    plain.load_state_dict(ours.state_dict())
    with torch.inference_mode():
        assert torch.equal(ours.eval()(images), plain.eval()(images))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_have_torchvisions_names_and_no_head(architecture: str) -> None:
    plain = torchvision.models.get_model(architecture, weights=None)
    expected = [name for name in plain.state_dict() if not name.startswith(f"{head_name(architecture)}.")]
    assert list(backbone_weights(plain, architecture)) == expected
    assert list(build_backbone(architecture, seed=0).state_dict()) == expected


def test_a_seed_gives_the_same_weights_and_leaves_the_process_random_state_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (build_backbone("resnet18", seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_random_weights_are_torchvisions_own_for_that_seed() -> None:
    torch.manual_seed(11)
    plain = torchvision.models.resnet18(weights=None).state_dict()
    ours = build_backbone("resnet18", seed=11).state_dict()
    assert all(torch.equal(ours[name], plain[name]) for name in ours)


def test_a_feature_network_shows_what_the_head_is_given_and_leaves_the_original_its_head() -> None:
    network = torchvision.models.resnet18(weights=None).eval()
    images = torch.rand(2, 3, 40, 40)
    features = feature_network(network, "resnet18")
    assert isinstance(network.fc, nn.Linear)
    assert torch.equal(network.fc(features(images)), network(images))


def test_input_is_normalised_gray_in_three_equal_channels() -> None:
    batch = torch.randint(0, 256, (3, 1, 5, 7), dtype=torch.uint8)
    result = images_to_input(batch, mean=128.4, std=60.1)
    expected = (batch.numpy().astype(np.float64) - 128.4) / 60.1
    assert result.dtype == torch.float32
    assert result.shape == (3, 3, 5, 7)
    for channel in range(3):
        np.testing.assert_allclose(result[:, channel : channel + 1].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("mean", "std"), [(128.4, 60.1), ((120.0, 110.0, 100.0), (60.0, 50.0, 40.0))])
def test_a_tone_curve_is_looked_up_before_pixels_are_normalised(mean: GrayLevels, std: GrayLevels) -> None:
    batch = torch.randint(0, 256, (3, 1, 5, 7), dtype=torch.uint8)
    tones = 255 * torch.rand(3, 256)
    result = images_to_input(batch, mean, std, tones)
    assert result.is_contiguous(memory_format=torch.channels_last)
    for image, table, shown in zip(batch[:, 0].tolist(), tones.tolist(), result, strict=True):
        levels = np.array([[table[pixel] for pixel in row] for row in image])
        for channel, m, s in zip(shown.numpy(), per_channel(mean), per_channel(std), strict=True):
            np.testing.assert_allclose(channel, (levels - m) / s, atol=1e-5)


@pytest.mark.parametrize(("mean", "std"), [(128.4, 60.1), ((120.0, 110.0, 100.0), (60.0, 50.0, 40.0))])
def test_a_tone_curve_that_changes_nothing_gives_the_same_input_to_the_bit(mean: GrayLevels, std: GrayLevels) -> None:
    batch = torch.randint(0, 256, (3, 1, 5, 7), dtype=torch.uint8)
    same = torch.arange(256.0).expand(3, -1)
    assert torch.equal(images_to_input(batch, mean, std, same), images_to_input(batch, mean, std))


@pytest.mark.parametrize(
    "batch", [torch.zeros(2, 1, 4, 4), torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(4, 4, dtype=torch.uint8)]
)
def test_input_that_is_not_gray_bytes_is_refused(batch: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \[N, 1, H, W\]"):
        images_to_input(batch, 0.0, 1.0)


@pytest.mark.parametrize("architecture", ["mobilenet_v2", "convnext_tiny"])
def test_two_passes_in_training_give_the_same_features(architecture: str) -> None:
    """Neither dropout nor stochastic depth takes part: BatchNorm normalises both passes alike."""
    network = build_backbone(architecture, seed=0).train()
    images = torch.rand(4, 3, 64, 64)
    assert torch.equal(network(images), network(images))


def test_timm_takes_the_weights_of_the_networks_that_the_table_says_and_of_no_other() -> None:
    for name, architecture in TABLE.items():
        weights = backbone_weights(build_backbone(name, seed=0), name)
        same = timm.is_model(name) and timm.create_model(name, num_classes=0).state_dict().keys() == weights.keys()
        assert same == architecture.in_timm, name


def test_the_table_knows_which_networks_have_batch_norm() -> None:
    for name, architecture in TABLE.items():
        has = any(isinstance(module, nn.BatchNorm2d) for module in build_backbone(name, seed=0).modules())
        assert has == architecture.batch_norm, name


def test_stochastic_depth_rises_along_the_branches_and_is_torchvisions_own() -> None:
    network, plain = (
        build_backbone("convnext_tiny", seed=0),
        torchvision.models.convnext_tiny(stochastic_depth_prob=0.3),
    )
    assert set_stochastic_depth(network, 0.3) == 18
    found, expected = (
        [module.p for module in one.modules() if isinstance(module, torchvision.ops.StochasticDepth)]
        for one in (network, plain)
    )
    assert found == pytest.approx(expected)
    assert set_stochastic_depth(build_backbone("resnet18", seed=0), 0.3) == 0


def test_the_page_of_weights_names_each_head_and_timms_name() -> None:
    page = (Path(__file__).parents[3] / "docs" / "weights.md").read_text(encoding="utf-8")
    for name, entry in TABLE.items():
        head = re.sub(r"\.(\d+)", r"[\1]", entry.head)
        other = "" if entry.in_timm else ", other names of parameters"
        assert f"| {name} | `{head}` | `{entry.timm}`{other} |" in page
