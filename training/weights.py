"""Backbones to start from and backbones to hand on: random, ImageNet's, a file's, or those of a pretraining run.

Flows in: what the person wrote after --init or --backbone-from. Flows out: a network with what is known of it, or the
pair backbone.safetensors + backbone.json. Knows nothing of how a backbone is trained or used.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor, nn

from shards.durable import write_atomically, write_json_atomically
from training.checkpoints import load_checkpoint
from training.errors import RunError, WeightsError
from training.networks import backbone_weights, build_backbone, head_name
from training.options import ARCHITECTURES
from training.resumption import newest_whole
from training.run_directory import no_patients, read_last, read_patients
from training.weight_files import fill, read_imagenet, read_weights, safetensors_bytes, weights_digest

FORMAT_VERSION = 1
WEIGHTS, DESCRIPTION = "backbone.safetensors", "backbone.json"

DEFAULT_ARCHITECTURE, DEFAULT_IMAGE_SIZE = "resnet18", 320

_QUERY_ENCODER = "query_encoder."


@dataclass(frozen=True)
class Backbone:
    """A network that ends in its features, and what it takes to use and to cite it.

    network: [N, 3, H, W] -> [N, D], on the CPU, in train mode. image_size: the side, in pixels, it was trained at.
    mean, std: 0..255, with which its input is normalised, whatever the dataset. initial: moco, random, imagenet or
    file. provenance: as in backbone.json. digest: SHA-256 of the weights as safetensors. patients: everyone whom the
    weights have seen, as far as is known (columns dataset, patient_id).
    """

    network: nn.Module
    architecture: str
    image_size: int
    mean: float
    std: float
    initial: str
    provenance: Mapping[str, Any]
    digest: str
    patients: pd.DataFrame


def initial_backbone(init: str, architecture: str, seed: int) -> nn.Module:
    """The backbone that training starts from; init: random, imagenet or a FILE of weights under torchvision's names.

    random: the same seed gives the same weights, here and in `--backbone-from random`. Raises WeightsError.
    """
    network = build_backbone(architecture, seed)
    if init == "imagenet":
        fill(network, architecture, read_imagenet(architecture), "torchvision's ImageNet file")
    elif init != "random":
        fill(network, architecture, read_weights(Path(init)), init)
    return network


def init_name(init: str) -> str:
    """How provenance names a start: random, imagenet, or the file's name without its folder."""
    return init if init in ("random", "imagenet") else Path(init).name


def init_patients(init: str) -> pd.DataFrame:
    """Patients whom the initial weights have seen: those recorded beside a file; none are known otherwise."""
    return no_patients() if init in ("random", "imagenet") else read_patients(Path(init).parent)


