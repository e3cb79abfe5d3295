"""Tables of predictions and truth: what is read, and what is refused with file and line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from evaluation.tables.sidecar import Sidecar
from evaluation.tables.table import Table, TableError, read_predictions, read_table
from shards.json_value import JsonValue
from tests.evaluation.files import write_csv, write_sidecar


def read(folder: Path, text: str) -> Table:
    path = folder / "p.csv"
    path.write_bytes(text.encode())
    return read_table(path)


def test_a_csv_and_a_parquet_file_of_the_same_predictions_read_the_same(tmp_path: Path) -> None:
    frame = pd.DataFrame({"key": ["a", "b", "c"], "Edema": [0.25, 1.0, 0.0], "Pneumonia": [0.5, 0.125, 1e-9]})
    frame.to_csv(tmp_path / "p.csv", index=False)
    frame.to_parquet(tmp_path / "p.parquet", index=False)
    (text,), (parquet,) = read_predictions(tmp_path / "p.csv"), read_predictions(tmp_path / "p.parquet")
    assert text.ids == parquet.ids == ("a", "b", "c")
    assert text.id_column == parquet.id_column == "key"
    for label in ("Edema", "Pneumonia"):
        np.testing.assert_array_equal(text.probabilities(label), parquet.probabilities(label))
        np.testing.assert_array_equal(text.probabilities(label), frame[label])


def test_a_byte_order_mark_and_quoted_names_are_read(tmp_path: Path) -> None:
    table = read(tmp_path, '\ufeffkey,"Lung, left"\r\na,0.5\r\n')
    assert table.id_column == "key"
    assert table.names == ["Lung, left"]


def test_studies_are_compared_on_their_last_two_components(tmp_path: Path) -> None:
    table = read(tmp_path, "Study,x\nCheXpert-v1.0/test/patient1/study2,0.5\n/a/test/patient1/study3/,0.5\n")
    assert table.ids == ("patient1/study2", "patient1/study3")


def test_paths_are_compared_on_their_last_three_components(tmp_path: Path) -> None:
    table = read(tmp_path, "Path,x\nCheXpert-v1.0-small/valid/patient1/study1/view1_frontal.jpg,0.5\n")
    assert table.ids == ("patient1/study1/view1_frontal.jpg",)


def test_studies_of_two_splits_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"p\.csv, line 3: r/valid/p1/s1 cannot be told from r/train/p1/s1 .*line 2"):
        read(tmp_path, "Study,x\nr/train/p1/s1,0.5\nr/valid/p1/s1,0.5\n")


def test_a_repeated_id_is_refused_with_both_lines(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"p\.csv, line 4 repeats the id a of .*p\.csv, line 2"):
        read(tmp_path, "key,x\na,0.5\nb,0.5\na,0.6\n")


@pytest.mark.parametrize("value", ["", "nan", "high", "1.5", "-0.1", "inf"])
def test_what_is_no_probability_is_refused_with_its_line(tmp_path: Path, value: str) -> None:
    table = read(tmp_path, f"key,Edema\na,0.5\nb,{value}\n")
    with pytest.raises(TableError, match=rf"p\.csv, line 3: Edema is '{value}', not a probability"):
        table.probabilities("Edema")


def test_truth_is_one_zero_uncertain_or_blank(tmp_path: Path) -> None:
    table = read(tmp_path, "key,x\na,1\nb,0.0\nc,-1.0\nd,\n")
    np.testing.assert_array_equal(table.truth("x"), [1, 0, -1, np.nan])


@pytest.mark.parametrize("value", ["2", "0.5", "yes", "inf"])
def test_any_other_truth_is_refused_with_its_line(tmp_path: Path, value: str) -> None:
    table = read(tmp_path, f"key,x\na,1\nb,{value}\n")
    with pytest.raises(TableError, match=rf"line 3: x is '{value}', expected 1, 0, -1 or blank"):
        table.truth("x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key,x\n", "at least one row"),
        ("", "at least one more"),
        ("key\na\n", "at least one more"),
        ("key,x\na,0.5,0.6\n", "line 2: 3 columns, the header has 2"),
        ("key,x,y\na,0.5,0.5\nb,0.5\n", "line 3: 2 columns, the header has 3"),
        ("key,x\na,0.5\n\nb,0.5\n", "line 3: 0 columns"),
        ("key,x,x\na,0.5,0.5\n", "'x' occurs more than once"),
        ("key,x\na,0.5\n,0.5\n", r"line 3: the id \(key\) is blank"),
    ],
)
def test_a_broken_csv_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        read(tmp_path, text)


def test_a_csv_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes("key,Ödem\na,0.5\n".encode("latin-1"))
    with pytest.raises(TableError, match="UTF-8"):
        read_table(tmp_path / "p.csv")


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"key,x\n")
    with pytest.raises(TableError, match="Parquet"):
        read_table(tmp_path / "p.parquet")


def test_the_sidecar_is_read_where_there_is_one_and_refused_where_it_is_torn(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "p.csv", ["key", "x"], [["a", 0.5]])
    assert read_table(path).sidecar is None
    content = write_sidecar(path, split="test")
    assert read_table(path).sidecar == Sidecar(JsonValue(content))
    (tmp_path / "p.csv.json").write_text('{"split": ')
    with pytest.raises(TableError, match=r"p\.csv\.json is not JSON"):
        read_table(path)


def test_a_zarr_group_holds_one_draw_a_model(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((3, 4, 2)).astype(np.float32)
    group = zarr.create_group(tmp_path / "p.zarr")
    group.create_array("scores", data=scores)
    group.create_array("sample_id", data=np.array([11, 12, 13, 14]))
    group.attrs["labels"] = ["Edema", "Pneumonia"]
    tables = read_predictions(tmp_path / "p.zarr")
    assert [table.ids for table in tables] == [("11", "12", "13", "14")] * 3
    for table, model in zip(tables, scores, strict=True):
        np.testing.assert_array_equal(table.probabilities("Pneumonia"), model[:, 1])


def test_a_zarr_group_of_something_else_is_refused(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "p.zarr")
    with pytest.raises(TableError, match="no Zarr group of predictions"):
        read_predictions(tmp_path / "p.zarr")
    with pytest.raises(TableError, match="no Zarr group of predictions"):
        read_predictions(tmp_path)
