"""Load the backbone that --backbone-from names: a run, a file of weights, random or imagenet."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from shards.durable import write_atomically, write_json_atomically
from shards.input_files import read_regular
from shards.json_value import JsonError, JsonValue, parse_json
from training.backbones.architectures import is_timm
from training.backbones.backbone import (
    DEFAULT_ARCHITECTURE,
    DEFAULT_IMAGE_SIZE,
    PREPROCESSING,
    Backbone,
    initial_backbone,
    initial_seen,
    untrained_provenance,
)
from training.backbones.description import BackboneDescription, GrayLevels, read_description
from training.backbones.networks import Preprocessing, backbone_weights, build_backbone, head_name
from training.backbones.timm_backbone import timm_backbone
from training.backbones.weight_files import fill, read_weights, safetensors_bytes, weights_digest
from training.errors import RunError, WeightsError
from training.runs.checkpoints import checkpoint_path, load_checkpoint, newest_whole, state_of
from training.runs.directory import read_last
from training.runs.exported import check_asked, exported_backbone
from training.runs.files import BACKBONE, BACKBONE_WEIGHTS
from training.runs.start import read_start, start_initial, start_provenance, start_seen
from training.seen_patients import Seen, read_seen

_QUERY_ENCODER = "query_encoder."


def load_backbone(
    source: str,
    *,
    architecture: str | None = None,
    image_size: int | None = None,
    seed: int = 0,
    mean: GrayLevels | None = None,
    std: GrayLevels | None = None,
    allow_unfinished: bool = False,
    at: str = "end",
    weights: Path | None = None,
) -> Backbone:
    """Load a backbone with its preprocessing: the one that `--backbone-from` names.

    source: a RUN of `cxr-train pretrain`, a folder that `cxr-train export` wrote, a FILE of weights with torchvision's
    names, `random`, `imagenet`, or `timm:NAME` with timm's own input size, mean and standard deviation. at: of a run,
    "end" takes what it was trained to, "start" the weights that it began with, with its preprocessing. weights: file of
    the weights of `timm:NAME`, in place of timm's cache.
    architecture, image_size (side in pixels): None takes the run's own, and resnet18 and 320 where the source has none
    of its own; another value than the run's is refused. mean, std: in gray levels, 0..255, used where the source has
    none of its own. seed: of random weights.
    Raises WeightsError for files that are missing or do not fit and for a source without mean and standard deviation
    where none are given; RunError for a run that is not finished, unless allow_unfinished, which takes the query
    encoder of its newest whole checkpoint.
    """
    path = Path(source)
    if weights is not None and not is_timm(source):
        raise WeightsError(f"--weights names the file of a network of timm, and {source} is none. Give the file alone.")
    if is_timm(source):
        return _of_timm(source, image_size, weights, other=at != "end" or architecture is not None)
    if source not in ("random", "imagenet"):
        if path.is_dir():
            if (path / PREPROCESSING).is_file() and not (path / BACKBONE).is_file():
                return exported_backbone(path, architecture, image_size, at)
            return _of_run(path, architecture, image_size, allow_unfinished, at)
        if path.name == BACKBONE_WEIGHTS and path.with_name(BACKBONE).is_file():
            return _of_run(path.parent, architecture, image_size, allow_unfinished, at)
        if path.name == BACKBONE_WEIGHTS and path.with_name(PREPROCESSING).is_file():
            return exported_backbone(path.parent, architecture, image_size, at)
    if at != "end":
        raise WeightsError(f"--at {at} is of a run of `cxr-train pretrain`, and {source} is none. Leave --at out.")
    if mean is None or std is None:
        raise WeightsError(
            f"{source} has no mean and standard deviation of its own: give mean and std in gray levels, such as "
            "dataset.mean and dataset.std of the dataset that it will be used on."
        )
    return _untrained(
        source, architecture or DEFAULT_ARCHITECTURE, image_size or DEFAULT_IMAGE_SIZE, seed, mean=mean, std=std
    )


def _of_timm(source: str, image_size: int | None, weights: Path | None, *, other: bool) -> Backbone:
    """Load a network of timm. other: whether --at or --backbone say something else."""
    if other:
        raise WeightsError(f"--at and --backbone are not for {source}, which says both itself. Leave them out.")
    return timm_backbone(source, image_size, weights)


def _untrained(
    source: str, architecture: str, image_size: int, seed: int, *, mean: GrayLevels, std: GrayLevels
) -> Backbone:
    """Make a backbone of weights that this project has not pretrained: random, imagenet or a file."""
    network = initial_backbone(source, architecture, seed)
    return Backbone(
        network=network,
        architecture=architecture,
        image_size=image_size,
        mean=mean,
        std=std,
        initial=source if source in ("random", "imagenet") else "file",
        provenance=untrained_provenance(source, seed),
        digest=weights_digest(backbone_weights(network, architecture)),
        seen=initial_seen(source),
    )


def _of_run(run: Path, architecture: str | None, image_size: int | None, allow_unfinished: bool, at: str) -> Backbone:
    last = read_last(run)
    if (last is None or last.finished) and (run / BACKBONE).is_file():
        description, weights = _finished(run)
    elif not allow_unfinished:
        raise RunError(
            f"{run} is not a finished run: "
            + (f"it stands at step {last.step}. Run the same `cxr-train pretrain` again" if last else _nothing_in(run))
            + ", or pass --allow-unfinished to take its newest checkpoint."
        )
    else:
        description, weights = _unfinished(run)
    check_asked(run, description, architecture, image_size)
    network = build_backbone(description.architecture, seed=0)
    if at == "start":
        weights = read_start(run, description)
    fill(network, description.architecture, weights, str(run))
    seen = read_seen(run, provenance=description.provenance)
    return Backbone(
        network=network,
        architecture=description.architecture,
        image_size=description.image_size,
        mean=description.mean,
        std=description.std,
        initial="moco" if at == "end" else start_initial(description),
        provenance=description.provenance if at == "end" else start_provenance(description),
        digest=weights_digest(weights),
        seen=seen if at == "end" else start_seen(run, description),
        run_seen=Seen() if at == "end" else seen,
    )


def run_preprocessing(run: Path) -> Preprocessing:
    """Read the preprocessing of a finished run, or of an import. Raises RunError where there is none."""
    if not (run / BACKBONE).is_file():
        raise RunError(f"{run} is not a finished run: {_nothing_in(run)}, whose preprocessing is to be taken.")
    description, _ = _finished(run)
    return Preprocessing(description.image_size, description.mean, description.std)


def _nothing_in(run: Path) -> str:
    return f"there is no {BACKBONE} and no last.json in it. Name a run of `cxr-train pretrain`"


def _finished(run: Path) -> tuple[BackboneDescription, dict[str, Tensor]]:
    path = run / BACKBONE
    try:
        description = read_description(parse_json(read_regular(path)))
    except (JsonError, OSError) as error:
        raise WeightsError(f"{path} does not describe a backbone: {error}. Copy the run again.") from error
    weights = read_weights(run / BACKBONE_WEIGHTS)
    if weights_digest(weights) != description.digest:
        raise WeightsError(
            f"{run / BACKBONE_WEIGHTS} does not hold the weights that {BACKBONE} records. Copy both again."
        )
    return description, weights


def _unfinished(run: Path) -> tuple[BackboneDescription, dict[str, Tensor]]:
    step = newest_whole(run, reading=True)
    if step is None:
        raise RunError(f"{run} has no checkpoint to take weights from.")
    checkpoint = load_checkpoint(run, step)
    try:
        description = read_description(JsonValue(checkpoint.get("backbone"), "backbone"))
    except JsonError as error:
        raise RunError(f"{checkpoint_path(run, step)} does not describe its backbone: {error}.") from error
    head = _QUERY_ENCODER + head_name(description.architecture) + "."
    with state_of(run, step):
        weights = {
            name.removeprefix(_QUERY_ENCODER): value
            for name, value in checkpoint["moco"].items()
            if name.startswith(_QUERY_ENCODER) and not name.startswith(head)
        }
    return description, weights


def save_backbone(run: Path, weights: Mapping[str, Tensor], description: BackboneDescription) -> str:
    """Write backbone.safetensors and, last, backbone.json; returns the weights' digest.

    weights: torchvision's names, no head. A torchvision network whose head is an identity loads the file strictly.
    """
    content = safetensors_bytes(weights)
    digest = hashlib.sha256(content).hexdigest()
    with write_atomically(run / BACKBONE_WEIGHTS) as file:
        file.write(content)
    write_json_atomically(run / BACKBONE, replace(description, digest=digest).as_json())
    return digest
