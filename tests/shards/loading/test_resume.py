"""A new loader with a saved state gives what the old one would have given, id for id and pixel for pixel."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv

from shards.errors import ResumeError
from shards.format.dataset import Dataset, open_dataset
from shards.format.quarantine import Quarantined
from shards.loading.augmentation import ViewRange
from shards.loading.loaders import TwoViewBatch, TwoViewLoader
from shards.loading.placement import Partition
from shards.loading.positives import Positives
from tests.shards.loading.seen import stored_image
from tests.shards.loading.test_loaders import SIZE, two_views
from tests.shards.small_datasets import write_small_dataset

PER_EPOCH = 4
"""Batches of four from 17 samples."""


_EVERYTHING = ViewRange(
    scale=(1, 1.6), translate=0.1, crop_area=(0.4, 0.9), gain=(0.8, 1.2), offset=(-9, 9), gamma=(0.8, 1.25)
)
WAYS: dict[str, dict[str, Any]] = {
    "one image": {},
    "patient": {"positives": Positives("patient")},
    "study": {"positives": Positives("study", mask="patient"), "views": ViewRange(scale=(0.3, 1.2), gain=(0.8, 1.2))},
    "tone curves": {"views": ViewRange(gain=(0.7, 1.4), offset=(-20, 20), gamma=(0.7, 1.5))},
    "cropped": {"views": ViewRange(crop_area=(0.3, 1))},
    "everything": {
        "positives": Positives("patient"),
        "views": _EVERYTHING,
        "image_size": 24,
    },  # small: views are resized
}
"""Options of the loader that change what a batch holds, each of which keeps all promises."""


def endless(loader: TwoViewLoader) -> Iterator[TwoViewBatch]:
    while True:
        yield from loader


def equal(one: TwoViewBatch, other: TwoViewBatch) -> bool:
    """Whether all tensors of two batches are the same, and the same are missing."""
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(TwoViewBatch)]
    return all(mine is theirs is None or torch.equal(mine, theirs) for mine, theirs in pairs)


@pytest.mark.parametrize(
    ("way", "stop"),
    [
        *(("one image", stop) for stop in range(2 * PER_EPOCH + 2)),
        *product([way for way in WAYS if way != "one image"], (0, 3, 4, 6)),
    ],
)
def test_a_run_stopped_after_any_batch_goes_on_with_the_same_ids_and_pixels(
    dataset: Dataset, way: str, stop: int
) -> None:
    expected = list(itertools.islice(endless(two_views(dataset, **WAYS[way])), 3 * PER_EPOCH))
    stopped = two_views(dataset, **WAYS[way])
    list(itertools.islice(endless(stopped), stop))
    state = json.loads(json.dumps(stopped.state_dict()))
    resumed = two_views(dataset, **WAYS[way])
    resumed.load_state_dict(state)
    found = list(itertools.islice(endless(resumed), 3 * PER_EPOCH - stop))
    assert all(map(equal, found, expected[stop:]))
    assert len(found) == 3 * PER_EPOCH - stop


def test_a_state_counts_what_was_handed_out_not_what_was_read_ahead(dataset: Dataset) -> None:
    loader = two_views(dataset)
    places = [(loader.epoch, loader.samples_consumed)]
    for _ in range(2):
        for _ in loader:
            places.append((loader.epoch, loader.samples_consumed))
        places.append((loader.epoch, loader.samples_consumed))
    assert places == [(0, 0), (0, 4), (0, 8), (0, 12), (0, 16), (1, 0), (1, 4), (1, 8), (1, 12), (1, 16), (2, 0)]


def test_a_loader_in_use_can_be_set_back_and_forth(dataset: Dataset) -> None:
    loader = two_views(dataset)
    first = list(loader)
    start = {**loader.state_dict(), "epoch": 0}
    second = list(loader)
    loader.load_state_dict(start)
    assert all(map(equal, loader, first))
    loader.load_state_dict({**start, "epoch": 1, "samples_consumed": 8, "passed": 8})
    assert all(map(equal, loader, second[2:]))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 4), (2, 3)])
@pytest.mark.parametrize("stop", [1, PER_EPOCH, PER_EPOCH + 3])
def test_another_world_size_goes_on_with_the_same_global_batches(
    dataset: Dataset, way: str, before: int, after: int, stop: int
) -> None:
    options = {"batch_size": 6 if after == 3 else 4, **WAYS[way]}
    expected = list(itertools.islice(endless(two_views(dataset, **options)), stop + 5))[stop:]
    stopped = two_views(dataset, partition=Partition(before - 1, before), **options)
    list(itertools.islice(endless(stopped), stop))
    for rank in range(after):
        resumed = two_views(dataset, partition=Partition(rank, after), **options)
        resumed.load_state_dict(stopped.state_dict())
        for found, whole in zip(itertools.islice(endless(resumed), 5), expected, strict=True):
            tensors = {field.name: getattr(whole, field.name) for field in dataclasses.fields(TwoViewBatch)}
            parts = {name: value[rank::after] for name, value in tensors.items() if value is not None}
            assert equal(found, TwoViewBatch(**parts))


def test_a_state_is_small_and_plain(dataset: Dataset) -> None:
    loader = two_views(dataset)
    next(iter(loader))
    state = loader.state_dict()
    assert json.loads(json.dumps(state)) == state
    assert len(json.dumps(state)) < 10_000


def other_seed(dataset: Dataset, _: Path) -> dict[str, Any]:
    return two_views(dataset, seed=6).state_dict()


def other_bytes(_: Dataset, folder: Path) -> dict[str, Any]:
    other = write_small_dataset(folder / "other", changes={0: {"Edema": -1.0}})
    return two_views(open_dataset(other)).state_dict()


def one_dataset_more(dataset: Dataset, folder: Path) -> dict[str, Any]:
    more = open_dataset(write_small_dataset(folder / "more", name="more"))
    return two_views(dataset, more).state_dict()


def other_format(dataset: Dataset, _: Path) -> dict[str, Any]:
    return {**two_views(dataset).state_dict(), "format": 0}


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (other_seed, "saved seed is 6, here it is 5"),
        (other_bytes, "saved digests"),
        (one_dataset_more, "saved digests .*'more'"),
        (other_format, "saved format is 0, here it is 2"),
    ],
)
def test_what_cannot_be_continued_is_refused_with_both_values(
    dataset: Dataset, tmp_path: Path, make: Callable[[Dataset, Path], dict[str, Any]], complaint: str
) -> None:
    loader = two_views(dataset)
    with pytest.raises(ResumeError, match=complaint):
        loader.load_state_dict(make(dataset, tmp_path))
    assert (loader.epoch, loader.samples_consumed) == (0, 0)


def test_a_state_of_other_batches_views_or_samples_is_refused(dataset: Dataset) -> None:
    saved = two_views(dataset).state_dict()
    for other, complaint in (
        (two_views(dataset, batch_size=2), "saved batch_size is 4, here it is 2"),
        (two_views(dataset, image_size=40), "saved image_size is 32, here it is 40"),
        (two_views(dataset, views=ViewRange(flip=False)), "saved views"),
        (two_views(dataset, split="valid"), "saved samples"),
        (two_views(dataset, positives=Positives("study")), r"saved positives is None, here it is \['study', False\]"),
        *((two_views(dataset, views=ViewRange(**later)), "saved views") for later in LATER),
    ):
        with pytest.raises(ResumeError, match=complaint):
            other.load_state_dict(saved)
    of_study = two_views(dataset, positives=Positives("study")).state_dict()
    with pytest.raises(ResumeError, match=r"saved positives is \['study', False\], here it is None"):
        two_views(dataset).load_state_dict(of_study)
    two_views(dataset, positives=Positives("study", mask="patient")).load_state_dict(of_study)  # changes no view


LATER: tuple[dict[str, Any], ...] = (
    {"gain": (0.9, 1.1)},
    {"offset": (-5, 5)},
    {"gamma": (0.9, 1.1)},
    {"crop_area": (0.5, 1)},
)


def test_a_state_without_the_later_options_is_that_of_earlier_releases(dataset: Dataset) -> None:
    state = two_views(dataset, views=ViewRange(translate=0.1)).state_dict()
    assert state["views"] == [[10.0, True, 1.0, 1.0, 0.1]] * 2
    keys = {"format", "seed", "batch_size", "image_size", "views", "digests", "samples"}
    assert set(state) == keys | {"epoch", "samples_consumed", "passed"}


def test_a_state_of_zoomed_views_of_an_earlier_release_goes_on_with_one_resize_for_all_views(tmp_path: Path) -> None:
    """Their pixels are those of an image that is first shrunk to the size of the view, whatever its zoom."""
    dataset = open_dataset(write_small_dataset(tmp_path / "x", shards={"train-000000": 6}, sizes=[(120, 120)]))
    views = ViewRange(degrees=0, flip=False, scale=(2, 2))
    now = two_views(dataset, batch_size=2, views=views)
    earlier = {key: value for key, value in now.state_dict().items() if key != "antialiased_for"}
    assert len(earlier) == len(now.state_dict()) - 1
    resumed = two_views(dataset, batch_size=2, views=views)
    resumed.load_state_dict(earlier)
    assert resumed.state_dict() == earlier
    before, after = next(iter(resumed)), next(iter(now))
    assert torch.equal(before.sample_id, after.sample_id)
    assert not torch.equal(before.query, after.query)
    shrunk = [tv.resize(stored(dataset, sample_id), [SIZE], antialias=True) for sample_id in before.sample_id.tolist()]
    enlarged = [tv.center_crop(tv.resize(image, [2 * SIZE], antialias=True), [SIZE]) for image in shrunk]
    difference = (before.query.double() - torch.stack(enlarged)).abs()
    assert difference.mean() < 0.5 * (after.query.double() - torch.stack(enlarged)).abs().mean()
    again = two_views(dataset, batch_size=2, views=views)
    again.load_state_dict(earlier)
    again.load_state_dict(two_views(dataset, batch_size=2, views=views).state_dict())
    assert equal(next(iter(again)), after)


def stored(dataset: Dataset, sample_id: int) -> torch.Tensor:
    """The stored pixels, float64 [1, H, W]."""
    return torch.from_numpy(stored_image(dataset, sample_id).astype(np.float64))[None]


def quarantined(dataset: Dataset, sample_ids: Sequence[int]) -> Dataset:
    """The dataset with some samples left out, as one that is opened after `verify --quarantine`."""
    keys = dataset.samples.loc[dataset.samples["sample_id"].isin(sample_ids), "key"]
    return dataclasses.replace(dataset, quarantine={key: Quarantined(key, "train-000000", "damaged") for key in keys})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_run_goes_on_without_what_was_quarantined_and_with_everything_else(
    dataset: Dataset, stop: int, way: str
) -> None:
    options = WAYS[way]
    epoch = ids_in_order(two_views(dataset, batch_size=1))  # 17 ids
    behind, ahead = epoch[0], epoch[15]
    stopped = two_views(dataset, **options)
    list(itertools.islice(stopped, stop))
    resumed = two_views(quarantined(dataset, [behind, ahead]), **options)
    resumed.load_state_dict(stopped.state_dict())
    assert (resumed.samples, resumed.quarantined) == (15, 2)
    rest = [sample_id for sample_id in epoch[4 * stop :] if sample_id not in (behind, ahead)]
    assert ids_in_order(resumed) == rest[: len(rest) // 4 * 4]
    assert resumed.epoch == 1
    following = ids_in_order(two_views(dataset, batch_size=1), epoch=1)
    kept = [sample_id for sample_id in following if sample_id not in (behind, ahead)]
    assert ids_in_order(resumed) == kept[:12]


@pytest.mark.parametrize("way", [way for way in WAYS if "positives" not in WAYS[way]])
def test_quarantined_samples_do_not_change_the_views_of_the_others(dataset: Dataset, way: str) -> None:
    options = WAYS[way]
    everyone = {int(batch.sample_id): batch for batch in two_views(dataset, batch_size=1, **options)}
    fewer = two_views(quarantined(dataset, list(everyone)[:3]), batch_size=1, **options)
    found = {int(batch.sample_id): batch for batch in fewer}
    assert len(found) == 14
    assert all(equal(everyone[sample_id], batch) for sample_id, batch in found.items())


def test_a_quarantined_partner_leaves_the_key_views_that_were_not_of_it(dataset: Dataset) -> None:
    positives = Positives("patient")
    everyone = list(two_views(dataset, batch_size=1, positives=positives))
    keys = {int(batch.sample_id): (key_id(batch), batch.key) for batch in everyone}
    gone = next(partner for sample_id, (partner, _) in keys.items() if partner != sample_id)
    moved = set()
    for batch in two_views(quarantined(dataset, [gone]), batch_size=1, positives=positives):
        sample_id, (partner, key) = int(batch.sample_id), keys[int(batch.sample_id)]
        assert key_id(batch) != gone
        if partner == gone:
            moved.add(sample_id)
        else:
            assert key_id(batch) == partner
            assert torch.equal(batch.key, key)
    assert moved == {sample_id for sample_id, (partner, _) in keys.items() if partner == gone} - {gone}


def key_id(batch: TwoViewBatch) -> int:
    """Sample id of the key view of a batch of one."""
    assert batch.key_sample_id is not None
    return int(batch.key_sample_id)


def ids_in_order(loader: TwoViewLoader, epoch: int | None = None) -> list[int]:
    """Ids of the rest of the epoch, or of another one."""
    if epoch is not None:
        loader.load_state_dict({**loader.state_dict(), "epoch": epoch})
    return [sample_id for batch in loader for sample_id in batch.sample_id.tolist()]
