"""Read a CSV (comma, semicolon or tab, perhaps gzipped) or a Parquet file, and find its column of ids.

pandas' unnamed index is no id, and neither is a column 0..n-1 beside one that is called key, Study, Path or sample_id:
joining by row number would compare rows that do not belong together.
"""

import csv
import gzip
import io
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet

from evaluation.tables.identifiers import NAMED_IDS
from shards.errors import CxrError
from shards.input_files import LARGEST_FILE, read_regular

_DELIMITERS = (",", ";", "\t")
_UNNAMED = re.compile(r"\s*|Unnamed: \d+|__index_level_\d+__")


class TableError(CxrError):
    """A table of truth or predictions that cannot be used: says which file, which line, and what to do."""


@dataclass(frozen=True)
class RawTable:
    """A file's columns, the id first. first_line: what its first row is called: 2 in a CSV, whose header is line 1."""

    columns: pd.DataFrame
    first_line: int


def read_raw_table(path: Path) -> RawTable:
    """Read a table whose first column is the id. Raises TableError."""
    if not path.is_file():
        raise TableError(f"{path}: no such file")
    raw = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    names = [str(name) for name in raw.columns.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TableError(f"{path}: column {repeated[0]!r} occurs more than once")
    if len(names) < 2 or raw.columns.empty:
        raise TableError(f"{path}: expected an id column, at least one more, and at least one row")
    raw.columns.columns = pd.Index(names, dtype=object)
    return RawTable(_with_id_first(path, raw.columns), raw.first_line)


def as_text(column: pd.Series) -> list[str]:
    """Values as text, the same for the same content in CSV and Parquet: missing ones are "", 3.0 is "3"."""
    missing = column.isna().to_numpy(bool)
    return ["" if blank else _text(value) for value, blank in zip(column.tolist(), missing, strict=True)]


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _with_id_first(path: Path, columns: pd.DataFrame) -> pd.DataFrame:
    first, *others = columns.columns
    named = [name for name in others if name in NAMED_IDS]
    if first in NAMED_IDS or not (_UNNAMED.fullmatch(first) or (named and _counts_rows(columns[first]))):
        return columns
    if named:
        return columns[[named[0], *(name for name in others if name != named[0])]]
    raise TableError(
        f"{path}: the first column has no name, as when pandas writes its index. Name the column of ids (key, Study, "
        "Path or sample_id) and make it the first one; index=False leaves pandas' index out"
    )


def _counts_rows(column: pd.Series) -> bool:
    """Whether a column holds 0..n-1 in any order."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    return bool(np.array_equal(np.sort(numbers), np.arange(len(numbers))))


def _read_csv(path: Path) -> RawTable:
    # Not pandas' reader: it fills rows that are too short with blanks, and a blank truth means something here.
    try:
        content = read_regular(path)
        if content[:2] == b"\x1f\x8b":
            content = _inflated(content)
        text = content.decode("utf-8-sig")
        delimiter = _delimiter(text)
        header, *rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) or [[]]
    except (UnicodeDecodeError, csv.Error, OSError, EOFError, zlib.error) as error:
        raise TableError(
            f"{path} cannot be read as a CSV in UTF-8: {error}. Tables are .csv, .csv.gz or .parquet"
        ) from error
    while rows and not rows[-1]:
        rows.pop()  # blank lines at the end
    for row, cells in enumerate(rows):
        if len(cells) != len(header):
            raise TableError(f"{path}, line {row + 2}: {len(cells)} columns, the header has {len(header)}")
    return RawTable(pd.DataFrame(rows, columns=pd.Index(header, dtype=object), dtype=object), 2)


def _inflated(content: bytes) -> bytes:
    """Inflate a table. Raises OSError where it grows beyond any table's size."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        inflated = file.read(LARGEST_FILE + 1)
    if len(inflated) > LARGEST_FILE:
        raise OSError(f"it inflates to more than {LARGEST_FILE:,} bytes")
    return inflated


def _delimiter(text: str) -> str:
    """The delimiter that splits the header into most columns, a comma where they agree."""
    header = io.StringIO(text, newline="").readline()
    return max(_DELIMITERS, key=lambda delimiter: len(next(csv.reader([header], delimiter=delimiter), [])))


def _read_parquet(path: Path) -> RawTable:
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise TableError(f"{path} cannot be read as Parquet: {error}") from error
    columns = table.to_pandas(ignore_metadata=True)
    recorded = [name for name in (table.schema.pandas_metadata or {}).get("index_columns", []) if isinstance(name, str)]
    if len(recorded) > 1:
        raise TableError(f"{path} has an index of {len(recorded)} columns: write it with one column of ids")
    if recorded and recorded[0] in columns:
        (index,) = recorded
        if not (_UNNAMED.fullmatch(index) and _counts_rows(columns[index])):
            columns = columns[[index, *(name for name in columns.columns if name != index)]]
            columns = columns.rename(columns={index: "key"} if _UNNAMED.fullmatch(index) else {})
        else:
            columns = columns.drop(columns=index)
    return RawTable(columns, 1)
