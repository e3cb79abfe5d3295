"""Read tables whose first column is an id: predictions with their sidecars, and truth, checked value by value."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.tables.identifiers import comparable
from evaluation.tables.sidecar import Sidecar, read_sidecar
from evaluation.tables.table_files import TableError, as_text, read_raw_table
from evaluation.tables.zarr_scores import read_zarr_scores

__all__ = ["Table", "TableError", "read_predictions", "read_table"]


@dataclass(frozen=True)
class Table:
    """One table. id_column: name of its first column; ids: [rows], as compared; columns: the others.

    first_line: what the first row is called in messages (2 in a CSV, whose header is line 1).
    sidecar: what stands in `<file>.json`, None where there is none. sha256: of the file, None of a Zarr group.
    """

    path: Path
    id_column: str
    ids: tuple[str, ...]
    columns: pd.DataFrame
    first_line: int
    sidecar: Sidecar | None
    sha256: str | None

    @property
    def names(self) -> list[str]:
        """Names of the columns after the id."""
        return [str(name) for name in self.columns]

    def place(self, row: int) -> str:
        """Where a row stands, for a message."""
        return f"{self.path}, {'line' if self.first_line == 2 else 'row'} {row + self.first_line}"

    def scores(self, label: str) -> NDArray[np.float64]:
        """A column of finite numbers, float64 [rows]. Raises TableError for blanks, text, NaN, infinity, True, False.

        A decision (True or False) is no score: the order of the rows that an AUROC needs is lost in it.
        """
        values = _numbers(self.columns[label])
        self._refuse(label, ~np.isfinite(values), "a finite number")
        return values

    def probabilities(self, label: str) -> NDArray[np.float64]:
        """A column of probabilities, float64 [rows]. Raises TableError for what is no number between 0 and 1."""
        values = _numbers(self.columns[label])
        self._refuse(label, ~((values >= 0) & (values <= 1)), "a probability between 0 and 1")  # NaN compares false
        return values

    def truth(self, label: str) -> NDArray[np.float64]:
        """A column of truth, float64 [rows]: 1, 0, -1 (uncertain) or NaN (blank); True is 1, False is 0.

        Raises TableError for others.
        """
        column = self.columns[label]
        values = _numbers(column)
        blank = column.isna().to_numpy(bool) | (column.astype(str).str.strip() == "").to_numpy(bool)
        wrong = np.flatnonzero(~(np.isin(values, (1.0, 0.0, -1.0)) | blank))
        if len(wrong):
            raise TableError(
                f"{self.place(int(wrong[0]))}: {label} is {column.iloc[wrong[0]]!r}, "
                f"expected 1, 0, -1 or blank ({len(wrong)} such values)"
            )
        return values

    def _refuse(self, label: str, wrong: NDArray[np.bool_], expected: str) -> None:
        """Raise TableError for the first wrong value, or the first that is a decision."""
        column = self.columns[label]
        rows = np.flatnonzero(wrong | _decisions(column))
        if not len(rows):
            return
        found = column.iloc[rows[0]]
        advice = ""
        if str(found).strip().lower() in ("true", "false"):
            advice = ". Write the score that the decision was made from"
        elif "," in str(found):
            advice = ". Write decimals with a point"
        raise TableError(
            f"{self.place(int(rows[0]))}: {label} is {found!r}, not {expected} ({len(rows)} such values){advice}"
        )


def read_table(path: Path) -> Table:
    """Read a CSV (perhaps gzipped) or Parquet file whose first column is the id. Raises TableError."""
    raw = read_raw_table(path)
    names = [str(name) for name in raw.columns]
    written = as_text(raw.columns[names[0]])
    table = Table(
        path=path,
        id_column=names[0],
        ids=tuple(comparable(names[0], written)),
        columns=raw.columns[names[1:]],
        first_line=raw.first_line,
        sidecar=read_sidecar(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    _refuse_repeated(table, written)
    return table


def read_predictions(path: Path) -> list[Table]:
    """Predictions, one table a draw: a file is one draw, a Zarr group has one a model. Raises TableError."""
    if not path.is_dir():
        return [read_table(path)]
    group = read_zarr_scores(path)
    tables = [
        Table(
            path=path,
            id_column=group.id_column,
            ids=tuple(comparable(group.id_column, group.ids)),
            columns=pd.DataFrame(dict(zip(group.labels, model.T, strict=True))),
            first_line=0,
            sidecar=sidecar,
            sha256=None,
        )
        for model, sidecar in zip(group.scores, group.sidecars, strict=True)
    ]
    _refuse_repeated(tables[0], group.ids)
    return tables


def _refuse_repeated(table: Table, written: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for row, value in enumerate(table.ids):
        if not value or value == "None":
            raise TableError(f"{table.place(row)}: the id ({table.id_column}) is blank")
        before = first.setdefault(value, row)
        if before == row:
            continue
        if written[before] == written[row]:
            raise TableError(f"{table.place(row)} repeats the id {written[row]} of {table.place(before)}")
        raise TableError(
            f"{table.place(row)}: {written[row]} cannot be told from {written[before]} of {table.place(before)}, "
            f"since both are compared as {value}: keep one split a file"
        )


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    """Values as float64, NaN for what is no number; True and False are 1 and 0."""
    if column.dtype == object or isinstance(column.dtype, pd.StringDtype | pd.CategoricalDtype):
        text = column.astype(object)
        lowered = text.map(lambda value: value.strip().lower() if isinstance(value, str) else value)
        column = lowered.map(
            lambda value: {"true": 1, "false": 0}.get(value, value) if isinstance(value, str) else value
        )
    return np.asarray(pd.to_numeric(column, errors="coerce").astype("Float64").to_numpy(np.float64, na_value=np.nan))


def _decisions(column: pd.Series) -> NDArray[np.bool_]:
    """Which values are True or False, as such or as text."""
    if column.dtype == bool or isinstance(column.dtype, pd.BooleanDtype):
        return np.ones(len(column), bool)
    if pd.api.types.is_numeric_dtype(column):
        return np.zeros(len(column), bool)
    return np.array([str(value).strip().lower() in ("true", "false") for value in column], bool)
