"""Compute the order of an epoch: a permutation that is a pure function of (samples, seed, epoch).

Blocks of neighbouring samples are dealt to windows like cards, then samples are permuted within each window: mixed
over the whole split, while a window's reads are runs of neighbours that a file system can fetch ahead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shards.errors import SubsetError
from shards.loading.hashes import hash64
from shards.random_streams import RandomStream

BLOCK = 16
"""Neighbouring samples that are read together: about 300 KB at 320 pixels."""
WINDOW = 512 * BLOCK
"""Samples, at most about, that are mixed with each other: 160 MB at 320 pixels, all of them read ahead."""

_BLOCKS, _SAMPLES = RandomStream.EPOCH_BLOCKS.number, RandomStream.EPOCH_SAMPLES.number
_PHASE, _DEALER = RandomStream.EPOCH_PHASE.number, RandomStream.EPOCH_DEALER.number

Places = npt.NDArray[np.int64]


def epoch_order(samples: int, seed: int, epoch: int) -> Places:
    """Places (0..samples-1, in storage order) in the order in which epoch `epoch` visits them. int64 [samples]."""
    return np.concatenate(epoch_windows(samples, seed, epoch))


def epoch_windows(samples: int, seed: int, epoch: int) -> list[Places]:
    """Return the same order, cut where no sample is mixed with those beyond."""
    places = np.arange(samples, dtype=np.uint64)
    # The first block is cut short by a phase that differs between epochs: neighbours do not always travel together.
    phase = hash64(_PHASE, seed, epoch)[0] % np.uint64(BLOCK)
    block = ((places + phase) // np.uint64(BLOCK)).astype(np.int64)
    window = _window_of_block(int(block[-1]) + 1 if samples else 0, -(-samples // WINDOW) or 1, seed, epoch)[block]
    order = np.lexsort((hash64(_SAMPLES, seed, epoch, places), window)).astype(np.int64)
    return np.split(order, np.cumsum(np.bincount(window, minlength=1))[:-1])


@dataclass(frozen=True)
class BatchPlan:
    """Batches that are to come. batches: places, int64 [M, global batch]. passed: samples of the epoch's order that are
    behind after each, int64 [M]. window: of the order that each ends in, int64 [M]."""

    batches: Places
    passed: npt.NDArray[np.int64]
    window: npt.NDArray[np.int64]


def refuse_batch(batch_size: int, world_size: int, samples: int, names: Sequence[str]) -> None:
    """Raise SubsetError for a global batch that does not divide by the processes, or that the samples do not fill.

    names: of the datasets.
    """
    if batch_size < 1 or batch_size % world_size:
        raise SubsetError(f"batch size {batch_size} does not divide by the {world_size} processes of the run")
    if samples < batch_size:
        raise SubsetError(
            f"{', '.join(names)}: {samples} samples to train on, fewer than a batch of {batch_size}: lower the batch "
            "size"
        )


def plan_batches(
    usable: npt.NDArray[np.bool_], seed: int, epoch: int, *, batch_size: int, passed: int = 0
) -> BatchPlan:
    """Plan the whole batches that are left of an epoch of whose order `passed` samples are behind.

    usable: of each sample in storage order, bool [samples]; the others are stepped over where they stand in the order.
    """
    windows = epoch_windows(len(usable), seed, epoch)
    order = np.concatenate(windows)
    spots = np.flatnonzero(usable[order])
    spots = spots[np.searchsorted(spots, passed) :]
    batches = spots[: len(spots) // batch_size * batch_size].reshape(-1, batch_size)
    ends = np.cumsum([len(window) for window in windows])
    return BatchPlan(order[batches], batches[:, -1] + 1, np.searchsorted(ends, batches[:, -1], side="right"))


def _window_of_block(blocks: int, windows: int, seed: int, epoch: int) -> Places:
    """Deal blocks, int64 [blocks], in hands of as many as there are windows: each gets one of each hand, by chance.

    So a window holds as much of the beginning of the storage as of its end, and place does not follow storage.
    """
    every = np.arange(blocks)
    dealt = np.lexsort((hash64(_BLOCKS, seed, epoch, every.astype(np.uint64)), every // windows))
    first = int(hash64(_DEALER, seed, epoch)[0] % np.uint64(windows))  # the last hand may not reach everyone
    window = np.empty(blocks, dtype=np.int64)
    window[dealt] = (every + first) % windows
    return window
