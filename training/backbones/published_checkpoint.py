"""Read checkpoints of the published MoCo-CXR code, without running anything in them.

A file that its main_moco.py wrote with torch.save becomes encoders, queue and optimizer under this project's names, or
an error that names what is missing or left over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from training.backbones.architectures import ARCHITECTURES
from training.backbones.networks import backbone_weights, build_backbone, head_name
from training.backbones.torch_files import MoreThanWeightsError, read_torch_file
from training.backbones.weight_files import fill
from training.errors import WeightsError

IMAGE_SIZE = 320  # main_moco.py: --img-size and --crop
MEAN, STD = 0.5020 * 255, 0.085585 * 255  # aihc_utils/image_transform.py: CXR_MEAN, CXR_STD, all channels alike

_QUERY, _KEY, _QUEUE, _POINTER = "encoder_q.", "encoder_k.", "queue", "queue_ptr"  # moco/builder.py
_LINEAR = frozenset({"weight", "bias"})
_MLP = frozenset({"0.weight", "0.bias", "2.weight", "2.bias"})
_SHOWN = 4


OptimizerSetting = bool | float | tuple[float, ...] | list[float] | None
"""Value of a group of parameters, such as lr or betas, in the state of an optimizer of torch."""


@dataclass(frozen=True)
class PublishedOptimizer:
    """State of torch's optimizer. moments: by number of the parameter. groups: the settings of each group."""

    moments: Mapping[int, Mapping[str, Tensor | float]]
    groups: tuple[Mapping[str, OptimizerSetting], ...]


@dataclass(frozen=True)
class Published:
    """A published checkpoint. query, key: torchvision's names with the head's, not yet checked for the architecture.

    mlp: whether the head has two layers (MoCo v2) or one (v1). queue: [D, K] or None, pointer: its next column.
    epoch: number of finished epochs. optimizer: None where the file has none.
    """

    path: Path
    architecture: str
    epoch: int
    mlp: bool
    query: Mapping[str, Tensor]
    key: Mapping[str, Tensor]
    queue: Tensor | None
    pointer: int
    optimizer: PublishedOptimizer | None


def read_published(path: Path) -> Published:
    """Read a file of main_moco.py: {"epoch", "arch", "state_dict", "optimizer"}.

    Raises WeightsError if it is missing or damaged, holds objects other than tensors and plain values, is of another
    architecture, or has names that main_moco.py does not write.
    """
    content = _load(path)
    state, architecture, epoch = content.get("state_dict"), content.get("arch"), content.get("epoch")
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(
            f"{path} is not a checkpoint of the published MoCo-CXR code: it has no state_dict of tensors, only "
            f"{_listed(sorted(str(key)[:60] for key in content))}. A plain state_dict under torchvision's names needs "
            "no import: give it to --init or --backbone-from."
        )
    if architecture not in ARCHITECTURES:
        raise WeightsError(
            f"{path} is of the architecture {architecture!r}; this project has {' and '.join(ARCHITECTURES)}."
        )
    if type(epoch) is not int or epoch < 0:
        raise WeightsError(f"{path}: its epoch is {epoch!r}, not a number of finished epochs.")
    named = {str(name).removeprefix("module."): value for name, value in state.items()}
    query, key = _part(named, _QUERY), _part(named, _KEY)
    known = {_QUEUE, _POINTER}
    surplus = [name for name in named if name not in known and not name.startswith((_QUERY, _KEY))]
    if surplus or not query:
        what = f"left over: {_listed(surplus)}" if surplus else f"missing: every module.{_QUERY}*"
        raise WeightsError(
            f"{path} does not hold what the published code writes: {what}. It should hold module.{_QUERY}*, "
            f"module.{_KEY}*, module.{_QUEUE} and module.{_POINTER}, and nothing else."
        )
    return Published(
        path=path,
        architecture=architecture,
        epoch=epoch,
        mlp=_has_mlp(path, query, architecture),
        query=query,
        key=key,
        queue=named.get(_QUEUE),
        pointer=_pointer(path, named.get(_POINTER)),
        optimizer=_optimizer(content.get("optimizer")),
    )


def published_backbone(published: Published) -> dict[str, Tensor]:
    """Extract the query encoder without its head, under torchvision's present names.

    Raises WeightsError with the names that are missing, left over or of another shape.
    """
    network = build_backbone(published.architecture, seed=0)
    fill(network, published.architecture, published.query, f"{published.path} (module.encoder_q)")
    return backbone_weights(network, published.architecture)


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise WeightsError(f"There is no checkpoint at {path}.")
    try:
        content = read_torch_file(path, "a checkpoint")
    except MoreThanWeightsError as error:
        raise WeightsError(
            f"{path} holds more than tensors and plain values ({error.what}), such as an argparse.Namespace or a "
            "number of numpy's. Reading that may run code, so it is not read. If you trust its authors, write the rest "
            "to a new file, once, on a machine without anything of value, with the torch that it was made with: "
            "python -c \"import torch; c = torch.load('IN', map_location='cpu', weights_only=False); torch.save("
            "{k: c[k] for k in ('epoch', 'arch', 'state_dict', 'optimizer')}, 'OUT')\""
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} is not a checkpoint of the published MoCo-CXR code: it holds a {type(content)}.")
    return content


def _optimizer(state: object) -> PublishedOptimizer | None:
    """The state_dict of an optimizer; None for anything that torch does not write."""
    if not isinstance(state, Mapping):
        return None
    moments, groups = state.get("state"), state.get("param_groups")
    if not isinstance(moments, Mapping) or not isinstance(groups, list) or not groups:
        return None
    if not all(isinstance(part, Mapping) for part in (*moments.values(), *groups)):
        return None
    return PublishedOptimizer(moments, tuple(groups))


def _pointer(path: Path, value: Tensor | None) -> int:
    """The queue's next column; 0 where it is not recorded."""
    if value is None or not value.numel():
        return 0
    if value.is_floating_point() or value.is_complex():
        raise WeightsError(f"{path}: module.{_POINTER} holds no whole number.")
    return int(value.reshape(-1)[0])


def _part(named: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}


def _has_mlp(path: Path, encoder: Mapping[str, Tensor], architecture: str) -> bool:
    head = head_name(architecture) + "."
    found = {name.removeprefix(head) for name in encoder if name.startswith(head)}
    expected = _LINEAR if found & _LINEAR else _MLP
    if found != expected:
        wrong = {"missing": sorted(expected - found), "left over": sorted(found - expected)}
        names = "; ".join(
            f"{what}: {_listed([_QUERY + head + name for name in which])}" for what, which in wrong.items() if which
        )
        raise WeightsError(
            f"{path} does not hold the head of the published code's {architecture}, one linear layer or two: {names}."
        )
    return found == _MLP


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
