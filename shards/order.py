"""The order of an epoch: a permutation that is a pure function of (samples, seed, epoch).

Blocks of neighbouring samples are permuted over the whole split, then samples are permuted within windows of many
blocks: mixed over everything, while a window's reads are runs of neighbours that a file system can fetch ahead.
"""

import numpy as np
import numpy.typing as npt

from shards.mixing import hash64

BLOCK = 16
"""Neighbouring samples that are read together: about 300 KB at 320 pixels."""
WINDOW = 512 * BLOCK
"""Samples that are mixed with each other: about 160 MB at 320 pixels, all of them read ahead."""

_BLOCKS, _SAMPLES, _PHASE = 1, 2, 3  # what a hash is for


def epoch_order(samples: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Places (0..samples-1, in storage order) in the order in which epoch `epoch` visits them. int64 [samples]."""
    places = np.arange(samples, dtype=np.uint64)
    # The first block is cut short by a phase that differs between epochs: neighbours do not always travel together.
    phase = int(hash64(_PHASE, seed, epoch)[0] % np.uint64(BLOCK))
    block = (places + np.uint64(phase)) // np.uint64(BLOCK)
    by_block = np.argsort(hash64(_BLOCKS, seed, epoch, block), kind="stable")
    window = np.arange(samples) // WINDOW
    within = np.lexsort((hash64(_SAMPLES, seed, epoch, places[by_block]), window))
    return by_block[within].astype(np.int64)
