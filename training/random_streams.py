"""Independent streams of random numbers of a run: one number for each purpose, in one table.

Those of the order of an epoch and of its views are hashes of their own, in `shards.loading`.
"""

import enum

import numpy as np


@enum.unique
class RandomStream(enum.IntEnum):
    """What a stream is used for. A number never changes its purpose: a seed would give other weights."""

    PROJECTION_HEAD = 1
    QUEUE = 2
    CLASSIFIER = 101


def stream_seed(seed: int, stream: RandomStream) -> int:
    """Derive the seed of one stream from the seed of the run; below 2^63."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0] >> 1)
