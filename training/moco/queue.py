"""MoCo's queue: the newest K keys, the oldest of which each batch replaces (He et al. 2020, section 3.2).

The keys have unit length and are the negatives of the next batch; the sample of each key is kept beside it.
"""

import torch
from torch import Tensor, nn

NO_SAMPLE = -1
"""Sample id of a random key that belongs to no image; a sample_id is never negative."""


class QueueOfKeys(nn.Module):
    """`keys` [D, K] float32, unit columns; `sample_ids` int64 [K], whose image each key is of (or study, or patient: of
    what the mask is about); `pointer` int64 [], the column that the next key replaces.

    All three are buffers: part of the checkpoint, no gradient. Before it has been filled once the queue holds random
    unit vectors under NO_SAMPLE, as in the reference implementation: nearly orthogonal to any key in D dimensions, so
    easy negatives, for K / batch steps. Masking them instead would make the loss of the first steps one over a handful
    of classes, all of them of the newest batches, and the loss would rise as the queue fills.
    """

    keys: Tensor
    sample_ids: Tensor
    pointer: Tensor

    def __init__(self, dimension: int, size: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        random = torch.randn(dimension, size, generator=generator)
        self.register_buffer("keys", nn.functional.normalize(random, dim=0))
        self.register_buffer("sample_ids", torch.full((size,), NO_SAMPLE))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, keys: Tensor, sample_ids: Tensor) -> None:
        """Replace the oldest keys by these, in order; wraps at any batch and queue size, never waits for the device.

        keys: [N, D], unit length. sample_ids: int64 [N]. Of a batch longer than the queue only the last K remain.
        """
        size, count = self.keys.shape[1], keys.shape[0]
        # A column must not occur twice in one index_copy_: which of its keys would win is undefined.
        skipped = max(0, count - size)
        columns = (self.pointer + torch.arange(skipped, count, device=keys.device)) % size
        self.keys.index_copy_(1, columns, keys[skipped:].T.to(self.keys.dtype))
        self.sample_ids.index_copy_(0, columns, sample_ids[skipped:])
        self.pointer.add_(count).remainder_(size)

    def of_same_image(self, sample_ids: Tensor) -> Tensor:
        """Mark the keys that are earlier ones of the queries' own images.

        sample_ids: int64 [N]. Returns bool [N, K].
        """
        return sample_ids[:, None] == self.sample_ids

    def newest(self, count: int) -> Tensor:
        """Return the last keys that were enqueued, at most `count`: [D, M]. Waits for the device."""
        size = self.keys.shape[1]
        filled = int((self.sample_ids != NO_SAMPLE).sum())
        columns = (self.pointer - 1 - torch.arange(min(count, filled), device=self.keys.device)) % size
        return self.keys[:, columns]
