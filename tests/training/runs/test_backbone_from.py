"""`load_backbone`: weights with their preprocessing, also for callers in Python who give no statistics."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.backbones.description import BackboneDescription
from training.backbones.networks import backbone_weights
from training.errors import WeightsError
from training.runs.backbone_from import load_backbone, save_backbone


def test_weights_without_statistics_of_their_own_need_some_and_the_refusal_says_which() -> None:
    with pytest.raises(
        WeightsError, match=r"random has no mean and standard deviation.*dataset\.mean and dataset\.std"
    ):
        load_backbone("random")
    with pytest.raises(WeightsError, match="give mean and std"):
        load_backbone("random", mean=120.0)
    assert load_backbone("random", mean=120.0, std=60.0).std == 60.0


def test_a_run_brings_its_statistics_and_size_and_normalises_images_with_them(tmp_path: Path) -> None:
    start = load_backbone("random", seed=1, mean=0.0, std=1.0)
    described = BackboneDescription(architecture="resnet18", image_size=32, mean=90.0, std=45.0, provenance={})
    save_backbone(tmp_path, backbone_weights(start.network, "resnet18"), described)
    backbone = load_backbone(str(tmp_path))
    assert (backbone.image_size, backbone.mean, backbone.std) == (32, 90.0, 45.0)
    images = np.random.default_rng(0).integers(0, 256, size=(3, 1, 5, 7), dtype=np.uint8)
    made = backbone.preprocess(torch.from_numpy(images))
    expected = np.repeat((images.astype(np.float64) - 90.0) / 45.0, 3, axis=1)
    assert made.dtype == torch.float32
    np.testing.assert_allclose(made.numpy(), expected, atol=1e-5)