def describe_backbone(
    *, architecture: str, image_size: int, mean: float, std: float, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """backbone.json without the digest of the weights."""
    return {
        "format_version": FORMAT_VERSION,
        "architecture": architecture,
        "image_size": image_size,
        "mean": mean,
        "std": std,
        "channels": 3,
        "provenance": dict(provenance),
    }


def save_backbone(run: Path, weights: Mapping[str, Tensor], description: Mapping[str, Any]) -> str:
    """Write backbone.safetensors and, last, backbone.json; returns the weights' digest.

    weights: torchvision's names, no head. A torchvision network whose head is an identity loads the file strictly.
    """
    content = safetensors_bytes(weights)
    digest = hashlib.sha256(content).hexdigest()
    with write_atomically(run / WEIGHTS) as file:
        file.write(content)
    write_json_atomically(run / DESCRIPTION, {**description, "digest": digest})
    return digest


def load_backbone(
    source: str,
    *,
    architecture: str | None = None,
    image_size: int | None = None,
    seed: int = 0,
    mean: float,
    std: float,
    allow_unfinished: bool = False,
) -> Backbone:
    """The backbone that `--backbone-from` names: a RUN, a FILE, random or imagenet.

    architecture, image_size: None takes the run's own (resnet18 and 320 where the source has none of its own);
    another value than the run's is refused. mean, std: used where the source has none of its own. seed: of random.
    Raises WeightsError for files that are missing or do not fit, RunError for a run that is not finished, unless
    allow_unfinished, which takes the query encoder of its newest whole checkpoint.
    """
    path = Path(source)
    if source not in ("random", "imagenet"):
        if path.is_dir():
            return _of_run(path, architecture, image_size, allow_unfinished)
        if path.name == WEIGHTS and path.with_name(DESCRIPTION).is_file():
            return _of_run(path.parent, architecture, image_size, allow_unfinished)
    architecture = architecture or DEFAULT_ARCHITECTURE
    network = initial_backbone(source, architecture, seed)
    return Backbone(
        network=network,
        architecture=architecture,
        image_size=image_size or DEFAULT_IMAGE_SIZE,
        mean=mean,
        std=std,
        initial=source if source in ("random", "imagenet") else "file",
        provenance=untrained_provenance(source, seed),
        digest=weights_digest(backbone_weights(network, architecture)),
        patients=init_patients(source),
    )


def untrained_provenance(init: str, seed: int) -> dict[str, Any]:
    """Provenance of weights that no pretraining of ours has touched."""
    return {
        "method": "none",
        "init": init_name(init),
        "seed": seed if init == "random" else None,
        "epochs": 0,
        "steps": 0,
        "datasets": [],
    }


def _of_run(run: Path, architecture: str | None, image_size: int | None, allow_unfinished: bool) -> Backbone:
    last = read_last(run)
    if (last is None or last.finished) and (run / DESCRIPTION).is_file():
        description, weights = _finished(run)
    elif not allow_unfinished:
        raise RunError(
            f"{run} is not a finished run: "
            + (f"it stands at step {last.step}. Run the same `cxr-train pretrain` again" if last else _nothing_in(run))
            + ", or pass --allow-unfinished to take its newest checkpoint."
        )
    else:
        description, weights = _unfinished(run)
    _check_asked(run, description, "architecture", architecture)
    _check_asked(run, description, "image_size", image_size)
    network = build_backbone(description["architecture"], seed=0)
    fill(network, description["architecture"], weights, str(run))
    return Backbone(
        network=network,
        architecture=description["architecture"],
        image_size=description["image_size"],
        mean=description["mean"],
        std=description["std"],
        initial="moco",
        provenance=description["provenance"],
        digest=weights_digest(weights),
        patients=read_patients(run),
    )


def _nothing_in(run: Path) -> str:
    return f"there is no {DESCRIPTION} and no last.json in it. Name a run of `cxr-train pretrain`"


def _finished(run: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    path = run / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path} is not JSON: {error}. Copy the run again.") from error
    if description.get("format_version") != FORMAT_VERSION or description.get("architecture") not in ARCHITECTURES:
        raise WeightsError(
            f"{path}: format version {description.get('format_version')!r}, architecture "
            f"{description.get('architecture')!r}; this release reads {FORMAT_VERSION} and {', '.join(ARCHITECTURES)}."
        )
    weights = read_weights(run / WEIGHTS)
    if weights_digest(weights) != description.get("digest"):
        raise WeightsError(f"{run / WEIGHTS} does not hold the weights that {DESCRIPTION} records. Copy both again.")
    return description, weights


def _unfinished(run: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    step = newest_whole(run, reading=True)
    if step is None:
        raise RunError(f"{run} has no checkpoint to take weights from.")
    checkpoint = load_checkpoint(run, step)
    description = checkpoint["backbone"]
    head = _QUERY_ENCODER + head_name(description["architecture"]) + "."
    weights = {
        name.removeprefix(_QUERY_ENCODER): value
        for name, value in checkpoint["moco"].items()
        if name.startswith(_QUERY_ENCODER) and not name.startswith(head)
    }
    return description, weights


def _check_asked(run: Path, description: Mapping[str, Any], key: str, asked: str | int | None) -> None:
    if asked is not None and asked != description[key]:
        raise WeightsError(
            f"{run} was pretrained with {key} {description[key]}, asked for is {asked}. Leave the option out to take "
            "the run's."
        )
