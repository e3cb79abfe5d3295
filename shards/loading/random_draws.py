"""Make the random draws behind a view: uniform numbers that are a pure function of (seed, epoch, sample_id, draw).

So neither batch size nor order nor the number of ranks changes what a sample looks like.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shards.loading.hashes import hash64, mix32
from shards.random_streams import RandomStream


def streams(seed: int, epoch: int, numbers: Sequence[int]) -> npt.NDArray[np.uint32]:
    """Compute one constant for each draw of an epoch, uint32 [D]: what tells an epoch's draws from another's.

    numbers: of the draws. A draw is the same whichever others are made with it.
    """
    return (hash64(RandomStream.VIEWS.number, seed, epoch, np.array(numbers, dtype=np.uint64)) >> np.uint64(32)).astype(
        np.uint32
    )


def id_words(sample_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Sample ids as (low, high) words, int64 [N] -> uint32 [N, 2]."""
    return sample_ids.astype("<i8").reshape(-1, 1).view("<u4")


def uniform(words: npt.NDArray[np.uint32], stream: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """Draws in [0, 1) with 24 random bits. words: uint32 [N, 2], stream: uint32 [D]; float32 [N, D]."""
    with np.errstate(over="ignore"):
        mixed = mix32(mix32(stream ^ words[:, :1]) + words[:, 1:])
    return (mixed >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
