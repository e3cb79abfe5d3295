"""The .idx against DALI's own `wds2idx`, and what a damaged one says."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shards.errors import CorruptShardError
from shards.format.index import IndexEntry, index_bytes, read_index
from tests.shards.small_datasets import UNEVEN


@pytest.mark.parametrize("shard", UNEVEN)
def test_an_index_is_byte_for_byte_what_wds2idx_writes(dataset_root: Path, tmp_path: Path, shard: str) -> None:
    tar = shutil.copy(dataset_root / f"{shard}.tar", tmp_path)
    subprocess.run([sys.executable, "-m", "wds2idx", str(tar)], check=True, capture_output=True)
    assert (dataset_root / f"{shard}.idx").read_bytes() == (tmp_path / f"{shard}.idx").read_bytes()


def test_an_index_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    samples = [
        [IndexEntry("jpg", 512, 700, "a.jpg"), IndexEntry("sid", 2560, 8, "a.sid")],
        [IndexEntry("jpg", 3584, 1, "b.jpg")],
    ]
    (tmp_path / "x.idx").write_bytes(index_bytes(samples))
    assert read_index(tmp_path / "x.idx") == samples


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "first line"),
        (b"v1.1 1\njpg 512 1 a.jpg\n", "first line"),
        (b"v1.2 one\njpg 512 1 a.jpg\n", "first line"),
        (b"v1.2 \xb2\njpg 512 1 a.jpg\n", "first line"),
        (b"v1.2 1\njpg 512 a.jpg\n", "line 2"),
        (b"v1.2 1\njpg 5x2 1 a.jpg\n", "line 2"),
        ("v1.2 1\njpg 5² 1 a.jpg\n".encode(), "line 2"),
        (b"v1.2 2\njpg 512 1 a.jpg\n\n", "line 3"),
        (b"v1.2 2\njpg 512 1 a.jpg\n", "the header says 2 samples, 1 follow"),
    ],
)
def test_a_damaged_index_is_refused_with_file_and_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "x.idx").write_bytes(content)
    with pytest.raises(CorruptShardError, match=complaint) as error:
        read_index(tmp_path / "x.idx")
    assert "x.idx" in str(error.value)
