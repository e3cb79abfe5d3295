"""Seeds of the independent streams of random numbers of a run."""

import pytest

from shards.random_streams import RandomStream
from training.random_streams import stream_seed

OF_WEIGHTS = [stream for stream in RandomStream if stream.family == "weights"]


def test_streams_of_a_seed_differ_from_each_other_and_from_those_of_the_next_seed() -> None:
    seeds = {stream_seed(seed, stream) for seed in range(5) for stream in OF_WEIGHTS}
    assert len(seeds) == 5 * len(OF_WEIGHTS)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_stream_of_the_order_of_epochs_seeds_no_weights() -> None:
    with pytest.raises(ValueError, match="VIEWS"):
        stream_seed(0, RandomStream.VIEWS)


def test_a_purpose_keeps_the_seed_that_earlier_releases_gave_it() -> None:
    assert stream_seed(0, RandomStream.PROJECTION_HEAD) == 2918264622725855778
