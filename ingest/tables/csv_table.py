"""Read a source's CSV, plain or gzipped, as columns of text with the line of each row.

Every line is accounted for: a line that cannot be a row is named with its reason, never lost.
"""

import csv
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from ingest.tables.files import open_table, read_bytes
from ingest.tables.reasons import Kind, Reason, Rejection, rejection_frame
from shards.arrow_memory import arrow_file
from shards.errors import DatasetError

_log = logging.getLogger(__name__)

WHERE = "where"
"""Column that says where a row stands, for people: `train.csv line 12` (the header is line 1)."""

_LONGEST_HEADER = 1 << 20
_COMMENT = b"#"
_WORKBOOK = b"PK\3\4"
_MOST_COMMENTS = 1000
_BLANK = ("nan", "NaN", "NAN", "NULL", "null", "<NA>", "NaT", "#N/A")
"""Words that pandas, databases and spreadsheets write for a cell without a value."""
_IN_WORDS = {"unexpected end of data": "a quote is not closed"}
_NOT_UTF_8 = "the line has bytes that are no UTF-8 text"


def read_table(
    path: Path, required: Sequence[str], optional: Sequence[str] = (), *, multiline: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a UTF-8 CSV whose header has at least the `required` columns.

    multiline: whether quoted fields are known to hold line breaks (reports do). Where they are not, a quote that is not
    closed costs its own line only, unless more rows are found between quotes than on lines; where they are, it costs at
    most the lines to the next quote, all named together. Lines before the header, and lines with another number of
    fields, that begin with # are comments. nan, NaN, NULL and the like, as pandas and databases write them, are blank.

    Returns the rows (the text columns `required` and `optional`, '' where blank or where the table lacks an optional
    one, and WHERE) and the lines that cannot be rows (a table of rejections): too few or too many fields, quotes that
    do not match, bytes that are not UTF-8. Raises DatasetError where no row can be trusted: the file is absent, not
    UTF-8 in any line, or lacks a required column.
    """
    columns, header_line = _header(path)
    missing = [column for column in required if column not in columns]
    if missing:
        raise DatasetError(
            f"{path}: no column {', '.join(map(repr, missing))}; its header is: {', '.join(columns)}"
            + _other_separator(columns)
        )
    wanted = list(dict.fromkeys([*required, *(column for column in optional if column in columns)]))
    read = None if multiline or header_line > 1 else _read_fast(path, columns, wanted)
    if read is None:
        read = _read_carefully(path, columns, wanted, header_line, multiline=multiline)
        if not multiline and read[2]:
            # A column of text may hold line breaks: then the lines are no rows, and the records between quotes are.
            whole = _read_carefully(path, columns, wanted, header_line, multiline=True)
            read = max(read, whole, key=lambda found: (len(found[1]), -len(found[2])))
    rows, lines, malformed = read
    if not lines and any(kind == Kind.NOT_UTF_8 for _, kind, _ in malformed):
        raise DatasetError(f"{path} is not UTF-8 in any of its lines: save it as UTF-8 and try again")
    rows = rows.apply(_plain)
    blank = (rows == "").all(axis=1)
    rows[WHERE] = f"{path.name} line " + pd.Series(lines, dtype="int64", index=rows.index).astype(str)
    for column in optional:
        if column not in rows:
            rows[column] = pd.Series("", index=rows.index, dtype="str")
    rejected = [malformed_line(f"{path.name} line {line}", kind, detail) for line, kind, detail in malformed]
    return rows[~blank].reset_index(drop=True), rejection_frame(rejected)


def malformed_line(where: str, kind: Kind, detail: str) -> Rejection:
    """The rejection of a line that is no row: nothing but its place names it."""
    return Rejection(where, Reason(kind, detail, where))


def read_header(path: Path) -> list[str]:
    """Column names of a CSV, '' for a column without a name. Raises DatasetError where there is none to be trusted."""
    return _header(path)[0]


def present_labels(
    paths: Sequence[Path], labels: Sequence[str], aliases: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Those of the labels that at least one table has, in their order. aliases: columns that stand for a label.

    Raises DatasetError where no table has any.
    """
    columns = {(aliases or {}).get(column, column) for path in paths for column in read_header(path)}
    found = tuple(label for label in labels if label in columns)
    if not found:
        names = ", ".join(str(path) for path in paths)
        raise DatasetError(f"{names}: no column of labels; one of them is {labels[0]!r}, as the archive writes it")
    absent = [label for label in labels if label not in columns]
    if absent:
        _log.info("%s: no column %s; the dataset has %d labels", paths[0], ", ".join(absent), len(found))
    return found


def _other_separator(columns: Sequence[str]) -> str:
    """What to do about a header without a comma that spreadsheets of other languages write."""
    found = [name for mark, name in ((";", "semicolons"), ("\t", "tabs")) if len(columns) == 1 and mark in columns[0]]
    return f". It is separated by {found[0]}: save it with commas" if found else ""


def _header(path: Path) -> tuple[list[str], int]:
    """Column names and the line that they stand on: the first one that is neither blank nor a comment."""
    number, line = 0, b""
    with open_table(path) as file:
        while content := file.readline(_LONGEST_HEADER):
            number += 1
            line = content
            text = content.removeprefix(b"\xef\xbb\xbf").strip()
            if text and not (text.startswith(_COMMENT) and number <= _MOST_COMMENTS):
                break
    if line.startswith(_WORKBOOK):
        raise DatasetError(f"{path} is a workbook or another zip archive, no CSV: save its sheet as CSV (UTF-8)")
    # A file without a line feed may still have Mac line ends.
    first = line.split(b"\r")[0].rstrip(b"\n")
    if b"\0" in line or line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DatasetError(f"{path} is not UTF-8 text but looks like UTF-16: save it as UTF-8 and try again")
    try:
        columns = [name.strip() for name in next(csv.reader([first.decode("utf-8-sig")], strict=True), [])]
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 (line {number}): save it as UTF-8 and try again") from error
    except csv.Error as error:
        raise DatasetError(f"{path}: its header is no line of a CSV ({error})") from error
    repeated = sorted({column for column in columns if column and columns.count(column) > 1})
    if repeated:
        raise DatasetError(f"{path}: column {', '.join(map(repr, repeated))} occurs more than once in the header")
    return columns, number


_Malformed = list[tuple[int, Kind, str]]
_Read = tuple[pd.DataFrame, Sequence[int], _Malformed]
"""Text columns, the line of each row, and line, kind and detail of each line that is no row."""


def _read_fast(path: Path, columns: Sequence[str], wanted: Sequence[str]) -> _Read | None:
    """All at once with Arrow; None where the file needs to be looked at line by line."""
    content = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode()
    except UnicodeDecodeError:
        return None
    names = [name or f"\0{place}" for place, name in enumerate(columns)]
    try:
        table = pa.csv.read_csv(
            arrow_file(content),
            # One block: a line that does not fit into a block would stop the rest.
            read_options=pa.csv.ReadOptions(
                use_threads=False, block_size=len(content) + 1, column_names=names, skip_rows=1
            ),
            parse_options=pa.csv.ParseOptions(ignore_empty_lines=False),
            convert_options=pa.csv.ConvertOptions(
                include_columns=list(wanted),
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowException, OverflowError):  # such as a line with another number of fields
        return None
    ends = content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")
    lines = ends + (not content.endswith((b"\n", b"\r")))
    if table.num_rows != lines - 1:  # a quote ran over the end of its line
        return None
    return table.to_pandas(), range(2, lines + 1), []


def _read_carefully(
    path: Path, columns: Sequence[str], wanted: Sequence[str], header_line: int, *, multiline: bool
) -> _Read:
    """One record after the other, in the memory that the wanted columns need."""
    places = [columns.index(column) for column in wanted]
    cells: list[list[str]] = [[] for _ in wanted]
    lines: list[int] = []
    malformed: _Malformed = []
    with open_table(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        for line, record in _records(text, header_line, multiline=multiline):
            if isinstance(record, csv.Error):
                malformed.append((line, Kind.MALFORMED, _IN_WORDS.get(str(record), str(record))))
            elif len(record) not in (0, len(columns)) and not record[0].startswith(_COMMENT.decode()):
                malformed.append((line, Kind.MALFORMED, _wrong_count(len(record), len(columns))))
            elif len(record) == len(columns):
                values = [record[place] for place in places]
                if all(map(_is_text, values)):
                    lines.append(line)
                    for column, value in zip(cells, values, strict=True):
                        column.append(value)
                else:
                    malformed.append((line, Kind.NOT_UTF_8, _NOT_UTF_8))
    frame = {column: pd.Series(values, dtype="str") for column, values in zip(wanted, cells, strict=True)}
    return pd.DataFrame(frame), lines, malformed


def _records(
    text: io.TextIOWrapper, header_line: int, *, multiline: bool
) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Line at which a record begins and its fields, or what is wrong with it, without the header."""
    if not multiline:
        for number, content in enumerate(text, start=1):
            if number > header_line:
                try:
                    yield number, next(csv.reader([content], strict=True), [])
                except csv.Error as error:
                    yield number, error
        return
    reader = csv.reader(text, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record: list[str] | csv.Error = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the next record begins with the next line
            record = error
        if line > header_line:
            yield line, record


def _plain(column: pd.Series) -> pd.Series:
    """Text without blanks at its ends, '' where a program wrote a word for no value."""
    text = column.str.strip()
    return text.mask(text.isin(_BLANK), "")


def _wrong_count(found: int, expected: int) -> str:
    return f"{found} fields where the header has {expected}"


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
