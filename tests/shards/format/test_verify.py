"""Every kind of damage is found and put to a shard and, where there is one, to a key."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shards.errors import DatasetError
from shards.format.dataset import open_dataset
from shards.format.description import ShardSummary
from shards.format.index import read_index
from shards.format.sample import BLOCK
from shards.format.verify import verify
from tests.shards.small_datasets import write_small_dataset

SHARD = "train-000002"
NUMBER = 4
"""Position of the sample that is damaged, in a shard of nine."""


@pytest.fixture
def copy(dataset_root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset_root, tmp_path / "copy"))


@pytest.fixture
def key(dataset_root: Path) -> str:
    return read_index(dataset_root / f"{SHARD}.idx")[NUMBER][0].name.removesuffix(".jpg")


def flip(root: Path, offset: int, shard: str = SHARD) -> None:
    path = root / f"{shard}.tar"
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)


def test_an_intact_dataset_has_no_findings(dataset_root: Path) -> None:
    seen: list[ShardSummary] = []
    assert verify(dataset_root, decode=True, on_shard=seen.append) == []
    assert [shard.name for shard in seen] == [shard.name for shard in open_dataset(dataset_root).shards]


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (lambda members: members[0].offset + members[0].size // 2, "jpeg"),
        (lambda members: members[0].offset + members[0].size - 1, "jpeg"),
        (lambda members: members[1].offset + 12, "bytes"),  # json
        (lambda members: members[2].offset + 7, "bytes"),  # sid
        (lambda members: members[0].offset - BLOCK, "bytes"),  # the name in the first header
        (lambda members: members[0].offset - BLOCK + 140, "bytes"),  # mtime in it
        (lambda members: members[2].offset - BLOCK + 148, "bytes"),  # checksum of the last header
        (lambda members: members[2].offset + 8, "bytes"),  # padding after the last member
    ],
)
def test_a_flipped_byte_of_a_sample_is_put_to_its_shard_and_key(
    copy: Path, key: str, place: Callable[[Any], int], kind: str
) -> None:
    flip(copy, place(read_index(copy / f"{SHARD}.idx")[NUMBER]))
    findings = verify(copy)
    assert [(f.kind, f.shard, f.key) for f in findings] == [(kind, SHARD, key)]
    assert SHARD in findings[0].message
    assert key in findings[0].message


def test_a_flipped_byte_after_the_last_sample_is_put_to_the_shard(copy: Path) -> None:
    flip(copy, -1)
    assert [(f.kind, f.shard, f.key) for f in verify(copy)] == [("bytes", SHARD, None)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_byte_goes_unnoticed_and_none_is_put_to_a_neighbour(copy: Path, data: st.DataObject) -> None:
    path = copy / f"{SHARD}.tar"
    offset = data.draw(st.integers(0, path.stat().st_size - 1))
    samples = read_index(copy / f"{SHARD}.idx")
    starts = [members[0].offset - BLOCK for members in samples] + [samples[-1][2].offset + BLOCK]
    flip(copy, offset)
    findings = verify(copy)
    flip(copy, offset)
    number = sum(start <= offset for start in starts) - 1
    expected = samples[number][0].name.removesuffix(".jpg") if number < len(samples) else None
    assert [(f.shard, f.key) for f in findings] == [(SHARD, expected)]


def test_damage_in_several_shards_is_all_found_in_storage_order(copy: Path) -> None:
    flip(copy, 600, "valid-000000")
    flip(copy, 600, "train-000000")
    flip(copy, -1, SHARD)
    assert [f.shard for f in verify(copy, threads=3)] == ["train-000000", SHARD, "valid-000000"]


@pytest.mark.parametrize("member", [0, 1, 2])
def test_a_truncated_tar_names_the_first_sample_that_is_cut(copy: Path, key: str, member: int) -> None:
    path = copy / f"{SHARD}.tar"
    cut = read_index(copy / f"{SHARD}.idx")[NUMBER][member]
    path.write_bytes(path.read_bytes()[: cut.offset + cut.size // 2])
    findings = verify(copy)
    assert [(f.kind, f.shard, f.key) for f in findings] == [("size", SHARD, key)]
    assert "copy it again" in findings[0].message


def test_a_tar_cut_after_its_last_sample_names_the_shard_only(copy: Path) -> None:
    path = copy / f"{SHARD}.tar"
    path.write_bytes(path.read_bytes()[:-BLOCK])
    assert [(f.kind, f.shard, f.key) for f in verify(copy)] == [("size", SHARD, None)]


def test_a_missing_tar_is_named(copy: Path) -> None:
    (copy / f"{SHARD}.tar").unlink()
    assert [(f.kind, f.shard, f.key) for f in verify(copy)] == [("missing", SHARD, None)]


def test_a_missing_or_changed_index_is_named(copy: Path) -> None:
    (copy / "train-000000.idx").unlink()
    path = copy / f"{SHARD}.idx"
    path.write_bytes(path.read_bytes().replace(b"v1.2 9", b"v1.2 8"))
    findings = verify(copy)
    assert [(f.kind, f.shard) for f in findings] == [("index", "train-000000"), ("index", SHARD)]
    assert "is missing" in findings[0].message
    assert "wds2idx" in findings[0].message


def test_damaged_metadata_files_end_the_check_at_once(copy: Path) -> None:
    (copy / "samples.parquet").write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match=r"samples\.parquet is not the file"):
        verify(copy)


def test_decoding_finds_an_image_that_was_stored_broken_or_of_another_size(tmp_path: Path) -> None:
    root = write_small_dataset(
        tmp_path / "x",
        shards={"valid-000000": 3},
        changes={0: {"width": 48}},
        jpegs={2: b"\xff\xd8\xff no JPEG"},
    )
    assert verify(root) == []
    findings = verify(root, decode=True)
    assert [(f.kind, f.key) for f in findings] == [
        ("decode", "patient00000-study1-view0_frontal"),
        ("decode", "patient00000-study1-view2_frontal"),
    ]
    assert "is 47 x 61, samples.parquet says 48 x 61" in findings[0].message
    assert "cannot be decoded" in findings[1].message


def test_workers_find_the_same_in_the_same_order(tmp_path: Path) -> None:
    broken = dict.fromkeys((0, 5, 9, 17), b"\xff\xd8\xff no JPEG")
    root = write_small_dataset(tmp_path / "x", jpegs=broken)
    alone = verify(root, decode=True, threads=1)
    assert len(alone) == len(broken)
    assert all(verify(root, decode=True, threads=threads) == alone for threads in (2, 3, 8))


def test_whole_numbers_in_float_columns_do_not_look_like_damage(tmp_path: Path) -> None:
    changes = {number: {"age": 45, "Edema": 1} for number in range(3)}
    root = write_small_dataset(tmp_path / "x", shards={"train-000000": 3}, changes=changes)
    flip(root, read_index(root / "train-000000.idx")[1][0].offset + 100, "train-000000")
    assert len(verify(root)) == 1
