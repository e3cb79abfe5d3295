"""docs/shard-format.md is true: its snippets run, its numbers and tables are those of the code."""

import hashlib
import re
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shards.format.dataset import Dataset
from shards.format.identity import sample_id
from shards.format.sample import MAX_KEY_LENGTH
from shards.format.schema import COLUMNS, FORMAT_VERSION, schema
from shards.loading.augmentation import ANTIALIAS_BELOW
from tests.shards.small_datasets import LABELS, write_small_dataset

PAGE = (Path(__file__).parents[3] / "docs" / "shard-format.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def in_the_folder_above(dataset_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(dataset_root, tmp_path / "my-dataset")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def webdataset_decodes(found: dict[str, Any], dataset: Dataset) -> None:
    last = dataset.samples[dataset.samples["shard"] == "train-000000"].iloc[-1]
    assert found["image"].shape == (last["height"], last["width"])
    assert found["sample_id"] == last["sample_id"]
    assert found["label"] == last["Edema"]


def huggingface_decodes(found: dict[str, Any], dataset: Dataset) -> None:
    rows = dataset.samples[dataset.samples["split"] == "train"]
    samples = list(found["samples"])
    assert [sample["json"]["key"] for sample in samples] == rows["key"].tolist()
    assert [int.from_bytes(sample["sid"], "little") for sample in samples] == rows["sample_id"].tolist()
    assert [sample["json"]["Edema"] for sample in samples] == [None if np.isnan(x) else x for x in rows["Edema"]]
    assert [sample["jpg"].size for sample in samples] == list(zip(rows["width"], rows["height"], strict=True))
    assert {sample["jpg"].mode for sample in samples} == {"L"}


def pytorch_decodes(found: dict[str, Any], dataset: Dataset) -> None:
    rows = dataset.samples[(dataset.samples["split"] == "train") & dataset.samples["Edema"].isin([0, 1])]
    assert len(found["radiographs"]) == len(rows)
    assert found["images"].shape[1:] == (1, 224, 224)
    assert set(found["labels"].tolist()) <= {0.0, 1.0}


def dali_decodes(found: dict[str, Any], dataset: Dataset) -> None:
    first = dataset.samples[:4]
    assert np.array_equal(found["sample_ids"].as_array().ravel(), first["sample_id"])
    assert found["decoded"].at(2).shape == (first["height"][2], first["width"][2], 1)


def pandas_reads(found: dict[str, Any], dataset: Dataset) -> None:
    assert len(found["rows"]) == 17
    assert found["jpeg"].startswith(b"\xff\xd8")


def the_loader_reads(found: dict[str, Any], dataset: Dataset) -> None:
    assert found["dataset"].digest == dataset.digest
    assert found["batch"].image.shape == (4, 1, 320, 320)


@pytest.mark.usefixtures("in_the_folder_above")
@pytest.mark.parametrize(
    ("number", "check"),
    [
        (0, webdataset_decodes),
        pytest.param(1, huggingface_decodes, marks=pytest.mark.datasets),
        (2, pytorch_decodes),
        (3, dali_decodes),
        (4, pandas_reads),
        (5, the_loader_reads),
    ],
)
def test_each_snippet_runs_and_gives_what_it_says(
    number: int, check: Callable[[dict[str, Any], Dataset], None], dataset: Dataset
) -> None:
    if "from datasets import" in SNIPPETS[number] and find_spec("datasets") is None:
        pytest.skip("datasets is not installed: pip install -e '.[dev]'")
    names: dict[str, Any] = {}
    exec(compile(SNIPPETS[number], f"shard-format.md, snippet {number}", "exec"), names)
    check(names, dataset)


def test_every_snippet_is_tested() -> None:
    assert len(SNIPPETS) == 6


def test_the_worked_example_of_an_id_is_right() -> None:
    name, key, digest, rest, value, literal, stored = re.search(  # type: ignore[union-attr]
        r"name +(\S+)\n +key +(\S+)\n.*\n +(\w{16}) (\w{48})\n +sample_id +0x(\w+) >> 1 = (\d+)\n +\.sid +([\w ]+)\n",
        PAGE,
    ).groups()
    assert hashlib.sha256(f"{name}/{key}".encode()).hexdigest() == digest + rest
    assert value == digest
    assert int(literal) == int(value, 16) >> 1 == sample_id(name, key)
    assert bytes.fromhex(stored) == int(literal).to_bytes(8, "little")


def table_under(heading: str) -> dict[str, str]:
    """First and second cells of the table's rows in a section of the page."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", section, re.MULTILINE)[1:]
    return {name.strip(): kind.strip() for names, kind in rows for name in names.split(",")}


def test_the_table_of_columns_is_the_schema() -> None:
    documented = table_under("samples.parquet")
    assert documented.pop("one a label") == "float32 or null"
    assert tuple(documented) == COLUMNS
    arrow = schema(LABELS)
    for column, kind in documented.items():
        field = arrow.field(column)
        assert kind == str(field.type).replace("float", "float32") + (" or null" if field.nullable else "")


def test_the_table_of_dataset_json_has_its_keys(dataset: Dataset) -> None:
    assert list(table_under("dataset.json")) == list(dataset.description.as_json())


def test_the_numbers_in_the_text_are_those_of_the_code() -> None:
    assert f"version {FORMAT_VERSION}" in PAGE
    assert f"at most {MAX_KEY_LENGTH} characters" in PAGE
    assert f"below {ANTIALIAS_BELOW}" in PAGE


@pytest.mark.datasets
def test_the_snippet_of_datasets_gives_types_to_labels_that_are_null_in_the_first_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("datasets") is None:
        pytest.skip("datasets is not installed: pip install -e '.[dev]'")
    import datasets

    unknown = {number: {"Edema": None, "study_id": None} for number in range(12)}
    write_small_dataset(tmp_path / "my-dataset", changes=unknown)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    guessed = datasets.load_dataset("webdataset", data_files="my-dataset/train-*.tar", split="train", streaming=True)
    assert guessed.features["json"]["Edema"].dtype == "null"
    names: dict[str, Any] = {}
    snippet = next(snippet for snippet in SNIPPETS if "from datasets import" in snippet)
    exec(compile(snippet, "shard-format.md, datasets", "exec"), names)
    assert names["samples"].features["json"]["Edema"].dtype == "float32"
    labels = [sample["json"]["Edema"] for sample in names["samples"]]
    assert labels[:12] == [None] * 12
    assert set(labels[12:]) <= {0.0, 1.0, -1.0, None}
    assert {0.0, 1.0} <= set(labels[12:])
