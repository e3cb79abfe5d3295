"""MoCo's queue: the newest K keys, the oldest of which each batch replaces (He et al. 2020, section 3.2).

Flows in: keys of unit length. Flows out: the negatives of the next batch. Knows no network.
"""

import torch
from torch import Tensor, nn


class QueueOfKeys(nn.Module):
    """`keys` [D, K] float32, unit columns; `pointer` int64 [], the column that the next key replaces.

    Both are buffers: part of the checkpoint, no gradient. Before it has been filled once the queue holds random unit
    vectors, as in the reference implementation: nearly orthogonal to any key in D dimensions, so easy negatives, for
    K / batch steps. Masking them instead would make the loss of the first steps one over a handful of classes.
    """

    keys: Tensor
    pointer: Tensor

    def __init__(self, dimension: int, size: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        random = torch.randn(dimension, size, generator=generator)
        self.register_buffer("keys", nn.functional.normalize(random, dim=0))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Replace the oldest keys by these, in order; wraps at any batch and queue size, never waits for the device.

        keys: [N, D], unit length. Of a batch longer than the queue only the last K remain.
        """
        size, count = self.keys.shape[1], keys.shape[0]
        # A column must not occur twice in one index_copy_: which of its keys would win is undefined.
        skipped = max(0, count - size)
        columns = (self.pointer + torch.arange(skipped, count, device=keys.device)) % size
        self.keys.index_copy_(1, columns, keys[skipped:].T.to(self.keys.dtype))
        self.pointer.add_(count).remainder_(size)
