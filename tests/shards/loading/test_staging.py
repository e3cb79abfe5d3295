"""Staging: the copy is checked, whole, made once a node, and reads like the original."""

import dataclasses
import multiprocessing
import shutil
import tarfile
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from shards.errors import CorruptShardError, DatasetError
from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import select
from shards.loading.loaders import EvaluationLoader, OneViewBatch
from shards.loading.placement import Placement
from shards.loading.staging import stage
from tests.shards.small_datasets import write_small_dataset

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A small dataset that may be changed."""
    return open_dataset(write_small_dataset(tmp_path / "small"))


def views(dataset: Dataset, rows: object) -> list[OneViewBatch]:
    return list(EvaluationLoader(dataset, rows, image_size=32, batch_size=4, placement=Placement(threads=1)))  # type: ignore[arg-type]


def staged_files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and inode of every file that is no lock, by name."""
    return {path.name: (path.stat().st_size, path.stat().st_ino) for path in folder.rglob("*.tar")}


def test_a_split_is_staged_by_its_whole_shards_and_reads_the_same(dataset: Dataset, tmp_path: Path) -> None:
    rows = select(dataset, "train")
    staged, kept = stage(dataset, rows, tmp_path / "node")
    assert kept is rows
    assert (staged.digest, staged.name) == (dataset.digest, dataset.name)
    assert sorted(staged_files(tmp_path / "node")) == [f"train-00000{n}.tar" for n in range(3)]
    for shard in rows["shard"].unique():
        assert staged.shard_path(shard).read_bytes() == dataset.shard_path(shard).read_bytes()
    shutil.rmtree(dataset.root)  # nothing is read from there any more
    assert sum(len(batch.sample_id) for batch in views(staged, kept)) == 17


def test_a_small_subset_is_staged_without_the_rest_of_its_shards(tmp_path: Path) -> None:
    dataset = open_dataset(write_small_dataset(tmp_path / "many", shards={"train-000000": 60}))
    rows = select(dataset, "train").iloc[[41, 7]]
    staged, kept = stage(dataset, rows, tmp_path / "node")
    ((name, (size, _)),) = staged_files(tmp_path / "node").items()
    assert name.startswith("subset-")
    assert size < 0.1 * dataset.shards[0].bytes
    with tarfile.open(staged.root / name) as tar:
        assert tar.getnames() == [f"{key}.jpg" for key in rows["key"]]
    for one, other in zip(views(dataset, rows), views(staged, kept), strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.sample_id, other.sample_id)


def test_what_is_there_is_not_copied_again_and_what_is_not_is(dataset: Dataset, tmp_path: Path) -> None:
    rows, folder = select(dataset, "train"), tmp_path / "node"
    target = stage(dataset, rows, folder)[0].root
    before = staged_files(folder)
    stage(dataset, rows, folder)
    assert staged_files(folder) == before
    (target / "train-000001.tar").write_bytes(b"cut off")
    (target / "train-000002.tar").unlink()
    (target / ".train-000002.tar.0123456789abcdef.tmp").write_bytes(b"of a process that was killed")
    stage(dataset, rows, folder)
    after = staged_files(folder)
    assert after["train-000000.tar"] == before["train-000000.tar"]
    assert {name: size for name, (size, _) in after.items()} == {name: size for name, (size, _) in before.items()}
    assert not list(target.glob(".*.tmp"))


@pytest.mark.parametrize("places", [slice(None), [3]])
def test_a_damaged_source_is_refused_by_name_and_leaves_no_copy(tmp_path: Path, places: slice | list[int]) -> None:
    dataset = open_dataset(write_small_dataset(tmp_path / "many", shards={"train-000000": 60}))
    rows = select(dataset, "train").iloc[places]
    path = dataset.shard_path("train-000000")
    content = bytearray(path.read_bytes())
    content[int(dataset.samples["offset"][3]) + 9] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptShardError, match=r"train-000000\.tar does not hold what was written"):
        stage(dataset, rows, tmp_path / "node")
    assert not staged_files(tmp_path / "node")


def test_a_disk_with_too_little_space_is_named_before_anything_is_copied(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(DatasetError, match=r"are to be staged and 0\.0 GB are free"):
        stage(dataset, select(dataset, "train"), tmp_path / "node")
    assert not staged_files(tmp_path / "node")


def test_a_place_that_cannot_be_written_is_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DatasetError, match="Staging resumes where it stopped"):
        stage(dataset, select(dataset, "train"), tmp_path / "file")


def test_processes_of_a_node_share_one_copy(dataset: Dataset, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        digests = pool.starmap(stage_here, [(dataset.root, tmp_path / "node")] * 3)
    assert digests == [dataset.digest] * 3
    assert len(staged_files(tmp_path / "node")) == 3


def test_a_quarantine_goes_with_the_copy(dataset: Dataset, tmp_path: Path) -> None:
    left_out = dataclasses.replace(dataset, quarantine={dataset.samples["key"][0]: object()})  # type: ignore[dict-item]
    staged, _ = stage(left_out, select(left_out, "train"), tmp_path / "node")
    assert len(select(staged, "train")) == 16


def stage_here(root: Path, folder: Path) -> str:
    """Stage the train split in a process of its own; returns the digest of its output."""
    dataset = open_dataset(root)
    return stage(dataset, select(dataset, "train"), folder)[0].digest
