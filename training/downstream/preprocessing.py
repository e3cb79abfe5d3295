"""Choose the preprocessing of weights that have none of their own: a run's, ImageNet's, or the dataset's statistics.

Arms that are compared differ in one thing only if they are preprocessed alike. A run's end keeps its own preprocessing;
its start has the run's too, and can be shown under another beside it.
"""

from dataclasses import replace
from pathlib import Path

from shards.format.dataset import Dataset
from training.backbones.architectures import is_timm
from training.backbones.backbone import Backbone
from training.backbones.description import GrayLevels
from training.backbones.timm_networks import has_fixed_size, timm_input
from training.errors import WeightsError
from training.runs.backbone_from import run_preprocessing

IMAGENET, DATASET = "imagenet", "dataset"

# torchvision's for its ImageNet weights (torchvision.transforms._presets), in gray levels. The published code
# normalises by them in both arms (chexpert_supervised).
IMAGENET_MEAN: GrayLevels = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD: GrayLevels = (0.229 * 255, 0.224 * 255, 0.225 * 255)


def preprocessed(backbone: Backbone, dataset: Dataset, preprocessing: str | None) -> Backbone:
    """The backbone with the preprocessing that is named: imagenet, dataset or the folder of a run; None keeps it.

    A run's mean, standard deviation and image size are taken. Raises WeightsError for the end of a run, whose
    preprocessing is part of it, and for a network that takes images of one size only, which is another than the run's;
    RunError for a folder that holds no run.
    """
    if preprocessing is None:
        return backbone
    if backbone.initial == "moco":
        raise WeightsError(
            "--preprocessing is for weights without one of their own; those of a pretraining run keep the run's. "
            "Leave the option out, or take the run's start (--at start)."
        )
    if preprocessing == IMAGENET:
        return replace(backbone, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    if preprocessing == DATASET:
        return replace(backbone, mean=dataset.mean, std=dataset.std)
    of_run = run_preprocessing(Path(preprocessing))
    refuse_other_size(backbone.architecture, of_run.image_size, f"the run {preprocessing} has")
    return replace(backbone, mean=of_run.mean, std=of_run.std, image_size=of_run.image_size)


def refuse_other_size(architecture: str, image_size: int, whose: str) -> None:
    """Raise WeightsError for a network of timm that takes images of one size only, which is not `image_size`."""
    if is_timm(architecture) and has_fixed_size(architecture) and timm_input(architecture)[0] != image_size:
        raise WeightsError(
            f"{architecture} takes images of {timm_input(architecture)[0]} pixels only, and {whose} {image_size}. "
            "Leave the preprocessing of the run out."
        )
