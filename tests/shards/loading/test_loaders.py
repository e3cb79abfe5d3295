"""The batches: which samples, in which order, to which rank, of which datasets."""

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from shards.errors import SubsetError
from shards.format.dataset import Dataset, open_dataset, open_datasets
from shards.format.subsets import select
from shards.loading.augmentation import ViewRange
from shards.loading.dali_graph import threads_of_graphs
from shards.loading.epoch_order import epoch_order
from shards.loading.loaders import EvaluationLoader, OneViewLoader, TwoViewBatch, TwoViewLoader
from shards.loading.placement import Partition, Placement
from tests.shards.small_datasets import write_small_dataset

SIZE = 32


def two_views(*datasets: Dataset, batch_size: int = 4, **options: object) -> TwoViewLoader:
    arguments = {"image_size": SIZE, "seed": 5, **options}
    return TwoViewLoader(datasets, batch_size=batch_size, **arguments)  # type: ignore[arg-type]


def on_threads(threads: int) -> Placement:
    return Placement(threads=threads)


def ids_of(batches: list[TwoViewBatch]) -> npt.NDArray[np.int64]:
    """Sample ids, int64 [batches, N]."""
    return torch.stack([batch.sample_id for batch in batches]).numpy()


def pixels_by_id(batches: list[TwoViewBatch]) -> dict[int, tuple[bytes, bytes]]:
    return {
        sample_id: (query.numpy().tobytes(), key.numpy().tobytes())
        for batch in batches
        for sample_id, query, key in zip(batch.sample_id.tolist(), batch.query, batch.key, strict=True)
    }


def test_a_batch_holds_uint8_views_of_one_channel_and_int64_ids(dataset: Dataset) -> None:
    for batch in two_views(dataset, batch_size=3):
        for view in (batch.query, batch.key):
            assert (view.shape, view.dtype, view.device.type) == ((3, 1, SIZE, SIZE), torch.uint8, "cpu")
        assert (batch.sample_id.shape, batch.sample_id.dtype) == ((3,), torch.int64)


def test_each_epoch_visits_whole_batches_of_train_samples_once_and_leaves_out_another_remainder(
    dataset: Dataset,
) -> None:
    loader = two_views(dataset)  # 17 samples
    train = set(select(dataset, "train")["sample_id"])
    left_out = set()
    assert len(loader) == 4
    for epoch in range(12):
        assert loader.epoch == epoch
        batches = list(loader)
        seen = ids_of(batches).ravel()
        assert len(batches) == 4
        assert len(set(seen)) == 16
        assert set(seen) <= train
        left_out |= train - set(seen)
    assert len(left_out) > 4


def test_the_ids_of_an_epoch_are_the_permutation_that_order_gives(dataset: Dataset) -> None:
    storage = select(dataset, "train")["sample_id"].to_numpy()
    loader = two_views(dataset)
    for epoch in range(3):
        assert np.array_equal(ids_of(list(loader)).ravel(), storage[epoch_order(17, 5, epoch)[:16]])


@pytest.mark.parametrize("threads", [1, 2, 3, 20])
def test_any_number_of_threads_gives_the_same_order_after_a_resume_too(dataset: Dataset, threads: int) -> None:
    """Graphs of one thread or more take the batches in turn; the five batches of an epoch are no multiple of theirs."""
    expected = ids_of(
        [batch for loader in [two_views(dataset, batch_size=3, placement=on_threads(1))] * 3 for batch in loader]
    )
    loader = two_views(dataset, batch_size=3, placement=on_threads(threads))
    first = list(itertools.islice(loader, 4))
    resumed = two_views(dataset, batch_size=3, placement=on_threads(threads))
    resumed.load_state_dict(loader.state_dict())
    assert np.array_equal(ids_of(first + [batch for _ in range(3) for batch in resumed]), expected)


@pytest.mark.parametrize(
    ("threads", "shares"), [(1, [1]), (2, [1, 1]), (8, [1] * 8), (11, [2, 2, 2, 1, 1, 1, 1, 1]), (16, [2] * 8)]
)
def test_each_thread_of_the_cpu_has_a_graph_until_there_are_eight(threads: int, shares: list[int]) -> None:
    assert threads_of_graphs("cpu", threads) == shares
    assert threads_of_graphs("gpu", threads) == [threads]


def test_the_same_seed_gives_the_same_batches_and_another_seed_others(dataset: Dataset) -> None:
    one, same, other = (list(two_views(dataset, seed=seed)) for seed in (5, 5, 6))
    assert np.array_equal(ids_of(one), ids_of(same))
    assert pixels_by_id(one) == pixels_by_id(same)
    assert not np.array_equal(ids_of(one), ids_of(other))
    differing, common = pixels_by_id(other), pixels_by_id(one).keys() & pixels_by_id(other).keys()
    assert all(differing[sample_id] != pixels_by_id(one)[sample_id] for sample_id in common)


