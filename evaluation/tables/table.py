"""Tables whose first column is an id: a CSV, a Parquet file or a Zarr group of predictions, read and checked.

Files flow in; comparable ids, probabilities and truth values flow out, or an error that names file and line.
Knows nothing of how tables are joined or of shards.
"""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet
from numpy.typing import NDArray

from evaluation.tables.identifiers import comparable
from shards.errors import CxrError


class TableError(CxrError):
    """A table of truth or predictions that cannot be used: says which file, which line, and what to do."""


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
    sidecar: dict[str, Any] | None
    sha256: str | None

    @property
    def names(self) -> list[str]:
        """Names of the columns after the id."""
        return [str(name) for name in self.columns]

    def place(self, row: int) -> str:
        """Where a row stands, for a message."""
        return f"{self.path}, {'line' if self.first_line == 2 else 'row'} {row + self.first_line}"

    def probabilities(self, label: str) -> NDArray[np.float64]:
        """A column of probabilities, float64 [rows]. Raises TableError for blanks, text, NaN or outside 0..1."""
        values = _numbers(self.columns[label])
        wrong = np.flatnonzero(~((values >= 0) & (values <= 1)))  # NaN compares false, so it is found too
        if len(wrong):
            raise TableError(
                f"{self.place(int(wrong[0]))}: {label} is {self.columns[label].iloc[wrong[0]]!r}, "
                f"not a probability between 0 and 1 ({len(wrong)} such values)"
            )
        return values

    def truth(self, label: str) -> NDArray[np.float64]:
        """A column of truth, float64 [rows]: 1, 0, -1 (uncertain) or NaN (blank). Raises TableError for others."""
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


def read_table(path: Path) -> Table:
    """Read a CSV or Parquet file whose first column is the id. Raises TableError."""
    if not path.is_file():
        raise TableError(f"{path}: no such file")
    columns, first_line = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    names = [str(name) for name in columns.columns]
    if len(names) < 2 or columns.empty:
        raise TableError(f"{path}: expected an id column, at least one more, and at least one row")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TableError(f"{path}: column {repeated[0]!r} occurs more than once")
    columns.columns = pd.Index(names)
    written = [str(value) for value in columns[names[0]]]
    table = Table(
        path=path,
        id_column=names[0],
        ids=tuple(comparable(names[0], written)),
        columns=columns[names[1:]],
        first_line=first_line,
        sidecar=_read_sidecar(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    _refuse_repeated(table, written)
    return table


def read_predictions(path: Path) -> list[Table]:
    """Predictions, one table a draw: a file is one draw, a Zarr group has one a model. Raises TableError."""
    if path.is_dir():
        return _read_zarr(path)
    return [read_table(path)]


def _read_csv(path: Path) -> tuple[pd.DataFrame, int]:
    # Not pandas' reader: it fills rows that are too short with blanks, and a blank truth means something here.
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path} cannot be read as a CSV in UTF-8: {error}") from error
    while rows and not rows[-1]:
        rows.pop()  # blank lines at the end
    for row, cells in enumerate(rows):
        if len(cells) != len(header):
            raise TableError(f"{path}, line {row + 2}: {len(cells)} columns, the header has {len(header)}")
    return pd.DataFrame(rows, columns=pd.Index(header, dtype=object), dtype=object), 2


def _read_parquet(path: Path) -> tuple[pd.DataFrame, int]:
    try:
        return pyarrow.parquet.read_table(path).to_pandas(ignore_metadata=True), 1
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise TableError(f"{path} cannot be read as Parquet: {error}") from error


def _read_zarr(path: Path) -> list[Table]:
    """`scores` [models, samples, labels], attributes labels and id, and the ids in the array that `id` names."""
    import zarr

    try:
        group = zarr.open_group(path, mode="r")
        scores = np.asarray(group["scores"])
        attributes = dict(group.attrs)
        labels = [str(label) for label in attributes["labels"]]  # type: ignore[union-attr]
        id_column = str(attributes.get("id", "sample_id"))
        ids = [str(value) for value in np.asarray(group[id_column])]
    except (KeyError, FileNotFoundError, ValueError) as error:
        raise TableError(
            f"{path} is no Zarr group of predictions (an array `scores` [models, samples, labels], an array of ids "
            f"named by the attribute `id` (default sample_id), an attribute `labels`): {error}"
        ) from error
    if scores.ndim != 3 or scores.shape[1:] != (len(ids), len(labels)) or not scores.size:
        raise TableError(f"{path}: scores are {scores.shape}, expected [models, {len(ids)}, {len(labels)}]")
    sidecars = attributes.get("models")
    if not isinstance(sidecars, list) or len(sidecars) != len(scores):
        sidecars = [None] * len(scores)
    tables = [
        Table(
            path=path,
            id_column=id_column,
            ids=tuple(comparable(id_column, ids)),
            columns=pd.DataFrame(dict(zip(labels, model.T.astype(np.float64), strict=True))),
            first_line=0,
            sidecar=sidecar if isinstance(sidecar, dict) else None,
            sha256=None,
        )
        for model, sidecar in zip(scores, sidecars, strict=True)
    ]
    _refuse_repeated(tables[0], ids)
    return tables


def _read_sidecar(path: Path) -> dict[str, Any] | None:
    sidecar = path.with_name(path.name + ".json")
    if not sidecar.is_file():
        return None
    try:
        content = json.loads(sidecar.read_bytes())
    except ValueError as error:
        raise TableError(f"{sidecar} is not JSON: {error}. Write the predictions anew, or remove it.") from error
    if not isinstance(content, dict):
        raise TableError(f"{sidecar} holds no JSON object. Write the predictions anew, or remove it.")
    return content


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
    return np.asarray(pd.to_numeric(column, errors="coerce"), np.float64)
