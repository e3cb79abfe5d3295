import contextlib
import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.tables import files as table_files
from ingest.tables.csv_table import read_table
from shards.errors import DatasetError

BLANK = ("nan", "NaN", "NAN", "NULL", "null", "<NA>", "NaT", "#N/A")
cells = st.text(
    st.characters(codec="utf-8", exclude_characters='\r\n",\0', exclude_categories=["Cc", "Zs"]), max_size=5
) | st.sampled_from(BLANK)


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
    plain = [(n, ["" if cell.strip() in BLANK else cell.strip() for cell in line]) for n, line in numbered]
    good = [(n, line) for n, line in plain if len(line) == 3 and any(line)]
    comments = {n for n, content in enumerate(text.split("\n"), start=1) if content.startswith("#")}
    assert rows[["a", "b", "c"]].values.tolist() == [line for _, line in good]
    assert rows["where"].tolist() == [f"table.csv line {n}" for n, _ in good]
    assert malformed["path"].tolist() == [
        f"table.csv line {n}" for n, line in numbered if len(line) not in (0, 3) and n not in comments
    ]


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
        (b'Path,"Sex\na,b\n', "header"),
        (b"P\0a\0t\0h\0\n\0", "UTF-16"),
        (b"", "no column"),
        (b"PK\3\4\x14\0\6\0\x08\0", "is a workbook or another zip archive, no CSV: save its sheet as CSV"),
        (b"Path;Sex\na;b\n", "its header is: Path;Sex. It is separated by semicolons: save it with commas"),
        (b"Path\tSex\na\tb\n", "It is separated by tabs: save it with commas"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused_with_its_name(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(DatasetError, match=says) as refused:
        read_table(write(tmp_path, content), ["Path", "Sex"])
    assert "table.csv" in str(refused.value)


@pytest.mark.parametrize("multiline", [False, True])
def test_a_quote_that_is_not_closed_costs_its_own_line_only(tmp_path: Path, multiline: bool) -> None:
    path = write(tmp_path, b'Path,Sex\na,b\n"c,d\ne,f\ng,"h" i\nj,k\n')
    rows, malformed = read_table(path, ["Path", "Sex"], multiline=multiline)
    assert rows["Path"].tolist() == (["a", "j"] if multiline else ["a", "e", "j"])
    reasons = [
        "malformed line: a quote is not closed (table.csv line 3)",
        "malformed line: ',' expected after '\"' (table.csv line 5)",
    ]
    # Where a field may hold line breaks, the quote of line 3 ends at the next one, in line 5.
    assert malformed["reason"].tolist() == (
        ["malformed line: ',' expected after '\"' (table.csv line 3)"] if multiline else reasons
    )


def test_a_field_may_hold_line_breaks_where_reports_do_and_rows_keep_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, b'Path,Report,Sex\na,"one\n\ntwo, ""three""",M\nb,short,F\nc,1,2,3\r\nd,"x\r\ny",M\r\n')
    rows, malformed = read_table(path, ["Path", "Sex"], multiline=True)
    assert rows.values.tolist() == [
        ["a", "M", "table.csv line 2"],
        ["b", "F", "table.csv line 5"],
        ["d", "M", "table.csv line 7"],
    ]
    assert malformed["path"].tolist() == ["table.csv line 6"]


def test_a_line_that_is_not_utf_8_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path, b"Path,Sex\na,M\n" + "é,F\n".encode("latin-1") + "é,F\nx\n".encode() + b"\xff\n")
    rows, malformed = read_table(path, ["Path", "Sex"])
    assert rows["Path"].tolist() == ["a", "é"]
    assert malformed["reason"].tolist() == [
        "not UTF-8: the line has bytes that are no UTF-8 text (table.csv line 3)",
        "malformed line: 1 fields where the header has 2 (table.csv line 5)",
        "malformed line: 1 fields where the header has 2 (table.csv line 6)",
    ]


@pytest.mark.parametrize("multiline", [False, True])
def test_a_stray_carriage_return_or_a_huge_field_costs_its_own_line_only(tmp_path: Path, multiline: bool) -> None:
    huge = b"x" * 3_000_000
    path = write(tmp_path, b"Path,Sex\na,b\nc\rd,e\n" + huge + b"\nf,g\n\0,h\n")
    rows, malformed = read_table(path, ["Path", "Sex"], multiline=multiline)
    assert rows.values.tolist() == [
        ["a", "b", "table.csv line 2"],
        ["d", "e", "table.csv line 4"],
        ["f", "g", "table.csv line 6"],
        ["\0", "h", "table.csv line 7"],
    ]
    assert malformed["path"].tolist() == ["table.csv line 3", "table.csv line 5"]


