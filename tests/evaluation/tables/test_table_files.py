"""Files as they occur: pandas' index, delimiters, gzip, typed Parquet columns."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.tables.table import TableError, read_table


def written(folder: Path, text: str, name: str = "p.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("column", ["key", "Study", "Path", "sample_id"])
@pytest.mark.parametrize("first", ["", "Unnamed: 0", "index"])
def test_pandas_index_beside_a_named_id_is_no_id(tmp_path: Path, column: str, first: str) -> None:
    table = read_table(written(tmp_path, f"{first},{column},x\n1,a,0.5\n0,b,0.25\n"))
    assert (table.id_column, table.ids, table.names) == (column, ("a", "b"), ["x"])


def test_an_unnamed_column_of_something_else_beside_a_named_id_is_left_out_too(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, ",x,key\n7,0.5,a\n9,0.25,b\n"))
    assert (table.id_column, table.ids, table.names) == ("key", ("a", "b"), ["x"])


def test_an_unnamed_first_column_without_a_named_id_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"first column has no name.*key, Study, Path or sample_id.*index=False"):
        read_table(written(tmp_path, ",x\n0,0.5\n1,0.25\n"))


def test_numbers_as_ids_without_a_named_id_are_ids(tmp_path: Path) -> None:
    assert read_table(written(tmp_path, "row,x\n0,0.5\n1,0.25\n")).ids == ("0", "1")


def test_a_parquets_recorded_index_is_the_id(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [0.5, 0.25]}, index=pd.Index(["a", "b"], name="key"))
    frame.to_parquet(tmp_path / "named.parquet")
    frame.rename_axis(None).to_parquet(tmp_path / "unnamed.parquet")
    pd.DataFrame({"key": ["a", "b"], "x": [0.5, 0.25]}, index=[1, 0]).to_parquet(tmp_path / "counted.parquet")
    for name in ("named", "unnamed", "counted"):
        table = read_table(tmp_path / f"{name}.parquet")
        assert (table.id_column, table.ids, table.names) == ("key", ("a", "b"), ["x"]), name


def test_an_index_of_several_columns_is_refused(tmp_path: Path) -> None:
    index = pd.MultiIndex.from_tuples([("a", 0), ("b", 1)], names=["key", "view"])
    pd.DataFrame({"x": [0.5, 0.25]}, index=index).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(TableError, match="index of 2 columns"):
        read_table(tmp_path / "p.parquet")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("compressed", [False, True])
def test_semicolons_tabs_and_gzip_are_read(tmp_path: Path, delimiter: str, compressed: bool) -> None:
    text = f"key{delimiter}Edema\na{delimiter}0.5\nb{delimiter}0.25\n"
    path = tmp_path / ("p.csv.gz" if compressed else "p.csv")
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    np.testing.assert_array_equal(read_table(path).scores("Edema"), [0.5, 0.25])


def test_decimal_commas_are_refused_with_what_to_do(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "key;x\na;0,5\n"))
    with pytest.raises(TableError, match=r"line 2: x is '0,5', not a finite number.*Write decimals with a point"):
        table.scores("x")


def test_a_torn_gzip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(b"key,x\na,0.5\n" * 500)[:-20])
    with pytest.raises(TableError, match=r"p\.csv\.gz cannot be read"):
        read_table(tmp_path / "p.csv.gz")


def test_true_and_false_are_truth_and_no_scores(tmp_path: Path) -> None:
    text = read_table(written(tmp_path, "key,x\na,True\nb,false\nc,\n"))
    frame = pd.DataFrame({"key": ["a", "b", "c"], "x": pd.array([True, False, None], dtype="boolean")})
    frame.to_parquet(tmp_path / "p.parquet", index=False)
    for table in (text, read_table(tmp_path / "p.parquet")):
        np.testing.assert_array_equal(table.truth("x"), [1, 0, np.nan])
        with pytest.raises(TableError, match="Write the score that the decision was made from"):
            table.scores("x")


def test_scores_that_are_no_probabilities_are_read_as_scores_only(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "key,x\na,2.8\nb,-3\n"))
    np.testing.assert_array_equal(table.scores("x"), [2.8, -3])
    with pytest.raises(TableError, match="not a probability"):
        table.probabilities("x")


@pytest.mark.parametrize("value", ["", "nan", "high", "inf", "-inf"])
def test_what_is_no_finite_number_is_no_score(tmp_path: Path, value: str) -> None:
    with pytest.raises(TableError, match=rf"line 3: x is '{value}', not a finite number"):
        read_table(written(tmp_path, f"key,x\na,1\nb,{value}\n")).scores("x")


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 0, None], dtype=object),
        pd.Series([1, 0, np.nan]),
        pd.array([1, 0, pd.NA], dtype="Int64"),
        pd.Categorical(["1", "0", None]),
        pd.Series(["1", "0", ""], dtype=object),
        pd.Series(["1.0", "0.0", " "], dtype="string"),
    ],
    ids=["None", "NaN", "NA", "category", "blank", "space"],
)
def test_a_missing_truth_is_blank_however_parquet_writes_it(tmp_path: Path, column: object) -> None:
    pd.DataFrame({"key": ["a", "b", "c"], "x": column}).to_parquet(tmp_path / "t.parquet", index=False)
    np.testing.assert_array_equal(read_table(tmp_path / "t.parquet").truth("x"), [1, 0, np.nan])
