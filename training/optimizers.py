"""Build the optimizers of pretraining and fine-tuning: Adam and SGD."""

from collections.abc import Iterable

import torch
from torch import nn

_SGD_MOMENTUM = 0.9  # He et al. 2020, section 4


def build_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    lr: float,
    weight_decay: float,
    *,
    decay_norms: bool = True,
    fused: bool = False,
) -> torch.optim.Optimizer:
    """Adam (the published MoCo-CXR code) or SGD with momentum 0.9 (MoCo); weight decay is added to the gradient.

    decay_norms: also to those of norms and biases, as in both. Without, these are a second group of parameters.
    fused: in one kernel, which torch has for GPUs.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    groups: list[dict[str, list[nn.Parameter] | float]] = [{"params": trained}]
    if not decay_norms:
        groups = [
            {"params": [parameter for parameter in trained if _is_weight(parameter)]},
            {"params": [parameter for parameter in trained if not _is_weight(parameter)], "weight_decay": 0.0},
        ]
    if name == "adam":
        return torch.optim.Adam(groups, lr=lr, betas=(0.9, 0.999), weight_decay=weight_decay, fused=fused)
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=_SGD_MOMENTUM, weight_decay=weight_decay, fused=fused)
    raise ValueError(f"unknown optimizer {name!r}")


def _is_weight(parameter: nn.Parameter) -> bool:
    """Whether this is the weight of a convolution or a linear layer: these alone have two axes longer than one.

    Norms and biases have one, and so have ConvNeXt's layer scales, [C, 1, 1].
    """
    return sum(size > 1 for size in parameter.shape) > 1
