"""Read files of weights (safetensors and torch's own) without running anything in them, and load them by name.

A network gets those weights, or an error names what does not fit. A file of torch holds checksums of its parts; a
safetensors file holds none, so its SHA-256 is compared with the one that stands beside it, where one does.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from shards.input_files import read_regular, read_watched
from shards.json_value import JsonError, parse_json
from training.backbones.adaptation import adapted, unwrapped
from training.backbones.architectures import ARCHITECTURES, is_timm
from training.backbones.networks import head_name
from training.backbones.torch_files import read_torch_file
from training.errors import WeightsError

# torchvision's own DenseNet files still have the names of its first release (torchvision/models/densenet.py).
_OLD_DENSENET_NAME = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")
_SHOWN = 4

_HEX = re.compile(r"[0-9a-f]{64}")
_RECORDED = {
    "backbone.safetensors": (("backbone.json", "digest"), ("preprocessing.json", "digest")),
    "start.safetensors": (("backbone.json", "start_digest"),),
    "model.safetensors": (("model.json", "digest"), ("config.json", "digest")),
}
"""Of each file of weights that this project writes: the files beside it that record its SHA-256, and by which key."""


def imagenet_path(architecture: str) -> Path:
    """Find where torchvision keeps its official ImageNet file of the architecture, whether it is there or not."""
    url: str = torchvision.models.get_model_weights(architecture).IMAGENET1K_V1.url
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def read_imagenet(architecture: str) -> dict[str, Tensor]:
    """Read torchvision's ImageNet weights from its cache. Nothing is downloaded: compute nodes have no network.

    Raises WeightsError if the file is not there, or its SHA-256 does not begin as its name says.
    """
    path = imagenet_path(architecture)
    if not path.is_file():
        raise WeightsError(
            f"The ImageNet weights of {architecture} are not here: {path} does not exist, and nothing is downloaded. "
            f'On a machine with network, `python -c "import torchvision; '
            f"torchvision.models.{architecture}(weights='IMAGENET1K_V1')\"` fetches torchvision's official file "
            f"{path.name} into its cache; copy it to {path.parent} here, or name it with --init FILE. "
            "TORCH_HOME moves the cache. --init random needs no file."
        )
    expected = path.stem.rsplit("-", 1)[-1]
    found = hashlib.sha256(read_watched(path)).hexdigest()
    if not found.startswith(expected):
        raise WeightsError(
            f"{path} is damaged: its SHA-256 begins with {found[: len(expected)]}, the official "
            f"file's with {expected}. Copy it again."
        )
    return read_weights(path)


def is_official_file(path: Path) -> bool:
    """Whether a file is torchvision's own ImageNet file of some architecture, under whatever name: by its SHA-256."""
    if not path.is_file():
        return False
    found = hashlib.sha256(read_watched(path)).hexdigest()
    return any(found.startswith(imagenet_path(name).stem.rsplit("-", 1)[-1]) for name in ARCHITECTURES)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read names and tensors of a .safetensors file, or of a state_dict that torch.save wrote (weights_only).

    Raises WeightsError if the file is missing, damaged, or holds something else than named tensors.
    """
    if not path.is_file():
        raise WeightsError(f"There is no file of weights at {path}.")
    if path.suffix == ".safetensors":
        try:
            # Not mapped into memory: a page that does not come would keep the whole program, its watch too.
            return safetensors.torch.load(read_watched(path))
        except (OSError, KeyError, RuntimeError, ValueError, safetensors.SafetensorError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise WeightsError(f"{path} cannot be read as weights: {reason}") from error
    content = unwrapped(read_torch_file(path), str(path))
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise WeightsError(
            f"{path} is not a state_dict (names and tensors). Save the network's state_dict() alone, with "
            "torchvision's names, and give that file."
        )
    return dict(content)


def read_weights_given(path: Path) -> dict[str, Tensor]:
    """Read a file of weights that a person names. Raises WeightsError too where it is not the file that one beside it,
    which this project wrote with it, records.
    """
    weights = read_weights(path)
    for name, key in _RECORDED.get(path.name, ()):
        recorded = _recorded_digest(path.with_name(name), key)
        if recorded is None or recorded == hashlib.sha256(read_watched(path)).hexdigest():
            continue
        if weights_digest(weights) != recorded:
            raise WeightsError(
                f"{path} does not hold the weights that {name} beside it records: its SHA-256 is another. Copy both "
                "again, or copy the weights alone to another folder if they are meant to be others."
            )
    return weights


def _recorded_digest(path: Path, key: str) -> str | None:
    """The SHA-256 that a file records by a key; None where it is not there, or is another program's."""
    if not path.is_file():
        return None
    try:
        content = parse_json(read_regular(path))
    except (OSError, JsonError) as error:
        raise WeightsError(
            f"{path}, which records the digest of the weights beside it, is {error}. Copy it again."
        ) from (error)
    found = content.find(key)
    return found.value if found is not None and isinstance(found.value, str) and _HEX.fullmatch(found.value) else None


