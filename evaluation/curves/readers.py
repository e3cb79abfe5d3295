"""Read what human readers decided, and find their operating points: beside the curves of models.

Two tables are understood, CSV or Parquet. Calls: the id of a row first, then `reader`, then a column a label with 1, 0
or blank. Rates that were published: `reader`, `label`, `sensitivity` and `specificity`, and perhaps `positives` and
`negatives`, the rows that the reader read.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.curves.content import LabelCurves, Rate, ReaderPoint, ReadersFile
from evaluation.metrics.ratio import WeightedRatio
from evaluation.statistics.estimates import Sample, Sizes, value_estimate
from evaluation.statistics.intervals import wilson
from evaluation.tables.comparison import Comparison
from evaluation.tables.identifiers import comparable, quoted
from evaluation.tables.table_files import TableError, as_text, read_raw_table

READER, LABEL, SENSITIVITY, SPECIFICITY = "reader", "label", "sensitivity", "specificity"
POSITIVES, NEGATIVES = "positives", "negatives"
_RATES = {LABEL, SENSITIVITY, SPECIFICITY}

Points = dict[str, dict[str, ReaderPoint]]
"""By label and reader."""


@dataclass(frozen=True)
class _Table:
    """A file of readers. first_line: what its first row is called in messages."""

    path: Path
    columns: pd.DataFrame
    first_line: int

    def place(self, row: int) -> str:
        """Where a row stands, for a message."""
        return f"{self.path}, {'line' if self.first_line == 2 else 'row'} {row + self.first_line}"

    def text(self, column: str) -> list[str]:
        """A column as text. Raises TableError where a value is blank."""
        values = as_text(self.columns[column])
        blank = [row for row, value in enumerate(values) if not value]
        if blank:
            raise TableError(f"{self.place(blank[0])}: {column} is blank")
        return values


def reader_points(path: Path, comparison: Comparison, level: float) -> tuple[Points, ReadersFile]:
    """The operating point of every reader on every label of the comparison that the table has.

    Raises TableError for a table of neither kind, a value that is no call or no rate, a row that is not judged, and
    where no label is shared.
    """
    raw = read_raw_table(path)
    table = _Table(path, raw.columns, raw.first_line)
    names = {str(name) for name in raw.columns}
    if READER not in names:
        raise TableError(
            f"{path} has no column {READER!r}: give calls (the id, reader, then a column a label with 1 and 0) or "
            "rates (reader, label, sensitivity, specificity)"
        )
    points = _rates(table, comparison, level) if names >= _RATES else _calls(table, comparison, level)
    return points, ReadersFile(str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def with_readers(labels: Mapping[str, LabelCurves], points: Points) -> dict[str, LabelCurves]:
    """The labels with their readers."""
    return {
        label: LabelCurves(one.n, one.positives, one.negatives, one.arms, points.get(label, {}))
        for label, one in labels.items()
    }


def _calls(table: _Table, comparison: Comparison, level: float) -> Points:
    id_column = str(table.columns.columns[0])
    if id_column == READER:
        raise TableError(f"{table.path}: its first column has to be the id of the judged rows, then {READER}")
    labels = [str(name) for name in table.columns if str(name) in comparison.labels]
    _refuse_no_label(labels, table, comparison)
    row_of = {name: row for row, name in enumerate(comparison.ids)}
    ids = comparable(id_column, table.text(id_column))
    unknown = [name for name in ids if name not in row_of]
    if unknown:
        raise TableError(
            f"{table.path}: {len(unknown)} of {len(ids)} rows are not judged here: {quoted(unknown)}. Judged are "
            f"{quoted(comparison.ids)}: leave the others out"
        )
    readers = table.text(READER)
    _refuse_read_twice(table, list(zip(ids, readers, strict=True)))
    rows = np.array([row_of[name] for name in ids])
    calls = {label: _called(table, label) for label in labels}
    found: Points = {}
    for label in labels:
        column = comparison.labels.index(label)
        for reader in dict.fromkeys(readers):
            own = np.array([name == reader for name in readers]) & ~np.isnan(calls[label])
            truth = comparison.truth[rows[own], column]
            judged = ~np.isnan(truth)
            if judged.any():
                found.setdefault(label, {})[reader] = _point(
                    calls[label][own][judged] == 1, truth[judged] == 1, comparison.unit[rows[own]][judged], level
                )
    return found


def _point(called: NDArray[np.bool_], truth: NDArray[np.bool_], unit: NDArray[np.int64], level: float) -> ReaderPoint:
    flagged = int(called.sum())
    return ReaderPoint(
        positives=int(truth.sum()),
        negatives=int((~truth).sum()),
        sensitivity=_proportion(called[truth], unit[truth], level),
        specificity=_proportion(~called[~truth], unit[~truth], level),
        precision=int((called & truth).sum()) / flagged if flagged else None,
    )


def _proportion(right: NDArray[np.bool_], unit: NDArray[np.int64], level: float) -> Rate:
    """A proportion with the interval that `cxr-eval bootstrap` gives it: Wilson's, wider for units of several rows."""
    n = len(right)
    if not n:
        return Rate(None)
    names, unit = np.unique(unit, return_inverse=True)
    k = len(names)
    influence = WeightedRatio(right.astype(np.float64), np.ones(n), unit, k).influence()
    sample = Sample(
        by_draw=np.array([right.mean()]),
        replicates=np.zeros(0),
        with_draws=np.zeros(0),
        by_unit=influence.by_unit,
        row_variance=influence.row_variance,
        between=(),
    )
    ci = value_estimate(sample, Sizes(k, (k,), (n, n), k < n, "proportion", influence.trials), level, "auto").ci
    return Rate(float(right.mean()), None if ci is None or math.isnan(ci[0]) else ci)