@pytest.mark.parametrize("multiline", [False, True])
def test_a_gzipped_table_is_read_as_the_plain_one(tmp_path: Path, multiline: bool) -> None:
    content = b"Path,Sex\na,b\nc\n"
    plain = read_table(write(tmp_path, content), ["Sex"], ["Age"], multiline=multiline)
    zipped = read_table(write(tmp_path, gzip.compress(content)), ["Sex"], ["Age"], multiline=multiline)
    for one, other in zip(plain, zipped, strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert plain[0].values.tolist() == [["b", "table.csv line 2", ""]]


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b[:30] + b"\0\0" + b[32:], lambda b: b[:2] + b"xx" + b[4:]]
)
def test_broken_gzip_data_is_an_error_and_not_a_shorter_table(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    content = "Path,Sex\n" + "".join(f"{number},{number**5}\n" for number in range(500))
    path = write(tmp_path, damage(gzip.compress(content.encode())))
    with pytest.raises(DatasetError, match=r"table\.csv.*gzip"):
        read_table(path, ["Path"])


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(b"Path,Sex\n" + b"a,b\n" * 100_000))
    for multiline in (False, True):
        with (
            table_files.tables_up_to(1000),
            pytest.raises(DatasetError, match="inflates to more than 1,000 bytes"),
        ):
            read_table(path, ["Path"], multiline=multiline)


@given(lines=st.lists(st.lists(cells, min_size=1, max_size=4), max_size=8))
def test_both_ways_of_reading_agree(lines: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write(tmp_path_factory.mktemp("t"), "".join(",".join(line) + "\n" for line in [["a", "b"], *lines]).encode())
    for one, other in zip(read_table(path, ["b"]), read_table(path, ["b"], multiline=True), strict=True):
        pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("multiline", [False, True])
@given(content=st.binary(max_size=300))
def test_whatever_the_bytes_are_only_a_named_error_comes_out(
    multiline: bool, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("t"), b"Path,Sex\n" + content)
    with contextlib.suppress(DatasetError):
        rows, malformed = read_table(path, ["Path", "Sex"], multiline=multiline)
        assert list(rows.columns) == ["Path", "Sex", "where"]
        assert len(rows) + len(malformed) <= content.count(b"\n") + content.count(b"\r") + 1


@pytest.mark.parametrize("comment", ["# one, two", "#", "# a,b,c,d"])
@pytest.mark.parametrize("quoted", [False, True])  # the quoted line break is read line by line, the rest by Arrow
def test_comments_are_no_rows_and_lines_keep_their_numbers(tmp_path: Path, comment: str, quoted: bool) -> None:
    last = '"7\n8",9,9' if quoted else "7,9,9"
    text = f"{comment}\n\na,b,c\n1,2,3\n{comment}\n#4,5,6\n{last}\n"
    rows, malformed = read_table(write(tmp_path, text.encode()), ["a", "c"])
    assert rows["c"].tolist() == ["3", "6", "9"]
    assert rows["a"].tolist()[1] == "#4"  # a row whose first cell begins so has the header's number of fields
    assert rows["where"].tolist() == ["table.csv line 4", "table.csv line 6", "table.csv line 7"]
    assert malformed.empty


def test_a_comment_between_rows_of_a_plain_table_is_skipped(tmp_path: Path) -> None:
    rows, malformed = read_table(write(tmp_path, b"a,b\n1,2\n# x\n3,4\n5\n"), ["a", "b"])
    assert rows["where"].tolist() == ["table.csv line 2", "table.csv line 4"]
    assert malformed["where"].tolist() == ["table.csv line 5"]


def test_columns_without_a_name_may_be_several_and_words_for_nothing_are_blank(tmp_path: Path) -> None:
    content = b",a,,b\n0,nan,x,1\n1,NULL,y,None\n2,<NA>,z,NaN\n"
    rows, malformed = read_table(write(tmp_path, content), ["a", "b"])
    assert malformed.empty
    assert rows[["a", "b"]].values.tolist() == [["", "1"], ["", "None"]]  # the third row is blank in both


def test_records_between_quotes_are_taken_where_lines_would_give_fewer_rows(tmp_path: Path) -> None:
    rows, malformed = read_table(write(tmp_path, b'a,b\n"x\ny",1\n"x\n\n,y",2\nz,3\nbad\n'), ["a", "b"])
    assert rows["b"].tolist() == ["1", "2", "3"]
    assert rows["where"].tolist() == ["table.csv line 2", "table.csv line 4", "table.csv line 7"]
    assert malformed["where"].tolist() == ["table.csv line 8"]
