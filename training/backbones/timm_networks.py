"""Build timm's networks and read their weights, as arms beside this project's own: `--backbone-from timm:NAME`.

timm is an extra (`pip install -e .[timm]`) and is loaded only where a name asks for it. Nothing is downloaded.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from training.backbones.architectures import TIMM
from training.errors import WeightsError

if TYPE_CHECKING:
    from types import ModuleType

HEAD = "head"
"""Name of the last layer of `TimmNetwork`."""


class TimmNetwork(nn.Module):
    """A network of timm that ends in its pooled features, and a head behind it: an identity, or a linear layer."""

    def __init__(self, features: nn.Module) -> None:
        """features: [N, 3, H, W] -> [N, D]."""
        super().__init__()
        self.features = features
        self.head: nn.Module = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] to features [N, D], or to what the head makes of them."""
        found: Tensor = self.head(self.features(images))
        return found


def build_timm_network(architecture: str) -> TimmNetwork:
    """Build the network with random weights, without its head. Raises WeightsError for a name that timm lacks."""
    timm, name = _timm(architecture), _name(architecture)
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:4]) or "none"
        raise WeightsError(f"timm {timm.__version__} has no network {name!r}. Names that are close: {close}.")
    return TimmNetwork(timm.create_model(name, pretrained=False, num_classes=0))


@functools.cache
def timm_feature_dimension(architecture: str) -> int:
    """Length of the network's features: what it gives for one image of its own size."""
    side = timm_input(architecture)[0]
    with torch.inference_mode():
        return int(build_timm_network(architecture).eval()(torch.zeros(1, 3, side, side)).shape[1])


def timm_input(architecture: str) -> tuple[int, tuple[float, float, float], tuple[float, float, float]]:
    """Side in pixels, mean and standard deviation (0..255, a channel) that timm states for the network's weights."""
    config = _config(architecture)
    mean, std = (tuple(float(value) * 255 for value in config[key]) for key in ("mean", "std"))
    return int(config["input_size"][1]), (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def has_fixed_size(architecture: str) -> bool:
    """Tell whether the network takes images of its own size only, as a transformer with learned positions does."""
    return bool(_config(architecture).get("fixed_input_size"))


def cached_weights(architecture: str) -> Path:
    """Find the file of the pretrained weights in timm's caches: the hub's, then torch's.

    Raises WeightsError where it is in neither, with what to do on a machine with network.
    """
    config, name = _config(architecture), _name(architecture)
    url = str(config.get("url") or "")
    found = _in_hub_cache(str(config.get("hf_hub_id") or ""))
    if found is None and url:
        path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
        found = path if path.is_file() else None
    if found is None:
        raise WeightsError(
            f"The weights of {architecture} are not in timm's cache here, and nothing is downloaded. On a machine with "
            f"network, `python -c \"import timm; timm.create_model('{name}', pretrained=True)\"` fetches them; copy "
            "its cache (HF_HOME) here, or name the file by --weights FILE."
        )
    return found


def without_classifier(architecture: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the classifier of a file of timm's, under the names that timm states for it."""
    stated = _config(architecture).get("classifier") or ()
    names = (stated,) if isinstance(stated, str) else tuple(stated)
    return {name: value for name, value in weights.items() if not name.startswith(tuple(f"{one}." for one in names))}


def _in_hub_cache(repository: str) -> Path | None:
    import huggingface_hub  # timm's own cache; comes with it

    for file in ("model.safetensors", "pytorch_model.bin"):
        path = huggingface_hub.try_to_load_from_cache(repository, file) if repository else None
        if isinstance(path, str):
            return Path(path)
    return None


def _config(architecture: str) -> dict[str, Any]:
    """timm's description of the default weights of a network."""
    timm, name = _timm(architecture), _name(architecture)
    if not timm.is_model(name):
        build_timm_network(architecture)  # says which names there are
    config = timm.get_pretrained_cfg(name)
    return dict(config.to_dict()) if config is not None else {}


def _name(architecture: str) -> str:
    return architecture.removeprefix(TIMM)


def _timm(architecture: str) -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise WeightsError(
            f"{architecture} needs timm, which is not installed here: `pip install -e .[timm]`."
        ) from error
    module: ModuleType = timm
    return module
