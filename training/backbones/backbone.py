"""Make the backbone that training starts from: random weights, ImageNet's or a file's, with its provenance."""

import contextlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor, nn

from shards.input_files import read_watched
from shards.json_value import JsonError, parse_json
from training.backbones.description import BackboneDescription, GrayLevels
from training.backbones.networks import Preprocessing, build_backbone, images_to_input
from training.backbones.weight_files import fill, is_official_file, read_imagenet, read_weights_given
from training.errors import WeightsError
from training.provenance import Provenance, read_provenance
from training.seen_patients import PATIENTS, Seen, WithSeen, declared_seen, read_seen

DEFAULT_ARCHITECTURE, DEFAULT_IMAGE_SIZE = "resnet18", 320
PREPROCESSING = "preprocessing.json"
"""Name of an exported backbone's description, beside its weights."""


@dataclass(frozen=True)
class Backbone(WithSeen):
    """A network that ends in its features, with its preprocessing and provenance.

    network: [N, 3, H, W] -> [N, D], on the CPU, in train mode. image_size: the side, in pixels, it was trained at.
    mean, std: 0..255, with which its input is normalised, for any dataset. initial: moco, random, imagenet, timm
    or file. provenance: as in backbone.json. digest: SHA-256 of the weights as safetensors. seen: what the weights have
    seen. run_seen: for the start of a run, what the run itself has seen; nothing otherwise.
    """

    network: nn.Module
    architecture: str
    image_size: int
    mean: GrayLevels
    std: GrayLevels
    initial: str
    provenance: Provenance
    digest: str
    seen: Seen
    run_seen: Seen = field(default_factory=Seen)

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
    weights = read_imagenet(architecture) if init == "imagenet" else read_weights_given(Path(init))
    fill(network, architecture, weights, "torchvision's ImageNet file" if init == "imagenet" else init)
    return network


def init_name(init: str) -> str:
    """Name the initial weights for provenance: random, imagenet, or the file's name without its folder."""
    return init if init in ("random", "imagenet") else Path(init).name


def initial_seen(init: str, declaration: str | None = None) -> Seen:
    """Find what initial weights have seen: nothing (random, torchvision's ImageNet weights), or what a file says.

    A file has its record beside it; one that stands alone is unknown, unless it is torchvision's own, by its digest.
    declaration: of --seen-patients. Raises WeightsError for a declaration that cannot be read.
    """
    if init in ("random", "imagenet"):
        seen = Seen()
    elif (Path(init).parent / PATIENTS).is_file():
        seen = read_seen(Path(init).parent, provenance=_provenance_beside(Path(init)))
    elif is_official_file(Path(init)):
        seen = Seen()
    else:
        reason = f"the file of weights {init} stands alone, and no {PATIENTS} beside it says what they have seen"
        seen = Seen(unknown=(reason,), images_unknown=True)
    return with_declared(seen, declaration)


def with_declared(seen: Seen, declaration: str | None) -> Seen:
    """Add what a person declares by --seen-patients, which settles what was unknown. Raises WeightsError."""
    if declaration is None:
        return seen
    try:
        said = declared_seen(declaration)
    except ValueError as error:
        raise WeightsError(f"--seen-patients: {error}") from error
    return replace(seen, unknown=(), images_unknown=seen.images_unknown and bool(len(seen.patients))) + said


def _provenance_beside(file: Path) -> Provenance:
    """Provenance of the run or export that a file of weights belongs to; empty where there is none."""
    for name in ("backbone.json", PREPROCESSING):
        with contextlib.suppress(OSError, JsonError):
            return read_provenance(parse_json(read_watched(file.parent / name)).at("provenance"))
    return {}


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