def test_a_view_depends_neither_on_batch_size_nor_threads_nor_rank(dataset: Dataset) -> None:
    reference = pixels_by_id(list(two_views(dataset, batch_size=1)))
    assert len(reference) == 17
    for loader in (
        two_views(dataset, batch_size=8, placement=on_threads(1)),
        two_views(dataset, batch_size=17, placement=on_threads(3)),
        two_views(dataset, batch_size=2, placement=on_threads(3)),
        two_views(dataset, batch_size=6, partition=Partition(1, 3)),
    ):
        found = pixels_by_id(list(loader))
        assert found == {sample_id: reference[sample_id] for sample_id in found}


@pytest.mark.parametrize("world_size", [2, 3, 6])
def test_ranks_take_strided_slices_of_the_same_global_batches(dataset: Dataset, world_size: int) -> None:
    whole = two_views(dataset, batch_size=6)
    ranks = [two_views(dataset, batch_size=6, partition=Partition(rank, world_size)) for rank in range(world_size)]
    for _ in range(2):  # epochs
        expected = ids_of(list(whole))
        for rank, loader in enumerate(ranks):
            assert np.array_equal(ids_of(list(loader)), expected[:, rank::world_size])
            assert loader.state_dict() == whole.state_dict()


def test_a_broken_off_epoch_goes_on_where_it_stopped(dataset: Dataset) -> None:
    expected = ids_of(list(two_views(dataset)))
    loader = two_views(dataset)
    first = list(itertools.islice(loader, 1))
    assert (loader.epoch, loader.samples_consumed) == (0, 4)
    rest = list(loader)
    assert np.array_equal(ids_of(first + rest), expected)
    assert (loader.epoch, loader.samples_consumed) == (1, 0)


def test_batches_that_are_kept_are_not_written_over(dataset: Dataset) -> None:
    """DALI hands its buffers over without a copy; a buffer in use must not be used again."""
    kept, copies = [], []
    loader = two_views(dataset, batch_size=2)
    for _ in range(3):
        for batch in loader:
            kept.append(batch)
            copies.append((batch.query.clone(), batch.key.clone(), batch.sample_id.clone()))
    loader.close()
    del loader
    for batch, copy in zip(kept, copies, strict=True):
        assert torch.equal(batch.query, copy[0])
        assert torch.equal(batch.key, copy[1])
        assert torch.equal(batch.sample_id, copy[2])


def test_a_closed_loader_goes_on_when_it_is_used_again(dataset: Dataset) -> None:
    expected = ids_of(list(two_views(dataset)))
    loader = two_views(dataset)
    first = list(itertools.islice(loader, 2))
    loader.close()
    assert np.array_equal(ids_of(first + list(loader)), expected)


def test_two_datasets_are_mixed_and_read_from_their_own_shards(dataset: Dataset, tmp_path: Path) -> None:
    other_root = write_small_dataset(
        tmp_path / "other", name="other", shards={"train-000000": 5, "train-000001": 8, "valid-000000": 2}
    )
    other = open_dataset(other_root)
    loader = two_views(*open_datasets([dataset.root, other_root]), batch_size=6)
    assert (loader.samples, len(loader)) == (30, 5)
    seen = ids_of(list(loader))
    both = {**dict.fromkeys(select(dataset, "train")["sample_id"], 0)}
    both |= dict.fromkeys(select(other, "train")["sample_id"], 1)
    assert set(seen.ravel()) == set(both)
    assert all(len({both[sample_id] for sample_id in batch}) == 2 for batch in seen.tolist())
    # The same pictures under both names, but other ids and so other views.
    alone = pixels_by_id(list(two_views(other, batch_size=1)))
    loader = two_views(dataset, other, batch_size=1)
    assert alone.items() <= pixels_by_id(list(loader)).items()


def test_the_order_in_which_datasets_are_named_does_not_matter(dataset: Dataset, tmp_path: Path) -> None:
    other = open_dataset(write_small_dataset(tmp_path / "other", name="other"))
    one, swapped = two_views(dataset, other), two_views(other, dataset)
    assert one.state_dict() == swapped.state_dict()  # so a run may be resumed either way
    assert np.array_equal(ids_of(list(one)), ids_of(list(swapped)))


def test_excluded_samples_and_other_splits_are_not_read(tmp_path: Path) -> None:
    changes = {number: {"excluded": "lateral"} for number in (0, 8, 16, 17)}
    dataset = open_dataset(write_small_dataset(tmp_path / "x", changes=changes))
    train = ids_of(list(two_views(dataset, batch_size=1))).ravel()
    assert set(train) == set(dataset.samples["sample_id"][[n for n in range(17) if n not in changes]])
    valid = ids_of(list(two_views(dataset, batch_size=1, split="valid"))).ravel()
    assert set(valid) == set(dataset.samples["sample_id"][[18, 19, 20]])


