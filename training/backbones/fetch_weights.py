"""Fetch torchvision's official ImageNet weights into its cache, checked, for nodes without a network."""

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

import torchvision

from shards.durable import write_atomically
from training.backbones.weight_files import imagenet_path
from training.errors import WeightsError

_PIECE = 2**20


def fetch_imagenet(architecture: str) -> Path | None:
    """Download the file of an architecture; None where it is there already. Returns its path.

    Raises WeightsError where it cannot be had, or what came is not the official file.
    """
    path = imagenet_path(architecture)
    if path.is_file():
        return None
    url: str = torchvision.models.get_model_weights(architecture).IMAGENET1K_V1.url
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, write_atomically(path) as file:
            while piece := answer.read(_PIECE):
                digest.update(piece)
                file.write(piece)
            _check(path, digest.hexdigest())
    except (urllib.error.URLError, OSError) as error:
        raise WeightsError(
            f"{url} cannot be fetched: {error}. Run this command where there is network, with TORCH_HOME in a folder "
            "that the nodes see, or copy the file there by hand."
        ) from error
    return path


def _check(path: Path, digest: str) -> None:
    expected = path.stem.rsplit("-", 1)[-1]
    if not digest.startswith(expected):
        raise WeightsError(
            f"what came for {path.name} is not the official file: its SHA-256 begins with {digest[: len(expected)]}. "
            "Run the command again."
        )
