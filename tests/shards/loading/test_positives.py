"""Partners of key views: which image it is, beside a slow and obvious choice."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shards.errors import SubsetError
from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import planned
from shards.loading.augmentation import ViewRange, view_matrices
from shards.loading.loaders import TwoViewLoader
from shards.loading.placement import Placement
from shards.loading.positives import GROUPS, Group, Partners, Positives, group_ids, is_narrower
from tests.shards.loading.plain_hashes import hash64
from tests.shards.loading.reference_views import warp
from tests.shards.loading.seen import seen_views
from tests.shards.small_datasets import write_small_dataset


def rows_of(patients: list[int], studies: list[int | None], projections: list[str | None]) -> pd.DataFrame:
    """Rows of samples with large ids, in no order."""
    count = len(patients)
    ids = [2**62 + hash64(9, number) % 2**61 for number in range(count)]
    return pd.DataFrame(
        {
            "sample_id": np.array(ids, dtype=np.int64),
            "patient_id": [f"p{number}" for number in patients],
            "study_id": [None if number is None else f"s{number}" for number in studies],
            "projection": projections,
        }
    )


def belong_together(one: pd.Series, other: pd.Series, positives: Positives) -> bool:
    """Whether two different rows of a dataset are of one group, by their cells."""
    if positives.of == "image":
        return False
    columns = ["patient_id", *(["study_id"] if positives.of == "study" else [])]
    columns += ["projection"] if positives.same_projection else []
    return all(pd.notna(one[name]) and one[name] == other[name] for name in columns)


def plain_partner(
    rows: pd.DataFrame, place: int, positives: Positives, usable: np.ndarray, seed: int, epoch: int
) -> int:
    """The partner's place, by looking at every other row."""
    own = rows.iloc[place]
    others = [
        other
        for other in range(len(rows))
        if other != place and usable[other] and belong_together(own, rows.iloc[other], positives)
    ]
    ids = rows["sample_id"].tolist()
    return min(others, key=lambda other: hash64(6, seed, epoch, ids[place], ids[other]), default=place)


samples = st.integers(1, 24).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(0, 3), min_size=count, max_size=count),
        st.lists(st.none() | st.integers(0, 2), min_size=count, max_size=count),
        st.lists(st.sampled_from([None, "frontal", "lateral"]), min_size=count, max_size=count),
        st.lists(st.booleans(), min_size=count, max_size=count),
    )
)


@given(
    drawn=samples,
    of=st.sampled_from(GROUPS),
    same_projection=st.booleans(),
    seed=st.integers(0, 2**32),
    epoch=st.integers(0, 50),
)
def test_a_partner_is_the_first_usable_one_of_its_group_by_the_hash(
    drawn: tuple[list[int], list[int | None], list[str | None], list[bool]],
    of: Group,
    same_projection: bool,
    seed: int,
    epoch: int,
) -> None:
    patients, studies, projections, quarantined = drawn
    rows, usable = rows_of(patients, studies, projections), ~np.array(quarantined)
    positives = Positives(of, same_projection)
    partners = Partners([rows], positives, usable, seed)
    places = np.flatnonzero(usable)[::-1]
    expected = [plain_partner(rows, place, positives, usable, seed, epoch) for place in places]
    assert partners.of(epoch, places).tolist() == expected
    assert partners.found == sum(partner != place for partner, place in zip(expected, places, strict=True))


def test_partners_change_from_epoch_to_epoch_and_every_other_image_has_its_turn() -> None:
    rows = rows_of([0] * 5, [0] * 5, ["frontal"] * 5)
    partners = Partners([rows], Positives("patient"), np.ones(5, dtype=bool), seed=3)
    found = np.stack([partners.of(epoch, np.arange(5)) for epoch in range(200)])
    for place in range(5):
        counts = np.bincount(found[:, place], minlength=5)
        assert counts[place] == 0
        assert (np.delete(counts, place) > 25).all()


def test_a_quarantined_partner_changes_nothing_for_those_who_had_another_one() -> None:
    rows = rows_of([0] * 6, [0] * 6, [None] * 6)
    usable = np.ones(6, dtype=bool)
    before = Partners([rows], Positives("study"), usable, seed=1).of(7, np.arange(6))
    gone = int(before[0])
    usable[gone] = False
    after = Partners([rows], Positives("study"), usable, seed=1).of(7, np.arange(6))
    for place in set(range(6)) - {gone}:
        assert after[place] != gone
        assert before[place] == gone or after[place] == before[place]


