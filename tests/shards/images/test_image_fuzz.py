"""A short run of the fuzz of images, and that it would notice."""

import numpy as np
import pytest

from shards.images.shard_image import Ingested
from tests.shards.images import image_fuzz


def test_damaged_images_give_images_or_named_reasons_in_silence_and_little_memory() -> None:
    found = image_fuzz.fuzz(3000)
    assert found["ended"] == []
    assert found["said"] == ""
    assert found["megabytes"] < image_fuzz.MOST_MEGABYTES
    assert found["counts"]["an image"] > 100
    assert found["counts"]["unreadable image"] > 100


def test_every_whole_image_that_is_damaged_there_is_of_a_kind_of_its_own() -> None:
    wholes = image_fuzz.wholes()
    outcomes = {name: image_fuzz.outcome(content, 320) for name, content in wholes.items()}
    own = {name: outcome for name, outcome in outcomes.items() if not name.startswith("pydicom")}
    assert set(own.values()) == {"an image"}, own
    assert len(own) > 20


def test_an_example_follows_from_its_number() -> None:
    whole = image_fuzz.wholes()["PNG L"]
    same = {image_fuzz.damaged(whole, np.random.default_rng(5)) for _ in range(3)}
    assert len(same) == 1
    assert same != {image_fuzz.damaged(whole, np.random.default_rng(6))}


def test_what_is_neither_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(content: bytes, short_side: int | None, max_pixels: int) -> Ingested:
        return Ingested(content, 7, 7, np.zeros(256, np.int64), 0, "", passed_through=False)

    monkeypatch.setattr(image_fuzz, "ingest_image", wrong)
    with pytest.raises(AssertionError, match="7 x 7"):
        image_fuzz.outcome(b"", 320)