def _called(table: _Table, label: str) -> NDArray[np.float64]:
    """1, 0, or NaN for blank."""
    values = {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0, "true": 1.0, "false": 0.0, "": math.nan}
    text = [value.strip().lower() for value in as_text(table.columns[label])]
    wrong = [row for row, value in enumerate(text) if value not in values]
    if wrong:
        raise TableError(
            f"{table.place(wrong[0])}: {label} is {text[wrong[0]]!r}: a reader's call is 1, 0 or blank "
            f"({len(wrong)} such values)"
        )
    return np.array([values[value] for value in text])


def _rates(table: _Table, comparison: Comparison, level: float) -> Points:
    labels, readers = table.text(LABEL), table.text(READER)
    _refuse_no_label([label for label in labels if label in comparison.labels], table, comparison)
    _refuse_read_twice(table, list(zip(labels, readers, strict=True)))
    sensitivity, specificity = (_numbers(table, name, highest=1.0) for name in (SENSITIVITY, SPECIFICITY))
    there = {str(name) for name in table.columns}
    counts = {name: _numbers(table, name) if name in there else None for name in (POSITIVES, NEGATIVES)}
    found: Points = {}
    for row, (label, reader) in enumerate(zip(labels, readers, strict=True)):
        if label not in comparison.labels:
            continue
        truth = comparison.truth[:, comparison.labels.index(label)]
        positives, negatives = (
            None if of_all is None or math.isnan(of_all[row]) else int(of_all[row]) for of_all in counts.values()
        )
        p = int((truth == 1).sum()) if positives is None else positives
        n = int((truth == 0).sum()) if negatives is None else negatives
        true, false = sensitivity[row] * p, (1 - specificity[row]) * n
        found.setdefault(label, {})[reader] = ReaderPoint(
            positives,
            negatives,
            _published(sensitivity[row], positives, level),
            _published(specificity[row], negatives, level),
            true / (true + false) if true + false > 0 else None,
        )
    return found


def _published(value: float, trials: int | None, level: float) -> Rate:
    return Rate(value, wilson(round(value * trials), trials, level) if trials else None)


def _numbers(table: _Table, name: str, highest: float = math.inf) -> list[float]:
    """Numbers from 0 to `highest`; counts, which have no highest, may be blank."""
    values = pd.to_numeric(table.columns[name], errors="coerce").astype("Float64").to_numpy(np.float64, na_value=np.nan)
    text = as_text(table.columns[name])
    blank_is_fine = math.isinf(highest)
    for row, value in enumerate(values):
        if not (0 <= value <= highest or (blank_is_fine and not text[row])):
            wanted = "a number of rows, or blank" if blank_is_fine else "a fraction from 0 to 1"
            raise TableError(f"{table.place(row)}: {name} is {text[row]!r}, not {wanted}")
    return [float(value) for value in values]


def _refuse_no_label(labels: list[str], table: _Table, comparison: Comparison) -> None:
    if not labels:
        raise TableError(f"{table.path} has none of the labels that are judged: {', '.join(comparison.labels)}")


def _refuse_read_twice(table: _Table, pairs: list[tuple[str, str]]) -> None:
    first: dict[tuple[str, str], int] = {}
    for row, pair in enumerate(pairs):
        if (before := first.setdefault(pair, row)) != row:
            raise TableError(f"{table.place(row)}: {pair[1]} read {pair[0]} in {table.place(before)} already")