@pytest.mark.parametrize("group", GROUPS)
def test_the_id_of_a_group_is_the_smallest_of_its_samples_in_their_own_dataset(
    dataset: Dataset, tmp_path: Path, group: Group
) -> None:
    other = open_dataset(write_small_dataset(tmp_path / "other", name="other"))  # the same patients by name
    subsets = [planned(one, "train") for one in (dataset, other)]
    found = group_ids(subsets, group)
    ids = np.concatenate([rows["sample_id"].to_numpy() for rows in subsets])
    start = 0
    for rows in subsets:
        for place in range(len(rows)):
            own = rows.iloc[place]
            together = [
                int(one["sample_id"])
                for _, one in rows.iterrows()
                if one["sample_id"] == own["sample_id"] or belong_together(own, one, Positives(group))
            ]
            assert found[start + place] == min(together)
        start += len(rows)
    assert len(np.unique(found)) == len(ids) if group == "image" else len(np.unique(found)) < len(ids)


def test_groups_are_ordered_from_the_narrowest_to_the_widest() -> None:
    assert [[is_narrower(one, other) for other in GROUPS] for one in GROUPS] == [
        [False, True, True],
        [False, False, True],
        [False, False, False],
    ]
    assert dataclasses.astuple(Positives()) == ("image", False, None)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_key_view_is_of_the_partner_with_the_draws_of_the_query(dataset: Dataset, threads: int) -> None:
    positives, seed, size = Positives("patient"), 3, 48
    placement = Placement(threads=threads)
    loader = TwoViewLoader(
        [dataset], image_size=size, batch_size=4, seed=seed, positives=positives, placement=placement
    )
    plain = TwoViewLoader([dataset], image_size=size, batch_size=4, seed=seed)
    rows = planned(dataset, "train")
    partners = Partners([rows], positives, np.ones(len(rows), dtype=bool), seed)
    ids = rows["sample_id"].to_numpy()
    assert loader.partnered == partners.found == 17  # three images a patient, of the last one two
    batches = list(loader)
    for batch, own in zip(batches, plain, strict=True):
        assert torch.equal(batch.query, own.query)
        assert batch.key_sample_id is not None
        places = pd.Index(ids).get_indexer(pd.Index(batch.sample_id.numpy()))
        assert batch.key_sample_id.tolist() == ids[partners.of(0, places)].tolist()
        assert not (batch.key_sample_id == batch.sample_id).any()
    for one in seen_views(dataset, batches, seed, ViewRange()):
        shapes = np.array([one.image.shape], dtype=np.float64)
        matrix = view_matrices(shapes, size, one.draws[None], ViewRange())[0, :2].astype(np.float64)
        assert np.abs(one.view - warp(one.image, matrix, size)).max() < 0.51


def test_an_image_without_a_partner_has_both_views_of_itself(dataset: Dataset) -> None:
    loader = TwoViewLoader([dataset], image_size=32, batch_size=4, seed=3, positives=Positives("study"))
    alone = 0
    for batch, own in zip(loader, TwoViewLoader([dataset], image_size=32, batch_size=4, seed=3), strict=True):
        assert batch.key_sample_id is not None
        for number in np.flatnonzero(batch.key_sample_id == batch.sample_id):
            assert torch.equal(batch.key[number], own.key[number])
            alone += 1
    assert 0 < 17 - loader.partnered == alone + (alone < 17 - loader.partnered)  # one image is left out of the epoch


@pytest.mark.parametrize("mask", ["study", "patient"])
def test_a_batch_tells_the_studies_or_patients_whose_keys_are_no_negatives(dataset: Dataset, mask: Group) -> None:
    rows = planned(dataset, "train")
    expected = dict(zip(rows["sample_id"], group_ids([rows], mask), strict=True))
    for batch in TwoViewLoader([dataset], image_size=32, batch_size=4, seed=3, positives=Positives(mask=mask)):
        assert batch.key_sample_id is None
        assert batch.group_id is not None
        assert batch.group_id.tolist() == [expected[sample_id] for sample_id in batch.sample_id.tolist()]


def test_positives_that_no_image_has_are_refused(dataset: Dataset) -> None:
    """The three images of a patient are of three projections."""
    with pytest.raises(SubsetError, match="small: no image of the train split has another one of the same patient and"):
        TwoViewLoader([dataset], image_size=32, batch_size=4, seed=3, positives=Positives("patient", True))
