"""Zarr groups of predictions: what is read, and what is refused since it may hide values or run code."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import zarr
from zarr.codecs.numcodecs import FixedScaleOffset

from evaluation.tables.table import TableError, read_predictions


def group_of(path: Path, zarr_format: Literal[2, 3] = 3, labels: tuple[str, ...] = ("Edema", "Fracture")) -> zarr.Group:
    group = zarr.create_group(path, zarr_format=zarr_format)
    scores = np.random.default_rng(0).random((3, 4, len(labels))).astype(np.float32)
    group.create_array("scores", data=scores, chunks=(1, 4, len(labels)))
    group.create_array("sample_id", data=np.array([11, 12, 13, 14]))
    group.attrs["labels"] = list(labels)
    return group


def test_keys_as_text_are_ids(tmp_path: Path) -> None:
    group = group_of(tmp_path / "p.zarr")
    group.create_array("key", data=np.array(["a", "b", "c", "d"], dtype=np.dtypes.StringDType()))
    group.attrs["id"] = "key"
    assert [table.ids for table in read_predictions(tmp_path / "p.zarr")] == [("a", "b", "c", "d")] * 3


def test_version_2_is_refused(tmp_path: Path) -> None:
    group_of(tmp_path / "p.zarr", zarr_format=2)
    with pytest.raises(TableError, match="Zarr version 3"):
        read_predictions(tmp_path / "p.zarr")


def test_a_missing_chunk_is_an_error_and_not_zeros(tmp_path: Path) -> None:
    group_of(tmp_path / "p.zarr")
    (tmp_path / "p.zarr" / "scores" / "c" / "1" / "0" / "0").unlink()
    with pytest.raises(TableError, match="1 of 3 chunks of scores are missing"):
        read_predictions(tmp_path / "p.zarr")


@pytest.mark.parametrize("lost", [False, True])
def test_a_missing_chunk_inside_of_a_shard_is_an_error_too(tmp_path: Path, lost: bool) -> None:
    group = group_of(tmp_path / "p.zarr")
    del group["scores"]
    scores = np.random.default_rng(0).random((3, 4, 2)).astype(np.float32)
    scores[1] = 0.0 if lost else scores[1]  # zarr leaves chunks of zeros out unless told otherwise
    group.create_array("scores", data=scores, chunks=(1, 4, 2), shards=(2, 4, 2))
    if lost:
        with pytest.raises(TableError, match="1 of 3 chunks of scores are missing"):
            read_predictions(tmp_path / "p.zarr")
    else:
        assert len(read_predictions(tmp_path / "p.zarr")) == 3


def test_chunks_of_zeros_that_were_written_are_read(tmp_path: Path) -> None:
    with zarr.config.set({"array.write_empty_chunks": True}):
        group = group_of(tmp_path / "p.zarr")
        del group["scores"]
        group.create_array("scores", data=np.zeros((3, 4, 2), np.float32), chunks=(1, 4, 2))
    np.testing.assert_array_equal(read_predictions(tmp_path / "p.zarr")[0].scores("Edema"), np.zeros(4))


@pytest.mark.filterwarnings("ignore::UserWarning")  # the codec is not part of the specification
def test_filters_are_refused(tmp_path: Path) -> None:
    group = group_of(tmp_path / "p.zarr")
    del group["scores"]
    coded = FixedScaleOffset(offset=0, scale=1000, dtype="<f4", astype="<i4")
    group.create_array("scores", shape=(1, 4, 2), dtype="f4", filters=[coded])[:] = 0.5
    with pytest.raises(TableError, match="scores is encoded by FixedScaleOffset, which is not read"):
        read_predictions(tmp_path / "p.zarr")


def test_scores_that_are_text_are_refused(tmp_path: Path) -> None:
    group = group_of(tmp_path / "p.zarr")
    del group["scores"]
    group.create_array("scores", data=np.full((1, 4, 2), "0.5", dtype=np.dtypes.StringDType()))
    with pytest.raises(TableError, match=r"scores holds .*expected numbers"):
        read_predictions(tmp_path / "p.zarr")


def test_a_label_twice_is_refused(tmp_path: Path) -> None:
    group_of(tmp_path / "p.zarr", labels=("Edema", "Edema"))
    with pytest.raises(TableError, match="label 'Edema' occurs more than once"):
        read_predictions(tmp_path / "p.zarr")
