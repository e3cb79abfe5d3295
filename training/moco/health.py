"""Compute health figures of contrastive training: of each step's logits, and of the encoders at a line of metrics.

A collapsed encoder shows as no spread and an effective rank of 1; see
docs/pretraining.md for what healthy figures look like.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

NEWEST = 1024
"""Keys that the spread is taken of: the newest in the queue, so that it follows the encoder and not the queue."""


def of_logits(logits: Tensor, temperature: float) -> dict[str, Tensor]:
    """Compute the scalars of one step, on its device.

    logits: [N, 1 + K], column 0 is right, -inf where a key is no negative.

    top1, top5: fraction of queries that fewer than 1 and 5 negatives are as near to as their key (a tie counts as
    wrong: encoders that map everything to one point are to show as 0). positive: mean cosine of a query and its key.
    hardest_negative: mean cosine of a query and the negative nearest to it, -1 where it has none.
    """
    positive, negative = logits[:, :1], logits[:, 1:]
    nearer = (negative >= positive).sum(dim=1)
    hardest = (negative.amax(dim=1) * temperature).clamp(min=-1.0)
    return {
        "top1": (nearer < 1).float().mean(),
        "top5": (nearer < 5).float().mean(),
        "positive": (positive * temperature).mean(),
        "hardest_negative": hardest.mean(),
    }


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Compute the Euclidean norm of all gradients together, a scalar on their device."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm: Tensor = torch.stack(torch._foreach_norm(gradients)).norm()
    return norm


@torch.no_grad()
def spread(features: Tensor) -> dict[str, float]:
    """Measure the spread of unit vectors [D, M].

    Returns feature_std, the mean standard deviation of a coordinate, and effective_rank.

    Evenly spread over the sphere they have 1 / sqrt(D) and D, in one point 0 and 1. The effective rank is the
    exponential of the entropy of the eigenvalues of the second moments, as fractions of their sum (Roy and Vetterli
    2007).
    """
    values = features.double()
    shares = torch.linalg.eigvalsh(values @ values.T / values.shape[1]).clamp(min=0)
    shares = shares / shares.sum()
    entropy = -torch.special.xlogy(shares, shares).sum()
    return {
        "feature_std": float(values.std(dim=1, correction=0).mean()),
        "effective_rank": float(entropy.exp()),
    }


@torch.no_grad()
def momentum_distance(slow: Iterable[Tensor], fast: Iterable[Tensor]) -> float:
    """Measure how far the key encoder is behind.

    It is the norm of the difference of all parameters, over that of the fast ones.
    """
    slows, fasts = list(slow), list(fast)
    behind = torch.stack(torch._foreach_norm(torch._foreach_sub(slows, fasts))).norm()
    return float(behind / torch.stack(torch._foreach_norm(fasts)).norm())


FALLEN = 5
"""A rank under the start's over this number is warned of (docs/pretraining.md, "Is it healthy?")."""


class RankWatch:
    """Watch whether the effective rank of the keys has fallen from that of the run's start.

    SGD at 0.03 let it fall from 15 to 1.2 within 300 steps from ImageNet weights: what these had learned was gone.
    State: the rank at the start, which is the largest while the first NEWEST keys come in (fewer keys span less), and
    whether the fall has been told.
    """

    def __init__(self, keys_per_step: int) -> None:
        self._keys_per_step = keys_per_step
        self._start, self._told = 0.0, False

    def see(self, step: int, rank: float) -> float | None:
        """Note the effective rank after a step; steps come in order. Returns the start's rank once it is told of.

        That is the first time that the rank is under a fifth of it; None at any other.
        """
        if not self._start or step * self._keys_per_step <= NEWEST:
            self._start = max(self._start, rank)
        if self._told or not rank < self._start / FALLEN:
            return None
        self._told = True
        return self._start
