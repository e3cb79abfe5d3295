"""The tone curve of a view: the table that a batch carries, and the draws behind it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shards.errors import SubsetError
from shards.format.dataset import Dataset
from shards.format.subsets import select
from shards.loading.augmentation import ViewRange, tone_tables
from shards.loading.loaders import EvaluationLoader, OneViewLoader, TwoViewBatch
from shards.loading.placement import Partition, Placement
from tests.shards.loading.reference_views import toned
from tests.shards.loading.seen import seen_views
from tests.shards.loading.test_loaders import two_views

LEVELS = np.arange(256.0)
TONED = ViewRange(gain=(0.6, 1.5), offset=(-30, 40), gamma=(0.6, 1.6))
RANGES = (TONED, ViewRange(gain=(0.6, 1.4)), ViewRange(offset=(20, 20)), ViewRange(gamma=(0.5, 2), scale=(1, 1.5)))


def ranges(low: float, high: float) -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(st.floats(low, high), st.floats(low, high)).map(lambda pair: (min(pair), max(pair)))


@given(ranges(0.01, 10), ranges(-255, 255), ranges(0.05, 20), st.booleans(), st.integers(0, 2**32))
def test_a_table_is_gain_and_offset_about_mid_gray_then_clipped_then_gamma(
    gain: tuple[float, float], offset: tuple[float, float], gamma: tuple[float, float], moves: bool, seed: int
) -> None:
    view_range = ViewRange(gain=gain, offset=offset, gamma=gamma, translate=0.1 if moves else 0.0)
    draws = np.random.default_rng(seed).random((5, len(view_range.draw_numbers(0))), dtype=np.float32)
    tables = tone_tables(draws, view_range)
    if tables is None:
        assert (gain, offset, gamma) == ((1, 1), (0, 0), (1, 1))
        return
    assert tables.shape == (5, 256)
    assert tables.dtype == np.float32
    for row, table in zip(draws, tables, strict=True):
        np.testing.assert_allclose(table, toned(LEVELS, row, view_range), atol=1e-3)
        assert table.min() >= 0
        assert table.max() <= 255
        assert (np.diff(table) >= 0).all()


def test_a_range_without_a_tone_curve_has_no_tables_and_neither_has_its_batches(dataset: Dataset) -> None:
    assert tone_tables(np.zeros((2, 5), dtype=np.float32), ViewRange(crop_area=(0.5, 1))) is None
    for batch in two_views(dataset, views=ViewRange(crop_area=(0.5, 1), translate=0.1)):
        assert (batch.query_tones, batch.key_tones) == (None, None)
    rows = select(dataset, "train")
    assert next(iter(EvaluationLoader(dataset, rows, image_size=32, batch_size=4))).tones is None


@pytest.mark.parametrize("view_range", RANGES, ids=str)
def test_a_batch_carries_the_tables_of_its_own_images_draws_and_epoch(dataset: Dataset, view_range: ViewRange) -> None:
    """Also with several graphs, whose batches are prepared ahead."""
    loader = two_views(dataset, views=view_range, placement=Placement(threads=3))
    tables = []
    for epoch in range(2):
        for one in seen_views(dataset, loader, 5, view_range, epoch):
            assert one.tones is not None
            np.testing.assert_allclose(one.tones, toned(LEVELS, one.draws, view_range), atol=1e-3)
            tables.append(one.tones.tobytes())
    assert len(tables) == 2 * 2 * 16
    assert len(set(tables)) == (1 if view_range.offset == (20, 20) else len(tables))


@pytest.mark.parametrize("later", [{"gain": (0.5, 2)}, {"offset": (-40, 0)}, {"gamma": (0.5, 2)}])
@pytest.mark.parametrize("earlier", [{}, {"scale": (0.7, 1.3), "translate": 0.2}, {"crop_area": (0.2, 1)}])
def test_a_tone_curve_leaves_the_pixels_that_a_batch_holds_as_they_were(
    dataset: Dataset, earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    for plain, with_curve in zip(
        two_views(dataset, views=ViewRange(**earlier)),
        two_views(dataset, views=ViewRange(**earlier, **later)),
        strict=True,
    ):
        assert torch.equal(plain.query, with_curve.query)
        assert torch.equal(plain.key, with_curve.key)


def test_the_draws_of_a_curve_are_the_same_whichever_others_there_are(dataset: Dataset) -> None:
    offsets = {(-20.0, 20.0): ViewRange(offset=(-20, 20)), (0.0, 0.0): ViewRange()}
    for (low, high), view_range in offsets.items():
        alone = two_views(dataset, views=view_range)
        together = two_views(
            dataset, views=ViewRange(gain=(1, 1), offset=(low, high), crop_area=(0.5, 1), scale=(1, 2))
        )
        for one, other in zip(tables_of(alone), tables_of(together), strict=True):
            assert (one is None and other is None) or torch.equal(one, other)  # type: ignore[arg-type]


def tables_of(batches: Iterator[TwoViewBatch] | Any) -> Iterator[torch.Tensor | None]:  # noqa: ANN401
    for batch in batches:
        yield batch.query_tones
        yield batch.key_tones


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_have_the_tables_of_their_own_images(dataset: Dataset, world_size: int) -> None:
    whole = list(two_views(dataset, batch_size=6, views=TONED))
    for rank in range(world_size):
        loader = two_views(dataset, batch_size=6, views=TONED, partition=Partition(rank, world_size))
        for found, batch in zip(loader, whole, strict=True):
            for own, expected in ((found.query_tones, batch.query_tones), (found.key_tones, batch.key_tones)):
                assert own is not None
                assert expected is not None
                assert torch.equal(own, expected[rank::world_size])


def test_one_view_of_an_image_has_the_curve_of_the_query_view(dataset: Dataset) -> None:
    queries: dict[int, npt.NDArray[np.float32]] = {}
    for batch in two_views(dataset, batch_size=1, views=TONED):
        assert batch.query_tones is not None
        queries[int(batch.sample_id)] = batch.query_tones[0].numpy()
    rows = select(dataset, "train")
    for one in OneViewLoader(dataset, rows, image_size=32, batch_size=2, seed=5, views=TONED):
        assert one.tones is not None
        for sample_id, table in zip(one.sample_id.tolist(), one.tones.numpy(), strict=True):
            assert np.array_equal(table, queries[sample_id])


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"gain": (1.2, 0.8)}, "gain and gamma go from a number above 0"),
        ({"gamma": (0, 1)}, "gain and gamma go from a number above 0"),
        ({"gamma": (1, float("inf"))}, "gain and gamma go from a number above 0"),
        ({"offset": (10, -10)}, "the offset goes from -255"),
        ({"offset": (0, 256)}, "the offset goes from -255"),
        ({"crop_area": (0, 1)}, "the crop area goes from a fraction above 0"),
        ({"crop_area": (0.5, 1.1)}, "the crop area goes from a fraction above 0"),
        ({"crop_area": (float("nan"), 1)}, "the crop area goes from a fraction above 0"),
    ],
)
def test_a_tone_curve_or_crop_that_is_no_range_is_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SubsetError, match=complaint):
        ViewRange(**wrong)
