"""The columns of samples.parquet in format version 1, and its rows as mappings of columns to cells."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from shards.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 1
SPLITS = ("train", "valid", "test")

Cell = str | int | float | None
Row = Mapping[str, Cell]
"""A sample's cells by column; None where unknown."""

_FIELDS: tuple[pa.Field, ...] = (
    pa.field("key", pa.string(), nullable=False),
    pa.field("sample_id", pa.int64(), nullable=False),
    pa.field("shard", pa.string(), nullable=False),
    pa.field("position", pa.int32(), nullable=False),
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("bytes", pa.int64(), nullable=False),
    pa.field("crc32c", pa.uint32(), nullable=False),
    pa.field("patient_id", pa.string(), nullable=False),
    pa.field("study_id", pa.string()),
    pa.field("projection", pa.string()),
    pa.field("ap_pa", pa.string()),
    pa.field("sex", pa.string()),
    pa.field("age", pa.float32()),
    pa.field("split", pa.string(), nullable=False),
    pa.field("source_split", pa.string()),
    pa.field("width", pa.int32(), nullable=False),
    pa.field("height", pa.int32(), nullable=False),
    pa.field("source_path", pa.string()),
    pa.field("excluded", pa.string()),
)

COLUMNS: tuple[str, ...] = tuple(field.name for field in _FIELDS)
"""Names of the columns before the labels, in order."""

FLOAT_COLUMNS = frozenset(field.name for field in _FIELDS if pa.types.is_floating(field.type))
"""Those of COLUMNS that are float32, as all labels are."""

WRITER_COLUMNS = frozenset({"sample_id", "shard", "position", "offset", "bytes", "crc32c"})
"""What the shard writer fills in; a row given to it has every other column."""


def schema(label_names: Sequence[str]) -> pa.Schema:
    """Arrow schema of samples.parquet: the fixed columns, then one nullable float32 column a label."""
    clashes = sorted(set(label_names) & set(COLUMNS))
    if clashes or len(set(label_names)) != len(label_names):
        raise ValueError(f"label names repeat or clash with a column: {clashes or list(label_names)}")
    return pa.schema([*_FIELDS, *(pa.field(label, pa.float32()) for label in label_names)])


def records(rows: "pd.DataFrame") -> Iterator[dict[str, Cell]]:
    """Yield the rows of a table with unknown cells as None, as the writer had them."""
    for record in rows.astype(object).where(rows.notna(), None).to_dict("records"):
        yield {str(column): cell for column, cell in record.items()}


def text(row: Row, column: str) -> str:
    """Read a cell that holds text. Raises DatasetError for any other."""
    cell = row[column]
    if not isinstance(cell, str):
        raise DatasetError(f"a row's {column} is {cell!r}, which is not text")
    return cell


def whole(row: Row, column: str) -> int:
    """Read a cell that holds a whole number. Raises DatasetError for any other."""
    cell = row[column]
    if not isinstance(cell, int | np.integer):
        raise DatasetError(f"a row's {column} is {cell!r}, which is not a whole number")
    return int(cell)
