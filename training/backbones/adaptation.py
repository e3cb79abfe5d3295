"""Adapt weights that other code wrote: a wrapper around the state_dict, a prefix of all names, a one-channel input.

Each change is logged, since it is a guess about what the file means.
"""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from training.errors import WeightsError

_log = logging.getLogger(__name__)

_WRAPPER = "state_dict"
_PREFIXES = ("module.", "_orig_mod.", "backbone.", "encoder.")
"""Of DataParallel, torch.compile, and what people call the network that a method trains."""
_SHOWN = 4


def unwrapped(content: object, source: str) -> object:
    """The state_dict of a file, also where it is an entry called state_dict beside others."""
    if isinstance(content, Mapping) and isinstance(content.get(_WRAPPER), Mapping):
        _log.warning("%s: its weights are taken from the entry %s", source, _WRAPPER)
        return content[_WRAPPER]
    return content


def adapted(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The weights without a prefix that all of their names share, and with three input channels.

    wanted: the network's state_dict. A first layer of one channel, [O, 1, k, k], is repeated for three and divided by
    them: gray images give the same result. Raises WeightsError for weights that are not finite.
    """
    found = dict(weights)
    while (prefix := _common_prefix(found)) and not found.keys() & wanted.keys():
        _log.warning("%s: the prefix %s of all names is left out", source, prefix)
        found = {name.removeprefix(prefix): value for name, value in found.items()}
    for name, value in found.items():
        target = wanted.get(name)
        if target is not None and _is_gray(value, target):
            _log.warning("%s: %s has one input channel; it is repeated for three", source, name)
            found[name] = value.expand(-1, 3, -1, -1) / 3
    _refuse_not_finite(found, source)
    return found


def _common_prefix(weights: Mapping[str, Tensor]) -> str | None:
    return next((prefix for prefix in _PREFIXES if weights and all(name.startswith(prefix) for name in weights)), None)


def _is_gray(value: Tensor, target: Tensor) -> bool:
    """Whether this is a first layer for gray images, where the network has one for colours."""
    return target.ndim == 4 and target.shape[1] == 3 and value.shape == (target.shape[0], 1, *target.shape[2:])


def _refuse_not_finite(weights: Mapping[str, Tensor], source: str) -> None:
    broken = [name for name, value in weights.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        raise WeightsError(
            f"{source} holds weights that are not finite numbers ({', '.join(broken[:_SHOWN])}{more}): the training "
            "that wrote it has diverged, or the file is damaged. Take an earlier checkpoint, or copy it again."
        )
