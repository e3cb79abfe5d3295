"""Turn logits into probabilities without losing their order where the sigmoid saturates."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

_TINY = 1e-300
"""Below it steps are made upwards, away from 0."""


def probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sigmoid of the logits, [N, L], in float64; scores that differ stay different, in their order.

    From a logit of about 37 on the sigmoid rounds to 1, and a rank metric would see ties that the model did not make.
    Such values are moved apart by the smallest steps that float64 has there, 1e-16 each.
    """
    values: NDArray[np.float64] = expit(logits.astype(np.float64))
    for column in range(values.shape[1]):
        _separate(values[:, column], logits[:, column])
    return values


def _separate(values: NDArray[np.float64], logits: NDArray[np.floating]) -> None:
    """Make values strictly increase wherever the logits do, in place: downwards from 1, and upwards from 0."""
    distinct, group = np.unique(logits, return_inverse=True)
    levels = expit(distinct.astype(np.float64))
    if not (np.diff(levels) <= 0).any():
        return
    for place in range(len(levels) - 2, -1, -1):
        if levels[place] >= levels[place + 1] > _TINY:
            levels[place] = np.nextafter(levels[place + 1], 0)
    for place in range(1, len(levels)):
        if levels[place] <= levels[place - 1]:
            levels[place] = np.nextafter(levels[place - 1], 1)
    values[:] = levels[group]
