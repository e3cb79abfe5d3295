"""Quarantine: damaged samples are recorded outside the digest and left out wherever a dataset is opened."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shards.durable import write_json_atomically
from shards.errors import DatasetError
from shards.format.dataset import Dataset, open_dataset
from shards.format.quarantine import FOLDER_VARIABLE, QUARANTINE, Quarantined, read_quarantine, write_quarantine
from shards.format.subsets import planned, select
from tests.shards.small_datasets import write_small_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A small dataset that may be changed."""
    return open_dataset(write_small_dataset(tmp_path / "small"))


def quarantine(dataset: Dataset, *keys: str) -> Path:
    damaged = [Quarantined(key, "train-000000", "damaged") for key in keys]
    return write_quarantine(dataset.root, dataset.name, dataset.digest, damaged)


def test_a_quarantined_sample_is_left_out_of_subsets_and_of_nothing_else(dataset: Dataset) -> None:
    key = str(select(dataset, "train")["key"].iloc[3])
    assert quarantine(dataset, key) == dataset.root / QUARANTINE
    again = open_dataset(dataset.root)
    assert again.digest == dataset.digest
    assert list(again.quarantine) == [key]
    assert set(select(dataset)["key"]) - set(select(again)["key"]) == {key}
    assert len(planned(again)) == len(planned(dataset)) == len(select(dataset))


def test_a_second_quarantine_adds_to_the_first(dataset: Dataset) -> None:
    first, second, third = select(dataset)["key"].iloc[:3]
    quarantine(dataset, second, first)
    quarantine(dataset, third, second)
    content = json.loads((dataset.root / QUARANTINE).read_text())
    assert [sample["key"] for sample in content["samples"]] == sorted([first, second, third])


def test_a_dataset_that_cannot_be_written_has_its_quarantine_in_the_folder_that_is_named(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = str(select(dataset)["key"].iloc[0])
    monkeypatch.setattr("shards.format.quarantine.write_json_atomically", refuse_in(dataset.root))
    with pytest.raises(DatasetError, match=FOLDER_VARIABLE):
        quarantine(dataset, key)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "elsewhere"))
    path = quarantine(dataset, key)
    assert path == tmp_path / "elsewhere" / f"{dataset.name}-{dataset.digest[:12]}.json"
    assert list(open_dataset(dataset.root).quarantine) == [key]


@pytest.mark.parametrize("content", ["", "[]", '{"format_version": 1}', '{"samples": [{"key": "a"}]}'])
def test_a_file_that_is_no_quarantine_is_refused_by_name(dataset: Dataset, content: str) -> None:
    (dataset.root / QUARANTINE).write_text(content)
    with pytest.raises(DatasetError, match=r"quarantine\.json is no quarantine that verify wrote"):
        open_dataset(dataset.root)


@pytest.mark.parametrize(
    ("key", "value", "complaint"), [("digest", "0" * 64, "another build"), ("format_version", 2, "version 2")]
)
def test_a_quarantine_of_another_build_or_format_is_refused(
    dataset: Dataset, key: str, value: object, complaint: str
) -> None:
    path = quarantine(dataset, "any")
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(DatasetError, match=complaint):
        read_quarantine(dataset.root, dataset.name, dataset.digest)


def refuse_in(folder: Path) -> Callable[[Path, object], None]:
    """write_json_atomically as it is where `folder` cannot be written."""

    def write(path: Path, content: object) -> None:
        if path.parent == folder:
            raise PermissionError(13, "Permission denied", str(path))
        write_json_atomically(path, content)

    return write
