"""Make the backbone that training starts from: random weights, ImageNet's or a file's, with its provenance."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from torch import Tensor, nn

from training.backbones.description import BackboneDescription, Provenance
from training.backbones.networks import GrayLevels, Preprocessing, build_backbone, images_to_input
from training.backbones.weight_files import fill, read_imagenet, read_weights
from training.seen_patients import no_patients, read_patients

DEFAULT_ARCHITECTURE, DEFAULT_IMAGE_SIZE = "resnet18", 320
PREPROCESSING = "preprocessing.json"
"""Name of an exported backbone's description, beside its weights."""


@dataclass(frozen=True)
class Backbone:
    """A network that ends in its features, with its preprocessing and provenance.

    network: [N, 3, H, W] -> [N, D], on the CPU, in train mode. image_size: the side, in pixels, it was trained at.
    mean, std: 0..255, with which its input is normalised, for any dataset. initial: moco, random, imagenet, timm
    or file. provenance: as in backbone.json. digest: SHA-256 of the weights as safetensors. patients: the patients that
    the weights have seen, as far as they are known (columns dataset, patient_id). run_patients: for the start of a run,
    those that the run itself has seen; no rows otherwise.
    """

    network: nn.Module
    architecture: str
    image_size: int
    mean: GrayLevels
    std: GrayLevels
    initial: str
    provenance: Provenance
    digest: str
    patients: pd.DataFrame
    run_patients: pd.DataFrame = field(default_factory=no_patients)

    @property
    def preprocessing(self) -> Preprocessing:
        """How its images are prepared."""
        return Preprocessing(self.image_size, self.mean, self.std)

    @property
    def description(self) -> BackboneDescription:
        """What model.json says of the backbone that a network was trained from; without digests."""
        return BackboneDescription(self.architecture, self.image_size, self.mean, self.std, self.provenance)

    def preprocess(self, images: Tensor) -> Tensor:
        """Make the network's input of gray images as the loaders give them, normalised as in training.

        images: uint8 [N, 1, H, W]. Returns float32 [N, 3, H, W] on the same device.
        """
        return images_to_input(images, self.mean, self.std)


def initial_backbone(init: str, architecture: str, seed: int) -> nn.Module:
    """Build the backbone with its initial weights; init: random, imagenet or a FILE under torchvision's names.

    random: the same seed gives the same weights, here and in `--backbone-from random`. Raises WeightsError.
    """
    network = build_backbone(architecture, seed)
    if init == "random":
        return network
    weights = read_imagenet(architecture) if init == "imagenet" else read_weights(Path(init))
    fill(network, architecture, weights, "torchvision's ImageNet file" if init == "imagenet" else init)
    return network


def init_name(init: str) -> str:
    """Name the initial weights for provenance: random, imagenet, or the file's name without its folder."""
    return init if init in ("random", "imagenet") else Path(init).name


def init_patients(init: str) -> pd.DataFrame:
    """List the patients that the initial weights have seen: those recorded beside a file, else none."""
    return no_patients() if init in ("random", "imagenet") else read_patients(Path(init).parent)


def untrained_provenance(init: str, seed: int) -> Provenance:
    """Describe weights that this project has not pretrained."""
    return {
        "method": "none",
        "init": init_name(init),
        "seed": seed if init == "random" else None,
        "epochs": 0,
        "steps": 0,
        "datasets": [],
    }
