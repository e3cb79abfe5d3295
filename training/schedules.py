"""Compute the learning rate as a pure function of the step, so that there is no state to save."""

import math
from collections.abc import Sequence

_STEP_FACTOR = 0.1  # He et al. 2020, section 4, and the published MoCo-CXR code


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
