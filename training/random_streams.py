"""Seeds of the independent streams of random weights of a run."""

import numpy as np

from shards.random_streams import RandomStream

__all__ = ["RandomStream", "stream_seed"]


def stream_seed(seed: int, stream: RandomStream) -> int:
    """Derive the seed of one stream from the seed of the run; below 2^63. Raises ValueError for a stream of epochs."""
    if stream.family != "weights":
        raise ValueError(f"{stream} is not a stream of weights")
    return int(np.random.SeedSequence([seed, stream.number]).generate_state(1, np.uint64)[0] >> 1)
