"""Damage that shows while training ends in an error that names the shard and the key, never in a wrong batch."""

import shutil
from pathlib import Path

import pytest
import simplejpeg

from shards.errors import CorruptShardError
from shards.format.dataset import Dataset, open_dataset
from shards.loading.loaders import EvaluationLoader
from tests.shards.loading.test_loaders import ids_of, two_views
from tests.shards.small_datasets import jpeg_of, smooth_image, write_small_dataset

SHARD = "train-000002"


@pytest.fixture
def copy(dataset_root: Path, tmp_path: Path) -> Dataset:
    return open_dataset(Path(shutil.copytree(dataset_root, tmp_path / "copy")))


def row_of(dataset: Dataset, shard: str, position: int) -> dict[str, object]:
    rows = dataset.samples
    (row,) = rows[(rows["shard"] == shard) & (rows["position"] == position)].to_dict("records")
    return {str(column): value for column, value in row.items()}


def stored_jpeg(dataset: Dataset, row: dict[str, object]) -> bytes:
    start, size = int(str(row["offset"])), int(str(row["bytes"]))
    return dataset.shard_path(str(row["shard"])).read_bytes()[start : start + size]


def overwrite(dataset: Dataset, row: dict[str, object], start: int, content: bytes) -> None:
    with dataset.shard_path(str(row["shard"])).open("r+b") as file:
        file.seek(int(str(row["offset"])) + start)
        file.write(content)


@pytest.mark.parametrize("place", ["start", "frame header", "last byte"])
def test_an_image_that_changed_is_named(copy: Dataset, place: str) -> None:
    row = row_of(copy, SHARD, 4)
    overwrite(copy, row, {"start": 0, "frame header": 160, "last byte": int(str(row["bytes"])) - 1}[place], b"\x00")
    complaint = rf"{SHARD}\.tar does not hold what was written \(crc32c\) for {row['key']}\b.*cxr-ingest verify"
    with pytest.raises(CorruptShardError, match=complaint):
        list(two_views(copy))
    with pytest.raises(CorruptShardError, match=complaint):
        list(EvaluationLoader(copy, copy.samples, image_size=32, batch_size=4))


def test_a_change_that_decodes_without_an_error_is_found_as_well(copy: Dataset) -> None:
    row = row_of(copy, SHARD, 4)
    jpeg = stored_jpeg(copy, row)
    middle = (jpeg.index(b"\xff\xda") + len(jpeg)) // 2  # inside the scan
    changed = jpeg[:middle] + bytes([jpeg[middle] ^ 0x01]) + jpeg[middle + 1 :]
    before, after = (simplejpeg.decode_jpeg(content, colorspace="GRAY", strict=False) for content in (jpeg, changed))
    assert (before != after).mean() > 0.1
    overwrite(copy, row, 0, changed)
    with pytest.raises(CorruptShardError, match=rf"{SHARD}\.tar .*\b{row['key']}\b"):
        list(two_views(copy))
    assert len(list(two_views(copy, verify_checksums=False))) == len(two_views(copy))  # who asks for it does not see it


def test_an_image_that_was_stored_broken_is_named_though_its_checksum_is_right(tmp_path: Path) -> None:
    broken = jpeg_of(smooth_image(61, 47, 0))[:20]
    dataset = open_dataset(write_small_dataset(tmp_path / "x", shards={"valid-000000": 3}, jpegs={1: broken}))
    with pytest.raises(CorruptShardError, match="no JPEG that can be decoded") as error:
        list(two_views(dataset, batch_size=3, split="valid"))
    assert [key for key in dataset.samples["key"] if key in str(error.value)] == ["patient00000-study1-view1_frontal"]
    assert "valid-000000.tar" in str(error.value)


def test_a_tar_that_ends_early_is_named_with_the_sample_that_is_cut(copy: Dataset) -> None:
    row = row_of(copy, SHARD, 6)
    path = copy.shard_path(SHARD)
    path.write_bytes(path.read_bytes()[: int(str(row["offset"])) + 10])
    rows = copy.samples[copy.samples["key"] == row["key"]]
    with pytest.raises(CorruptShardError, match=rf"{SHARD}\.tar ends inside {row['key']}\b"):
        list(EvaluationLoader(copy, rows, image_size=32, batch_size=1))
    with pytest.raises(CorruptShardError, match=rf"{SHARD}\.tar ends inside "):
        list(two_views(copy))


def test_a_tar_that_vanishes_is_named(copy: Dataset) -> None:
    copy.shard_path(SHARD).unlink()
    with pytest.raises(CorruptShardError, match=rf"{SHARD}\.tar cannot be opened: No such file"):
        list(two_views(copy))


def test_after_an_error_no_batch_is_left_out_in_silence(copy: Dataset) -> None:
    """After the shard is mended, the same loader gives the batches that are still missing."""
    expected = ids_of(list(two_views(copy, batch_size=2)))
    path = copy.shard_path(SHARD)
    intact = path.read_bytes()
    loader, seen = two_views(copy, batch_size=2), []

    def read() -> None:
        for batch in loader:
            seen.append(batch)

    path.write_bytes(intact[:2000])
    with pytest.raises(CorruptShardError):
        read()
    assert len(seen) < len(loader)
    path.write_bytes(intact)
    read()
    assert (ids_of(seen) == expected).all()
