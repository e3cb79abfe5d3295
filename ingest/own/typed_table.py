"""Read a table of your own, CSV or Parquet, as text: blank where nothing is said, whatever type a column had."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.own.columns import TableColumns
from ingest.tables.csv_table import WHERE, read_table
from ingest.tables.files import check_table_size
from ingest.tables.reasons import rejection_frame
from ingest.tables.vocabulary import whole_ids
from shards.errors import DatasetError
from shards.input_files import open_regular

_MAGIC = b"PAR1"
_UNKNOWN = {"nan", "null", "none", "na", "n/a", "<na>", "nat"}


def read_typed(columns: TableColumns) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The wanted columns as text with WHERE, and the lines that are no rows. Raises DatasetError as read_table does."""
    path = columns.table
    if not path.is_file():
        raise DatasetError(f"{path}: no such table; give its path to --table")
    with open_regular(path) as file:
        parquet = file.read(len(_MAGIC)) == _MAGIC
    table, malformed = (
        _read_parquet(path, columns.wanted) if parquet else read_table(path, columns.wanted, multiline=True)
    )
    for name in columns.wanted:
        table[name] = table[name].where(~table[name].str.lower().isin(_UNKNOWN), "")
    for column in filter(None, (columns.patient_column, columns.study_column)):
        table[column] = whole_ids(table[column])
    return table, malformed


def _read_parquet(path: Path, wanted: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    try:
        described = pq.read_metadata(path)
        check_table_size(path, sum(described.row_group(n).total_byte_size for n in range(described.num_row_groups)))
        there = pq.read_schema(path).names
        if missing := [name for name in wanted if name not in there]:
            raise DatasetError(f"{path}: no column {', '.join(map(repr, missing))}; it has: {', '.join(there)}")
        frame = pq.read_table(path, columns=list(wanted)).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path} cannot be read as Parquet: {error}") from error
    table = pd.DataFrame({name: _text(frame[name]) for name in wanted})
    table[WHERE] = f"{path.name} row " + pd.Series(np.arange(1, len(table) + 1), dtype="int64").astype(str)
    return table, rejection_frame([])


def _text(column: pd.Series) -> pd.Series:
    """Cells as text: None, NaN and NA blank, whole numbers without `.0`."""
    cells = column.astype(object)
    text = [_cell(value, missing) for value, missing in zip(cells, column.isna(), strict=True)]
    return pd.Series(text, dtype="str")


def _cell(value: object, missing: bool) -> str:
    if missing or value is None:
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()
