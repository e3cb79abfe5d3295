"""Divide rows into subgroups by a column of the truth: its values, or stretches of a number between cuts."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import click
import numpy as np
from numpy.typing import NDArray

from evaluation.tables.identifiers import some
from evaluation.tables.table_files import TableError

MOST_GROUPS = 20
"""More values of one column are no subgroups, but a number that needs cuts, or an id."""


@dataclass(frozen=True)
class By:
    """A column that divides the rows. cuts: ascending; a number at a cut belongs to the stretch above it."""

    column: str
    cuts: tuple[float, ...] = ()


@dataclass(frozen=True)
class Subgroups:
    """The subgroups of one column. names: in their order. group: [rows], place in names, -1 where it is blank."""

    names: tuple[str, ...]
    group: NDArray[np.int64]


class ByType(click.ParamType[tuple[By, ...]]):
    """Columns of the command line: `sex,age:40:60:80`."""

    name = "columns"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[By, ...]:
        """Parse them."""
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(by_from_text(part) for part in str(value).split(","))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        columns = [one.column for one in found]
        for column in columns:
            if columns.count(column) > 1:
                self.fail(f"{column} is named twice", param, ctx)
        return found


def by_from_text(text: str) -> By:
    """Read `sex` or `age:40:60:80`. Raises ValueError for cuts that are no ascending numbers."""
    column, *cuts = text.strip().split(":")
    try:
        numbers = tuple(float(cut) for cut in cuts)
    except ValueError:
        numbers = (math.nan,)
    ascending = all(low < high for low, high in itertools.pairwise(numbers))
    if not column or not ascending or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{text!r} is neither a column nor a column with ascending cuts, such as age:40:60:80")
    return By(column, numbers)


def subgroups(by: By, values: Sequence[str], ids: Sequence[str]) -> Subgroups:
    """Put each row into its subgroup. values, ids: [rows], as text; blank where it is not known.

    Raises TableError for cuts of a column that holds something else than numbers, and for too many values without cuts.
    """
    if by.cuts:
        return _stretches(by, values, ids)
    names = sorted({value for value in values if value})
    if len(names) > MOST_GROUPS:
        raise TableError(
            f"--by {by.column}: {len(names)} different values ({some(names)}) are no subgroups. Give cuts, as in "
            f"{by.column}:40:60:80, or another column"
        )
    place = {name: number for number, name in enumerate(names)}
    return Subgroups(tuple(names), np.array([place.get(value, -1) for value in values], np.int64))


def _stretches(by: By, values: Sequence[str], ids: Sequence[str]) -> Subgroups:
    shown = [f"{cut:g}" for cut in by.cuts]
    between = (f"{low} to under {high}" for low, high in itertools.pairwise(shown))
    names = (f"under {shown[0]}", *between, f"{shown[-1]} and over")
    group = np.full(len(values), -1, np.int64)
    for row, value in enumerate(values):
        if value:
            group[row] = np.searchsorted(by.cuts, _number(by, value, ids[row]), side="right")
    return Subgroups(names, group)


def _number(by: By, value: str, row: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise TableError(f"--by {by.column}: {value!r} of {row} is no number, and cuts are of numbers")
    return number
