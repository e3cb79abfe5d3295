import contextlib
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.tables import read_table
from shards.errors import DatasetError

cells = st.text(
    st.characters(codec="utf-8", exclude_characters='\r\n",\0', exclude_categories=["Cc", "Zs"]), max_size=5
)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content)
    return path


@given(lines=st.lists(st.lists(cells, min_size=1, max_size=5), max_size=12))
def test_rows_and_their_line_numbers_agree_with_the_csv_module(
    lines: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = "".join(",".join(line) + "\n" for line in [["a", "b", "c"], *lines])
    path = write(tmp_path_factory.mktemp("t"), text.encode())

    rows, malformed = read_table(path, ["a", "b", "c"])

    numbered = list(enumerate(csv.reader(io.StringIO(text, newline="")), start=1))[1:]
    good = [
        (n, [cell.strip() for cell in line]) for n, line in numbered if len(line) == 3 and any(map(str.strip, line))
    ]
    assert rows[["a", "b", "c"]].values.tolist() == [line for _, line in good]
    assert rows["where"].tolist() == [f"table.csv line {n}" for n, _ in good]
    assert malformed["path"].tolist() == [f"table.csv line {n}" for n, line in numbered if len(line) not in (0, 3)]


def test_a_line_with_too_few_fields_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path, b"a,b,c\n1,2,3\n4,5\n\n6,7,8\n9,,,,,\n")
    rows, malformed = read_table(path, ["c", "a"])
    assert rows["a"].tolist() == ["1", "6"]
    assert rows["where"].tolist() == ["table.csv line 2", "table.csv line 5"]
    assert malformed["reason"].tolist() == [
        "malformed line: 2 fields where the header has 3 (table.csv line 3)",
        "malformed line: 6 fields where the header has 3 (table.csv line 6)",
    ]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeffPath,Sex\r\n"a/b",Male\r\n'.encode())
    rows, malformed = read_table(path, ["Path", "Sex"])
    assert rows[["Path", "Sex"]].values.tolist() == [["a/b", "Male"]]
    assert malformed.empty


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("Path,Sex\na,é\n".encode("latin-1"), "UTF-8"),
        ("Path,Sex\na,b\n".encode("utf-16"), "UTF-8"),
        (b"Path,Age\na,1\n", "no column 'Sex'"),
        (b"Path,Sex,Sex\na,b,c\n", "more than once"),
        (b'Path,Sex\n"a,b\nc,d\n', "quote"),
        (b"", "no column"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused_with_its_name(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(DatasetError, match=says) as refused:
        read_table(write(tmp_path, content), ["Path", "Sex"])
    assert "table.csv" in str(refused.value)


@given(content=st.binary(max_size=300))
def test_whatever_the_bytes_are_only_a_named_error_comes_out(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("t"), b"Path,Sex\n" + content)
    with contextlib.suppress(DatasetError):
        rows, malformed = read_table(path, ["Path", "Sex"])
        assert list(rows.columns) == ["Path", "Sex", "where"]
        assert len(rows) + len(malformed) <= content.count(b"\n") + 1
