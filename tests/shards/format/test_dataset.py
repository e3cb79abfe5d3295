"""dataset.json and samples.parquet: their content, and what opening refuses."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.errors import DatasetError
from shards.format.dataset import Dataset, open_dataset, open_datasets, pixel_statistics
from shards.format.schema import schema
from tests.shards.small_datasets import LABELS, UNEVEN, write_small_dataset


def test_samples_parquet_has_the_columns_and_types_of_the_format(dataset_root: Path) -> None:
    stored = pq.read_schema(dataset_root / "samples.parquet")
    assert stored.names[:5] == ["key", "sample_id", "shard", "position", "offset"]
    types = {field.name: str(field.type) for field in stored}
    assert types == {
        **dict.fromkeys(["key", "shard", "patient_id", "study_id", "projection", "ap_pa", "sex"], "string"),
        **dict.fromkeys(["split", "source_split", "source_path", "excluded"], "string"),
        **dict.fromkeys(["sample_id", "offset", "bytes"], "int64"),
        **dict.fromkeys(["position", "width", "height"], "int32"),
        **dict.fromkeys(["age", *LABELS], "float"),
        "crc32c": "uint32",
    }
    assert stored.metadata is None  # neither pandas' version nor anything else that is not a row


@pytest.mark.parametrize("labels", [["Edema", "Edema"], ["key"]])
def test_a_label_named_like_a_column_or_twice_is_refused(labels: list[str]) -> None:
    with pytest.raises(ValueError, match="repeat or clash"):
        schema(labels)


def test_dataset_json_describes_the_whole_dataset(dataset: Dataset, dataset_root: Path) -> None:
    description = json.loads((dataset_root / "dataset.json").read_bytes())
    assert {key: description[key] for key in ("format_version", "name", "variant", "labels", "seed", "options")} == {
        "format_version": 1,
        "name": "small",
        "variant": "chexpert",
        "labels": list(LABELS),
        "seed": 0,
        "options": {"short_side": 48},
    }
    assert description["licence"]
    assert description["versions"] == {"simplejpeg": simplejpeg.__version__}
    assert {split: (n["samples"], n["shards"]) for split, n in description["splits"].items()} == {
        "train": (17, 3),
        "valid": (4, 1),
        "test": (2, 1),
    }
    assert description["splits"]["train"]["patients"] == 6  # samples 0..16, three a patient
    for shard in description["shards"]:
        tar, idx = ((dataset_root / f"{shard['name']}.{end}").read_bytes() for end in ("tar", "idx"))
        assert shard["samples"] == UNEVEN[shard["name"]]
        assert shard["bytes"] == len(tar)
        assert shard["sha256"] == hashlib.sha256(tar).hexdigest()
        assert shard["idx_sha256"] == hashlib.sha256(idx).hexdigest()
    parquet = (dataset_root / "samples.parquet").read_bytes()
    assert description["samples"] == {"rows": 23, "sha256": hashlib.sha256(parquet).hexdigest()}
    assert dataset.digest == hashlib.sha256((dataset_root / "dataset.json").read_bytes()).hexdigest()


def test_mean_and_deviation_are_those_of_the_train_pixels_in_gray_levels(dataset: Dataset) -> None:
    pixels = []
    for row in dataset.samples[dataset.samples["split"] == "train"].to_dict("records"):
        content = dataset.shard_path(row["shard"]).read_bytes()[row["offset"] :][: row["bytes"]]
        pixels.append(simplejpeg.decode_jpeg(content, colorspace="GRAY").ravel())
    every = np.concatenate(pixels).astype(np.float64)
    assert dataset.mean == pytest.approx(every.mean(), abs=1e-9)
    assert dataset.std == pytest.approx(every.std(), abs=1e-9)
    assert dataset.description.pixels.count == every.size


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=300))
def test_the_histogram_gives_numpys_mean_and_deviation(levels: list[int]) -> None:
    mean, std = pixel_statistics(np.bincount(levels, minlength=256))
    assert mean == pytest.approx(np.mean(levels), abs=1e-9)
    assert std == pytest.approx(np.std(levels), abs=1e-9)


def test_an_opened_dataset_lists_its_samples_in_storage_order_with_unknown_cells_missing(dataset: Dataset) -> None:
    assert list(dataset.samples.index) == list(range(23))
    assert list(dataset.samples["shard"].unique()) == list(UNEVEN) == [shard.name for shard in dataset.shards]
    assert dataset.samples["age"].isna().sum() == 5
    assert dataset.samples["excluded"].isna().all()
    assert dataset.label_names == LABELS


def test_without_train_samples_the_pixel_statistics_are_refused_by_name(tmp_path: Path) -> None:
    dataset = open_dataset(write_small_dataset(tmp_path / "x", shards={"test-000000": 2}))
    for figure in ("mean", "std"):
        with pytest.raises(DatasetError, match=f"no pixel {figure}.*train"):
            getattr(dataset, figure)


def remove(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).unlink()


def edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(change((root / name).read_bytes()))


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (remove("dataset.json"), "no dataset.json .*unfinished"),
        (edit("dataset.json", lambda c: c[:-9]), "dataset.json is not JSON"),
        (edit("dataset.json", lambda c: b"[]"), "format version None"),
        (edit("dataset.json", lambda c: c.replace(b'"format_version": 1', b'"format_version": 2')), "version 2; .*1"),
        (
            edit("dataset.json", lambda c: c.replace(b'"seed"', b'"sead"')),
            "dataset.json: the key seed is missing. Copy",
        ),
        (
            edit("dataset.json", lambda c: c.replace(b'"rows": 23', b'"rows": "23"')),
            "samples.rows is '23', not a whole",
        ),
        (remove("samples.parquet"), "samples.parquet is missing"),
        (edit("samples.parquet", lambda c: c[:-1] + b"?"), "samples.parquet is not the file that"),
        (remove("train-000001.tar"), "train-000001.tar is missing"),
        (edit("train-000001.tar", lambda c: c[:-512]), "train-000001.tar has 9728 bytes, dataset.json says 10240"),
    ],
)
def test_an_unfinished_or_damaged_dataset_is_refused(
    dataset_root: Path, tmp_path: Path, damage: Callable[[Path], object], complaint: str
) -> None:
    root = Path(shutil.copytree(dataset_root, tmp_path / "copy"))
    damage(root)
    with pytest.raises(DatasetError, match=complaint) as error:
        open_dataset(root)
    assert str(root) in str(error.value)


def test_a_folder_that_is_not_there_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        open_dataset(tmp_path / "nowhere")


def test_two_datasets_of_one_name_are_refused_with_both_folders(dataset_root: Path, tmp_path: Path) -> None:
    other = write_small_dataset(tmp_path / "other", shards={"train-000000": 1})
    with pytest.raises(DatasetError, match="both called 'small'") as error:
        open_datasets([dataset_root, other])
    assert str(dataset_root) in str(error.value)
    assert str(other) in str(error.value)


def test_a_repeated_sample_id_is_refused(tmp_path: Path) -> None:
    twin = {3: {"key": "patient00000-study1-view0_frontal"}}  # sample 0 again, in another shard
    root = write_small_dataset(tmp_path / "x", shards={"train-000000": 3, "train-000001": 2}, changes=twin)
    with pytest.raises(DatasetError, match="row 3 has the key patient00000-study1-view0_frontal of an earlier row"):
        open_datasets([root])


def test_datasets_of_different_names_open_together(dataset_root: Path, tmp_path: Path) -> None:
    other = write_small_dataset(tmp_path / "other", name="other")
    assert [dataset.name for dataset in open_datasets([dataset_root, other])] == ["small", "other"]
