"""Apply BatchNorm so that a query and its key are not normalised with the same images (leakage).

Over a whole batch the statistics are a signature that a query shares with its own key and with no key of the queue, and
the encoders can learn that instead of the image (He et al. 2020, section 3.3). Two ways out:

split: the batch is split into groups, each with statistics of its own, and the keys are grouped otherwise than the
queries: on one device by their order, over several by exchanging images (key_exchange).
ema: the key encoder normalises by its running statistics, which follow the query encoder's by the momentum of the
parameters (EMAN, Cai et al. 2021, arXiv 2101.08482, eq. 4). So a key depends on its own image alone.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SplitBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d that normalises each of `groups` consecutive parts of a training batch by itself.

    Parameters and buffers are those of BatchNorm2d, under the same names. The running mean and variance take one step
    a batch, towards the mean over the groups of their means and of their (unbiased) variances. In evaluation it is
    BatchNorm2d.
    """

    groups: int = 1

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """[N, C, H, W] to the same; in training N is a multiple of the groups, else ValueError."""
        if not self.training or self.groups == 1:
            return super().forward(input)
        if len(input) % self.groups:
            raise ValueError(f"a batch of {len(input)} does not divide into {self.groups} groups")
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        # Each group updates copies of its own: updating one after the other would weigh the last group most.
        means, variances = self.running_mean.repeat(self.groups, 1), self.running_var.repeat(self.groups, 1)
        # chunk, not slices: the gradient of a slice is as large as the whole batch.
        parts = input.chunk(self.groups)
        normalised = [
            F.batch_norm(part, mean, variance, self.weight, self.bias, True, self.momentum, self.eps)
            for part, mean, variance in zip(parts, means, variances, strict=True)
        ]
        with torch.no_grad():
            self.running_mean.copy_(means.mean(dim=0))
            self.running_var.copy_(variances.mean(dim=0))
            self.num_batches_tracked.add_(1)
        return torch.cat(normalised)


def split_batch_norm(network: nn.Module, groups: int) -> nn.Module:
    """Turn every BatchNorm2d of the network into one of so many groups, in place; its state_dict stays as it is."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = SplitBatchNorm2d
            module.groups = groups  # type: ignore[assignment]
    return network


def running_statistics(network: nn.Module) -> list[Tensor]:
    """Collect the running means and variances of a network, in its order; the live ones."""
    return [value for norm in _norms(network) for value in (norm.running_mean, norm.running_var) if value is not None]


@torch.no_grad()
def set_statistics(network: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object]) -> int:
    """Set the running means and variances to the average over these batches, whatever they were; returns how many.

    network: in train mode; its parameters stay as they are. forward: runs it over a batch [N, 3, H, W] as training
    does. The k-th batch counts 1 / k at its time, so that all count the same in the end.
    """
    norms, done = _norms(network), 0
    momenta = [norm.momentum for norm in norms]
    for images in batches:
        done += 1
        for norm in norms:
            norm.momentum = 1 / done
        forward(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.zero_()
    return done


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def default_groups(batch: int) -> int:
    """Choose the number of groups that a batch is split into.

    They are the fewest, so the largest ones, whose transposition is disjoint.

    Groups of m images do if m divides the batch and m * m is not above it. 16: 4 groups of 4; 64: 8 of 8; 24: 6 of 4.
    A prime number of images has no such m but 1, which no statistics can be made of: returns `batch` then.
    """
    return batch // max(size for size in range(1, batch + 1) if batch % size == 0 and size * size <= batch)


def transposed(samples: int, groups: int, device: torch.device | None = None) -> Tensor:
    """Order a batch so that its groups are transposed: place [N] of each image, int64.

    Consecutive groups of the ordered batch take every groups-th image of the batch: of the N / groups images of one of
    its groups, ceil(N / groups^2) at most are together again, which is as few as can be: one, the image itself, where
    N <= groups^2.
    """
    return torch.arange(samples, device=device).view(-1, groups).T.reshape(-1)
