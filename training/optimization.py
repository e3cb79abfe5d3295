"""Optimizers and learning rates of pretraining. A learning rate is a pure function of the step: nothing to save."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

_SGD_MOMENTUM = 0.9  # He et al. 2020, section 4
_STEP_FACTOR = 0.1  # He et al. 2020, section 4, and the published MoCo-CXR code


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
    groups: list[dict[str, Any]] = [{"params": trained}]
    if not decay_norms:  # weights of convolutions and linear layers have two axes or more, all others have one
        groups = [
            {"params": [parameter for parameter in trained if parameter.ndim > 1]},
            {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
        ]
    if name == "adam":
        return torch.optim.Adam(groups, lr=lr, betas=(0.9, 0.999), weight_decay=weight_decay, fused=fused)
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=_SGD_MOMENTUM, weight_decay=weight_decay, fused=fused)
    raise ValueError(f"unknown optimizer {name!r}")


def learning_rate(
    step: int,
    *,
    schedule: str,
    lr: float,
    milestones: Sequence[int],
    epochs: int,
    steps_per_epoch: int,
    warmup_epochs: int = 0,
) -> float:
    """Learning rate of step 0, 1, ...

    step: a tenth at each of the `milestones`, in epochs from the start, whatever the number of epochs (as the
    published code does). cosine: from lr at step 0 to 0 behind the last step (Chen et al. 2020). constant: lr.
    warmup_epochs: the rate rises in equal parts, W steps long from lr / W to lr, before the others apply (Goyal et al.
    2017, section 2.2): a cosine then begins at step W and ends where it would; milestones stay where they are.
    """
    warmup = warmup_epochs * steps_per_epoch
    if step < warmup:
        lr *= (step + 1) / warmup
    if schedule == "step":
        return lr * _STEP_FACTOR ** sum(step // steps_per_epoch >= milestone for milestone in milestones)
    if schedule == "cosine":
        if step < warmup:
            return lr
        return lr * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / (epochs * steps_per_epoch - warmup)))
    if schedule == "constant":
        return lr
    raise ValueError(f"unknown schedule {schedule!r}")
