from pathlib import Path

import pandas as pd
import pytest

from ingest.archives.assembly import find_layout
from ingest.tables.joins import look_up
from ingest.tables.rejections import DETAIL, KIND
from shards.errors import DatasetError
from tests.ingest.archives.archives_made import put


def table(count: int) -> pd.DataFrame:
    return pd.DataFrame({"where": [f"t.csv line {number + 2}" for number in range(count)]})


def test_the_layout_by_which_most_images_are_there_is_taken(tmp_path: Path) -> None:
    names = pd.Series([f"{number}.png" for number in range(1000)])
    for number in range(0, 1000, 3):
        put(tmp_path / "b" / f"{number}.png", b"")
    for number in range(0, 1000, 50):
        put(tmp_path / "a" / f"{number}.png", b"")
    found = find_layout({"source": tmp_path}, table(1000), ["a/" + names, "b/" + names, names])["file"]
    assert found.tolist() == [f"b/{name}" for name in names]


def test_of_two_layouts_with_the_same_images_the_first_is_taken(tmp_path: Path) -> None:
    for folder in "ab":
        put(tmp_path / folder / "0.png", b"")
    names = pd.Series(["0.png", "1.png"])
    assert find_layout({"source": tmp_path}, table(2), ["b/" + names, "a/" + names])["file"].tolist() == [
        "b/0.png",
        "b/1.png",
    ]


def test_rows_that_are_rejected_are_not_looked_for(tmp_path: Path) -> None:
    put(tmp_path / "secret.png", b"")
    root = tmp_path / "root"
    put(root / "0.png", b"")
    rows = table(3)
    rows[KIND] = pd.Series([None, "path leaves the source", "unusable path"], dtype=object)
    names = pd.Series(["0.png", "../secret.png", "\0" * 10_000])
    assert find_layout({"source": root}, rows, [names])["file"].tolist() == names.tolist()
    rows[KIND] = "unusable path"
    assert find_layout({"source": root}, rows, [names])["file"].tolist() == names.tolist()


def test_names_that_no_file_can_have_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none of 2 images .*t\.csv line 2.*Unpack"):
        find_layout({"source": tmp_path}, table(2), [pd.Series(["x" * 5000, "a\0b"])])


def test_what_a_second_table_says_is_looked_up_and_its_mistakes_reach_the_rows() -> None:
    rows = table(5)
    second = pd.DataFrame(
        {
            "key": ["a", "b", "b", "c", "c", "d"],
            "label": [1.0, 0.0, 0.0, 1.0, 0.0, 1.0],
            "where": [f"s.csv line {number}" for number in range(2, 8)],
            KIND: [None, None, None, None, None, "label out of range"],
            DETAIL: [None, None, None, None, None, "7"],
        }
    )
    found = look_up(rows, pd.Series(["d", "b", "absent", "c", "a"]), second, ["label"])
    assert found["label"].tolist()[1] == 0.0
    assert found["label"].isna().tolist() == [False, False, True, False, False]
    assert [rows.at[0, KIND], rows.at[0, DETAIL]] == ["label out of range", "7, at s.csv line 7"]
    assert rows[KIND].isna().tolist() == [False, True, True, False, True]
    assert rows[DETAIL].iloc[3] == "label is 1.0 here and 0.0 in s.csv line 6, at s.csv line 5"
    assert second[KIND].isna().sum() == 5  # the table is left as it was
