"""Marks rows that cannot be ingested, with a reason each, and takes them out: one bad row never stops the rest.

Where rows contradict each other (one image, two patients or two labels) nobody can say which is right, so none of
them is kept and each names another. A mere repetition costs nothing: the first row stays.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ingest.tables.csv_table import WHERE
from shards.format.identity import KEY_PATTERN
from shards.format.sample import MAX_KEY_LENGTH

REASON = "reason"

_LEAVES = r"(?:^/|^[A-Za-z]:|\\|(?:^|/)\.\.(?:/|$))"
_NO_PATH = r"(?:^$|^\.?/|//|/\.?/|/\.?$|[\x00-\x1f\x7f-\x9f])"
_LONGEST_CELL = 300


def mark(rows: pd.DataFrame, mask: pd.Series, reason: "pd.Series | str") -> None:
    """Give a reason to the rows of a boolean mask that have none yet. The first reason found stays."""
    if REASON not in rows:
        rows[REASON] = pd.Series(None, index=rows.index, dtype=object)
    new = mask & rows[REASON].isna()
    if new.any():
        rows.loc[new, REASON] = reason[new] if isinstance(reason, pd.Series) else reason


def mark_paths(rows: pd.DataFrame, text: pd.Series) -> None:
    """Mark rows whose path, as a table has it, leads out of the source or is none: text only, no file is touched."""
    mark(rows, text.str.contains(_LEAVES), "path leaves the source: '" + text + "'")
    mark(rows, text.str.contains(_NO_PATH), "unusable path: '" + text + "' has an empty part or control characters")


def mark_labels(rows: pd.DataFrame, text: pd.DataFrame) -> pd.DataFrame:
    """Label columns of text as float32: 1, 0, -1, NaN for blank. Anything else marks its row."""
    columns = {}
    for label in text.columns:
        codes, words = pd.factorize(text[label])  # few different ones, even in a large table
        numbers = pd.to_numeric(pd.Series(words, dtype=object), errors="coerce").to_numpy(dtype="float32")
        bad = (np.asarray(words, dtype=object) != "") & ~np.isin(numbers, [1.0, 0.0, -1.0])
        if bad.any():
            reason = f"label out of range: {label} is '" + text[label] + "', not 1, 0, -1 or blank"
            mark(rows, pd.Series(bad[codes], index=rows.index), reason)
        columns[label] = numbers[codes]
    return pd.DataFrame(columns, index=text.index)


def mark_conflicts(rows: pd.DataFrame, identity: Sequence[str], columns: Sequence[str]) -> None:
    """Mark all rows of one thing (equal in the columns `identity`) that do not agree in `columns`; each names another.

    Blank agrees with blank only. Rows that agree are left to mark_keys.
    """
    mark(rows, pd.Series(False, index=rows.index), "")
    usable = rows[rows[REASON].isna()]
    repeated = usable[usable.duplicated(list(identity), keep=False)]
    if repeated.empty:
        return
    compared = repeated[list(columns)].astype(object)
    values = compared.where(compared.notna(), "blank").to_numpy()
    group = repeated.groupby(list(identity), sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(group, return_index=True)[1][group]  # position of the first row of each row's group
    differs = (values != values[first]).any(axis=1)
    other = dict(zip(group[differs][::-1], np.flatnonzero(differs)[::-1], strict=True))  # the first that differs
    where = repeated[WHERE].to_numpy()
    reasons = pd.Series(None, index=rows.index, dtype=object)
    for here in map(int, np.flatnonzero(np.isin(group, list(other)))):
        there = first[here] if differs[here] else other[group[here]]
        column = int(np.argmax(values[here] != values[there]))
        reasons[repeated.index[here]] = (
            f"conflicting rows: {columns[column]} is {values[here, column]} here and {values[there, column]} in "
            f"{where[there]}"
        )
    mark(rows, reasons.notna(), reasons)


def mark_keys(rows: pd.DataFrame) -> None:
    """Mark keys that a sample cannot have, and every row but the first of a repeated key."""
    key = rows["key"].fillna("")
    impossible = ~key.str.fullmatch(KEY_PATTERN.pattern) | (key.str.len() > MAX_KEY_LENGTH)
    mark(rows, impossible, "unusable name: '" + key + f"' is not 1 to {MAX_KEY_LENGTH} letters, digits, _ and -")
    usable = rows[rows[REASON].isna()]
    first = usable.drop_duplicates("key").set_index("key")[WHERE]
    again = usable["key"].duplicated().reindex(rows.index, fill_value=False)
    if again.any():
        mark(rows, again, "duplicate key: " + rows["key"] + " is already made by " + rows["key"].map(first))


def split_off(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows without a reason, and path and reason (with where the row stands) of the others."""
    bad = rows[REASON].notna()
    rejected = pd.DataFrame(
        {
            "path": printable(rows.loc[bad, "source_path"]),
            "reason": printable(rows.loc[bad, REASON]) + " (" + rows.loc[bad, WHERE] + ")",
        },
        dtype=object,
    )
    return rows[~bad].drop(columns=REASON).reset_index(drop=True), rejected.reset_index(drop=True)


def printable(text: pd.Series) -> pd.Series:
    """Text that fits on a line of a terminal and into UTF-8: control characters escaped, the end of long text cut."""
    text = text.fillna("").astype(object)
    odd = ~text.map(str.isprintable).astype(bool)
    text = text.where(~odd, text[odd].map(lambda value: value.encode("unicode_escape").decode("ascii")))
    return text.where(text.str.len() <= _LONGEST_CELL, text.str.slice(0, _LONGEST_CELL) + "...")
