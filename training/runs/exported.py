"""Read a backbone that `cxr-train export` wrote, with the preprocessing that stands beside its weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.backbones.architectures import ARCHITECTURES
from training.backbones.backbone import PREPROCESSING, Backbone
from training.backbones.networks import GrayLevels, build_backbone
from training.backbones.weight_files import fill, read_weights, weights_digest
from training.errors import WeightsError
from training.runs.files import BACKBONE_WEIGHTS
from training.seen_patients import read_patients

FORMAT_VERSION = 1


def exported_backbone(folder: Path, architecture: str | None, image_size: int | None, at: str) -> Backbone:
    """The backbone of an exported folder: weights, image size, mean and standard deviation, patients.

    architecture, image_size: refused where they are not the folder's own. Raises WeightsError where the folder is
    damaged, of another format, or holds ONNX alone.
    """
    if at != "end":
        raise WeightsError(f"{folder} is an exported backbone, which has no start. Name the run itself.")
    description = _described(folder / PREPROCESSING)
    for key, asked in (("architecture", architecture), ("image_size", image_size)):
        check_asked(folder, description, key, asked)
    path = folder / BACKBONE_WEIGHTS
    if not path.is_file():
        raise WeightsError(f"{folder} holds no {BACKBONE_WEIGHTS}. Export the run again with --format torchvision.")
    weights = read_weights(path)
    if weights_digest(weights) != description["digest"]:
        raise WeightsError(f"{path} does not hold the weights that {PREPROCESSING} records. Copy both again.")
    network = build_backbone(description["architecture"], seed=0)
    fill(network, description["architecture"], weights, str(path))
    return Backbone(
        network=network,
        architecture=description["architecture"],
        image_size=description["image_size"],
        mean=_gray_levels(description, "mean"),
        std=_gray_levels(description, "std"),
        initial="moco" if description["provenance"].get("method") != "none" else "file",
        provenance=description["provenance"],
        digest=description["digest"],
        patients=read_patients(folder),
    )


def check_asked(run: Path, description: Mapping[str, Any], key: str, asked: str | int | None) -> None:
    """Raise WeightsError where an option asks for something else than the run has."""
    if asked is not None and asked != description[key]:
        raise WeightsError(
            f"{run} was pretrained with {key} {description[key]}, asked for is {asked}. Leave the option out to take "
            "the run's."
        )


def _described(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise WeightsError(f"{path} cannot be read: {error}. Export the run again.") from error
    needed = {"architecture", "image_size", "mean", "std", "provenance", "digest"}
    if not isinstance(description, dict) or description.get("format_version") != FORMAT_VERSION:
        raise WeightsError(f"{path} is not of format version {FORMAT_VERSION}. Export the run again.")
    if not needed <= description.keys() or description["architecture"] not in ARCHITECTURES:
        raise WeightsError(f"{path} does not describe a backbone of {', '.join(ARCHITECTURES)}. Export the run again.")
    return description


def _gray_levels(description: Mapping[str, Any], key: str) -> GrayLevels:
    """Mean or standard deviation in 0..255; an earlier release wrote them for pixels in 0..1 only."""
    levels = description.get(f"{key}_in_gray_levels") or [level * 255 for level in description[key]]
    red, green, blue = (float(level) for level in levels)
    return red if red == green == blue else (red, green, blue)