def test_many_shards_are_read_through_few_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shards.loading.sample_reader.MAX_OPEN_FILES", 2)
    before = len(list(Path("/proc/self/fd").iterdir()))
    shards = {f"train-{number:06d}": 1 for number in range(9)}
    loader = two_views(open_dataset(write_small_dataset(tmp_path / "x", shards=shards)), batch_size=3)
    assert len(set(ids_of(list(loader)).ravel())) == 9
    loader.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2  # DALI may keep one of its own


@pytest.mark.parametrize(("batch_size", "world_size"), [(5, 2), (0, 1), (-4, 2), (2, 4)])
def test_a_batch_that_does_not_divide_by_the_ranks_is_refused(
    dataset: Dataset, batch_size: int, world_size: int
) -> None:
    with pytest.raises(SubsetError, match=f"batch size {batch_size} does not divide by the {world_size} processes"):
        two_views(dataset, batch_size=batch_size, partition=Partition(0, world_size))


@pytest.mark.parametrize("rank", [-1, 2])
def test_a_rank_outside_the_world_is_refused(dataset: Dataset, rank: int) -> None:
    with pytest.raises(ValueError, match=f"rank {rank} of 2"):
        two_views(dataset, partition=Partition(rank, 2))


def test_a_batch_larger_than_the_split_is_refused_with_both_numbers(dataset: Dataset) -> None:
    with pytest.raises(SubsetError, match=r"small: 17 samples .* a batch of 18"):
        two_views(dataset, batch_size=18)
    assert len(two_views(dataset, batch_size=17)) == 1


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(write_small_dataset(tmp_path / "x", shards={"valid-000000": 3}))
    with pytest.raises(SubsetError, match="0 samples"):
        two_views(dataset, batch_size=1)


# One augmented view, for supervised training.


def test_one_view_of_chosen_rows_is_the_query_view(dataset: Dataset) -> None:
    queries = {sample_id: views[0] for sample_id, views in pixels_by_id(list(two_views(dataset, batch_size=1))).items()}
    rows = select(dataset, "train").iloc[[1, 4, 9, 15, 16]]
    loader = OneViewLoader(
        dataset, rows, image_size=SIZE, batch_size=2, seed=5, views=ViewRange(), placement=on_threads(1)
    )
    batches = list(loader)
    assert [tuple(batch.image.shape) for batch in batches] == [(2, 1, SIZE, SIZE)] * 2
    seen = {
        int(sample_id): image.numpy().tobytes()
        for batch in batches
        for sample_id, image in zip(batch.sample_id, batch.image, strict=True)
    }
    assert len(seen) == 4
    assert seen.keys() <= set(rows["sample_id"])
    assert all(queries[sample_id] == pixels for sample_id, pixels in seen.items())


# Evaluation.


@pytest.mark.parametrize("threads", [1, 2, 3, 30])
@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
def test_evaluation_gives_every_row_once_in_the_rows_order_with_a_partial_last_batch(
    dataset: Dataset, batch_size: int, threads: int
) -> None:
    rows = dataset.samples.sample(frac=1, random_state=0)  # any order, all splits
    loader = EvaluationLoader(dataset, rows, image_size=SIZE, batch_size=batch_size, placement=on_threads(threads))
    for _ in range(2):  # each iteration starts from the beginning
        batches = list(loader)
        assert len(batches) == len(loader) == -(-23 // batch_size)
        assert [len(batch.image) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
        assert torch.cat([batch.sample_id for batch in batches]).tolist() == rows["sample_id"].tolist()
        assert all(len(batch.image) == len(batch.sample_id) for batch in batches)


@pytest.mark.parametrize("world_size", [2, 3, 30])
def test_the_ranks_of_an_evaluation_share_the_rows_in_turn(dataset: Dataset, world_size: int) -> None:
    rows = dataset.samples
    for rank in range(world_size):
        loader = EvaluationLoader(
            dataset, rows, image_size=SIZE, batch_size=4, placement=on_threads(1), partition=Partition(rank, world_size)
        )
        seen = [sample_id for batch in loader for sample_id in batch.sample_id.tolist()]
        assert seen == rows["sample_id"].tolist()[rank::world_size]


def test_evaluation_views_do_not_depend_on_the_batch(dataset: Dataset) -> None:
    together, alone = (
        torch.cat([b.image for b in EvaluationLoader(dataset, dataset.samples, image_size=SIZE, batch_size=batch_size)])
        for batch_size in (23, 1)
    )
    assert torch.equal(together, alone)


def test_evaluation_that_is_broken_off_begins_anew(dataset: Dataset) -> None:
    loader = EvaluationLoader(dataset, dataset.samples, image_size=SIZE, batch_size=4)
    first = next(iter(loader))
    assert torch.equal(next(iter(loader)).image, first.image)


def test_evaluation_of_no_rows_gives_no_batch(dataset: Dataset) -> None:
    loader = EvaluationLoader(dataset, dataset.samples[:0], image_size=SIZE, batch_size=4)
    assert len(loader) == 0
    assert list(loader) == []
