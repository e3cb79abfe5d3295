"""A shard to the letter of the format, and nothing at all after a failure."""

import io
import json
import math
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
import webdataset

from shards.errors import DatasetError
from shards.format.identity import sample_id
from shards.format.schema import COLUMNS, WRITER_COLUMNS
from shards.format.shard_writer import ShardWriter
from tests.shards.small_datasets import LABELS, UNEVEN, jpeg_of, make_row, smooth_image, write_small_dataset


def rows_of(count: int, **changes: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    return [{**make_row(number, "train", 20, 30), **changes} for number in range(count)]


def write_shard(directory: Path, rows: Iterable[dict[str, Any]]) -> None:
    directory.mkdir(exist_ok=True)
    with ShardWriter(directory, "train-000000", "small", LABELS) as writer:
        for number, row in enumerate(rows):
            writer.add(row, jpeg_of(smooth_image(20, 30, number)))


def test_each_sample_has_three_ustar_members_without_time_or_owner(dataset_root: Path) -> None:
    for shard, samples in UNEVEN.items():
        content = (dataset_root / f"{shard}.tar").read_bytes()
        assert len(content) % 10240 == 0  # whole records
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            members = tar.getmembers()
        assert [m.name.split(".")[1] for m in members] == ["jpg", "json", "sid"] * samples
        assert len({m.name.split(".")[0] for m in members}) == samples
        assert all((m.mtime, m.uid, m.gid, m.uname, m.gname, m.pax_headers) == (0, 0, 0, "", "", {}) for m in members)
        assert all(m.isreg() and content[m.offset + 257 : m.offset + 265] == b"ustar\x0000" for m in members)


def test_plain_webdataset_decodes_every_sample(dataset_root: Path) -> None:
    table = pq.read_table(dataset_root / "samples.parquet").to_pylist()
    urls = [str(dataset_root / f"{shard}.tar") for shard in UNEVEN]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("l8"))
    assert [sample["__key__"] for sample in samples] == [row["key"] for row in table]
    for sample, row in zip(samples, table, strict=True):
        assert sample["jpg"].shape == (row["height"], row["width"])
        assert sample["json"]["key"] == row["key"]
        assert int.from_bytes(sample["sid"], "little", signed=True) == row["sample_id"]


def test_the_json_member_is_the_row_of_samples_parquet_with_null_for_unknown(dataset_root: Path) -> None:
    table = pq.read_table(dataset_root / "samples.parquet")
    rows = iter(table.to_pylist())
    for shard in UNEVEN:
        with tarfile.open(dataset_root / f"{shard}.tar") as tar:
            for member in tar:
                if not member.name.endswith(".json"):
                    continue
                file = tar.extractfile(member)
                assert file is not None
                text = file.read().decode()
                assert "NaN" not in text
                row = next(rows)
                stored = json.loads(text)
                assert list(stored) == table.schema.names
                for column, value in row.items():
                    if isinstance(value, float):
                        assert np.float32(stored[column]) == np.float32(value)
                    else:
                        assert stored[column] == value
    assert next(rows, None) is None
    assert any(value is None for value in table["age"].to_pylist())  # unknown cells were among them


def test_offset_bytes_and_crc32c_find_the_jpeg_in_the_tar(dataset_root: Path) -> None:
    for row in pq.read_table(dataset_root / "samples.parquet").to_pylist():
        content = (dataset_root / f"{row['shard']}.tar").read_bytes()
        jpeg = content[row["offset"] : row["offset"] + row["bytes"]]
        assert google_crc32c.value(jpeg) == row["crc32c"]
        assert simplejpeg.decode_jpeg(jpeg, colorspace="GRAY").shape == (row["height"], row["width"], 1)


def test_positions_count_up_in_each_shard_and_ids_follow_from_name_and_key(dataset_root: Path) -> None:
    rows = pq.read_table(dataset_root / "samples.parquet").to_pylist()
    expected = [(shard, position) for shard, samples in UNEVEN.items() for position in range(samples)]
    assert [(row["shard"], row["position"]) for row in rows] == expected
    assert all(row["sample_id"] == sample_id("small", row["key"]) for row in rows)
    assert all(row["split"] == row["shard"].split("-")[0] for row in rows)


