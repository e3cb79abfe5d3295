"""The table of random streams: no number twice, and none that changes its purpose."""

import hashlib

from shards.loading.epoch_order import epoch_order
from shards.loading.random_draws import streams
from shards.random_streams import RandomStream


def test_no_number_occurs_twice_in_its_family() -> None:
    assert len({(stream.family, stream.number) for stream in RandomStream.__members__.values()}) == len(
        RandomStream.__members__
    )


def test_a_purpose_keeps_the_number_that_earlier_releases_gave_it() -> None:
    assert {name: stream.value for name, stream in RandomStream.__members__.items()} == {
        "EPOCH_BLOCKS": ("epoch", 1),
        "EPOCH_SAMPLES": ("epoch", 2),
        "EPOCH_PHASE": ("epoch", 3),
        "VIEWS": ("epoch", 4),
        "EPOCH_DEALER": ("epoch", 5),
        "PARTNERS": ("epoch", 6),
        "PROJECTION_HEAD": ("weights", 1),
        "QUEUE": ("weights", 2),
        "CLASSIFIER": ("weights", 101),
    }


def test_order_and_views_are_those_of_earlier_releases() -> None:
    """Figures written down before the numbers stood in one table."""
    order = [9, 4, 11, 15, 14, 5, 17, 12, 6, 1, 10, 16, 18, 13, 8, 0, 19, 7, 3, 2]
    assert epoch_order(20, seed=7, epoch=3).tolist() == order
    several_windows = epoch_order(20_000, seed=7, epoch=3)
    assert hashlib.sha256(several_windows.tobytes()).hexdigest()[:16] == "b00fb7729c065dd6"
    assert streams(7, 3, [0, 1]).tolist() == [2733887060, 2224605525]