def fill(network: nn.Module, architecture: str, weights: Mapping[str, Tensor], source: str) -> None:
    """Load the weights into a network that ends in its features; a head among them is left out.

    Raises WeightsError with the names that are missing, left over or of another shape. `source` says where they
    came from.
    """
    head = head_name(architecture) + "."
    given = adapted(weights, network.state_dict(), source)
    fill_encoder(
        network, architecture, {name: value for name, value in given.items() if not name.startswith(head)}, source
    )


def adapted_weights(
    network: nn.Module, architecture: str, weights: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """Adapt weights to a network (`adaptation`) and hold them to its names and shapes, as `fill` does."""
    return _checked(network, architecture, adapted(weights, network.state_dict(), source), source)


def fill_encoder(network: nn.Module, architecture: str, weights: Mapping[str, Tensor], source: str) -> None:
    """Load the weights into a network with a head of its own, which the weights must hold too."""
    network.load_state_dict(_checked(network, architecture, weights, source))


def _checked(network: nn.Module, architecture: str, weights: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Hold weights to a network: WeightsError has the names that are missing, left over or of another shape."""
    given = {_OLD_DENSENET_NAME.sub(r"\1\2", name): value for name, value in weights.items()}
    wanted = network.state_dict()
    for name, value in wanted.items():
        # Files older than torch 0.4 do not count batches; nothing here depends on the count.
        if name.endswith(".num_batches_tracked"):
            given.setdefault(name, torch.zeros_like(value))
    complaints = [
        _complaint("missing", [name for name in wanted if name not in given]),
        _complaint("left over", [name for name in given if name not in wanted]),
        _complaint(
            "of another shape",
            [
                f"{name} {tuple(value.shape)}, not {tuple(wanted[name].shape)}"
                for name, value in given.items()
                if name in wanted and value.shape != wanted[name].shape
            ],
        ),
    ]
    if any(complaints):
        raise WeightsError(
            f"{source} does not hold the weights of a {_of_library(architecture)}: "
            f"{'; '.join(filter(None, complaints))}. Name the architecture that they were made for, "
            f"or save them under {'timm' if is_timm(architecture) else 'torchvision'}'s names."
        )
    return given


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of the weights' safetensors bytes: the same for the same weights from any source."""
    return hashlib.sha256(safetensors_bytes(weights)).hexdigest()


def safetensors_bytes(weights: Mapping[str, Tensor]) -> bytes:
    """Serialise the weights as one safetensors file, the same bytes for the same weights."""
    return safetensors.torch.save({name: value.cpu().contiguous() for name, value in weights.items()}, {"format": "pt"})


def _of_library(architecture: str) -> str:
    """The network's name with its library's: `torchvision resnet18`, `timm vit_tiny_patch16_224`."""
    return architecture.replace(":", " ", 1) if is_timm(architecture) else f"torchvision {architecture}"


def _complaint(what: str, names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what}: {', '.join(names[:_SHOWN])}{more}" if names else ""