def test_the_same_rows_and_images_give_the_same_bytes_in_every_file(dataset_root: Path, tmp_path: Path) -> None:
    again = write_small_dataset(tmp_path / "again")
    names = {path.name for path in dataset_root.iterdir()}
    assert names == {path.name for path in again.iterdir()}
    assert {"dataset.json", "samples.parquet", "train-000000.tar", "train-000000.idx"} <= names
    for name in names:
        assert (again / name).read_bytes() == (dataset_root / name).read_bytes(), name


def test_nan_and_none_are_both_unknown(tmp_path: Path) -> None:
    write_shard(tmp_path / "none", rows_of(2, age=None, Edema=None))
    write_shard(tmp_path / "nan", rows_of(2, age=math.nan, Edema=np.float32("nan")))
    none, nan = ((tmp_path / folder / "train-000000.tar").read_bytes() for folder in ("none", "nan"))
    assert none == nan


def test_a_whole_number_in_a_float_column_is_stored_as_that_float(tmp_path: Path) -> None:
    # Otherwise verify, which rebuilds a sample from samples.parquet, would find every such sample damaged.
    write_shard(tmp_path / "whole", rows_of(2, age=45, Edema=-1))
    write_shard(tmp_path / "float", rows_of(2, age=45.0, Edema=np.float32(-1)))
    whole, floating = ((tmp_path / folder / "train-000000.tar").read_bytes() for folder in ("whole", "float"))
    assert whole == floating


def test_an_exception_leaves_neither_tar_nor_index_nor_temporary_file(tmp_path: Path) -> None:
    def interrupted() -> Iterator[dict[str, Any]]:
        yield from rows_of(2)
        assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path, interrupted())
    assert list(tmp_path.iterdir()) == []


def test_a_failure_to_write_the_index_leaves_no_tar_either(tmp_path: Path) -> None:
    (tmp_path / "train-000000.idx").mkdir()  # a folder in the index's place: the rename fails
    with pytest.raises(OSError, match=r"train-000000\.idx") as failure:
        write_shard(tmp_path, rows_of(2))
    # The exception is alive here: what is left is not left to the garbage collector.
    assert [path.name for path in tmp_path.iterdir()] == ["train-000000.idx"], failure


def test_an_exception_leaves_an_earlier_shard_of_that_name_as_it_was(tmp_path: Path) -> None:
    write_shard(tmp_path, rows_of(3))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DatasetError, match="key 'patient00000-study1-view0_frontal' occurs twice"):
        write_shard(tmp_path, rows_of(1) * 2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_shard_without_samples_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="train-000000: a shard without samples"):
        write_shard(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


def test_the_longest_key_that_a_tar_header_holds_is_stored_and_a_longer_one_refused(tmp_path: Path) -> None:
    write_shard(tmp_path, rows_of(1, key="k" * 95))
    with tarfile.open(tmp_path / "train-000000.tar") as tar:
        assert tar.getnames() == ["k" * 95 + extension for extension in (".jpg", ".json", ".sid")]
    with pytest.raises(DatasetError, match="longer than the 95 characters"):
        write_shard(tmp_path, rows_of(1, key="k" * 96))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"key": "1.2.840.113"}, r"key '1\.2\.840\.113'.*a dot merges samples"),
        ({"key": ""}, "key ''"),
        ({"split": "valid"}, "is of split 'valid'; a shard holds one split"),
        ({"offset": 512}, "columns are not those of the format: offset"),
        ({"Edma": 1.0}, "columns are not those of the format: Edma"),
    ],
)
def test_a_row_that_the_format_cannot_hold_is_refused(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DatasetError, match=complaint):
        write_shard(tmp_path, rows_of(1, **changes))


@pytest.mark.parametrize("column", sorted({*COLUMNS, *LABELS} - WRITER_COLUMNS))
def test_a_row_without_one_of_its_columns_is_refused(tmp_path: Path, column: str) -> None:
    (row,) = rows_of(1)
    del row[column]
    with pytest.raises(DatasetError, match=f": {column}$"):
        write_shard(tmp_path, [row])


@pytest.mark.parametrize("shard", ["train", "train-0", "training-000000", "train-0000000", "../train-000000"])
def test_a_shard_must_be_named_after_its_split_with_six_digits(tmp_path: Path, shard: str) -> None:
    with pytest.raises(DatasetError, match="no shard name"):
        ShardWriter(tmp_path, shard, "small", LABELS)
