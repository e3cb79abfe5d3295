"""Seeds of the independent streams of random numbers of a run."""

from training.random_streams import RandomStream, stream_seed


def test_streams_of_a_seed_differ_from_each_other_and_from_those_of_the_next_seed() -> None:
    seeds = {stream_seed(seed, stream) for seed in range(5) for stream in RandomStream}
    assert len(seeds) == 5 * len(RandomStream)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_purpose_keeps_the_numbers_that_earlier_releases_gave_it() -> None:
    assert {stream.name: stream.value for stream in RandomStream} == {
        "PROJECTION_HEAD": 1,
        "QUEUE": 2,
        "CLASSIFIER": 101,
    }
    assert stream_seed(0, RandomStream.PROJECTION_HEAD) == 2918264622725855778
