"""Reads a source's CSV as text, line by line accounted for: a line that cannot be a row is named, never lost.

A CSV file flows in; a frame of text columns with the line each row stands on comes out. Knows no dataset.
"""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from shards.errors import DatasetError

WHERE = "where"
"""Column that says where a row stands, for people: `train.csv line 12` (the header is line 1)."""


def read_table(path: Path, required: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a UTF-8 CSV whose header has at least the `required` columns.

    Returns the rows (text columns, '' where blank, and WHERE) and the lines that have too few or too many fields
    (columns path, reason). Raises DatasetError where the whole file is unusable: absent, not UTF-8, without a
    required column, or with a quote that does not close on its line.
    """
    content = _read(path)
    columns = _parse_header(path, content)
    missing = [column for column in required if column not in columns]
    if missing:
        raise DatasetError(f"{path}: no column {', '.join(map(repr, missing))}; its header is: {', '.join(columns)}")
    malformed: list[tuple[int, str]] = []

    def note(row: pa.csv.InvalidRow) -> str:
        reason = f"malformed line: {row.actual_columns} fields where the header has {row.expected_columns}"
        malformed.append((row.number, f"{reason} ({path.name} line {row.number})"))
        return "skip"

    try:
        table = pa.csv.read_csv(
            io.BytesIO(content),
            read_options=pa.csv.ReadOptions(use_threads=False),
            parse_options=pa.csv.ParseOptions(invalid_row_handler=note, ignore_empty_lines=False),
            convert_options=pa.csv.ConvertOptions(
                include_columns=list(required),
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise DatasetError(f"{path} cannot be read as UTF-8 CSV: {error}. Save it as UTF-8 and try again.") from error
    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    if table.num_rows + len(malformed) != lines - 1:
        raise DatasetError(f"{path}: a quote is not closed on its line, so rows would run into each other")
    bad_lines = {number for number, _ in malformed}
    numbers = [n for n in range(2, lines + 1) if n not in bad_lines]
    rows = table.to_pandas()
    rows = rows.apply(lambda column: column.str.strip())
    rows[WHERE] = f"{path.name} line " + pd.Series(numbers, dtype=str)
    blank = (rows[list(required)] == "").all(axis=1)
    rejected = pd.DataFrame([(f"{path.name} line {n}", reason) for n, reason in malformed], columns=["path", "reason"])
    return rows[~blank].reset_index(drop=True), rejected


def read_header(path: Path) -> list[str]:
    """Column names of a CSV."""
    return _parse_header(path, _read(path))


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a table's bytes: a build notices by it that its source has changed."""
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error


def _parse_header(path: Path, content: bytes) -> list[str]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path} is not UTF-8 (line {line}): save it as UTF-8 and try again") from error
    columns = [column.strip().strip('"') for column in text.split("\n", 1)[0].strip().split(",")]
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise DatasetError(f"{path}: column {', '.join(map(repr, repeated))} occurs more than once in the header")
    return columns
