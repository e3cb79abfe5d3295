"""Mark rows that cannot be ingested, with a reason each, and take them out: one bad row never stops the rest.

Where rows contradict each other (one image, two patients or two labels) it is not known which is right, so none of
them is kept and each names another. A mere repetition costs nothing: the first row stays.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ingest.tables.csv_table import WHERE
from ingest.tables.reasons import Kind, Reason, Rejection, rejection_frame
from shards.format.identity import KEY_PATTERN
from shards.format.sample import MAX_KEY_LENGTH

KIND, DETAIL = "kind", "detail"
"""Columns of a marked row: why it cannot be ingested. KIND is None where nothing is wrong with it."""

_LEAVES = r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)"
_FAULTS = {
    "is blank": r"^$",
    "has control characters": r"[\x00-\x1f\x7f-\x9f]",
    "has a backslash, where a path of this table has /": r"\\",
    "has an empty part (//, or / at its end)": r"//|/$",
    "has a part that is only a dot": r"(?:^|/)\.(?:/|$)",
}
"""What can be wrong with a path, in words."""

_WORDS = {"true": 1.0, "false": 0.0}
_LONGEST_CELL = 300


def mark(rows: pd.DataFrame, mask: pd.Series, kind: "pd.Series | Kind", detail: "pd.Series | str") -> None:
    """Give a reason to the rows of a boolean mask that have none yet. The first reason found stays."""
    if KIND not in rows:
        rows[KIND] = pd.Series(None, index=rows.index, dtype=object)
        rows[DETAIL] = pd.Series(None, index=rows.index, dtype=object)
    new = mask & rows[KIND].isna()
    if new.any():
        rows.loc[new, KIND] = kind[new] if isinstance(kind, pd.Series) else str(kind)
        rows.loc[new, DETAIL] = detail[new] if isinstance(detail, pd.Series) else detail


def is_marked(rows: pd.DataFrame) -> pd.Series:
    """Which rows have a reason."""
    return rows[KIND].notna() if KIND in rows else pd.Series(data=False, index=rows.index)


def mark_paths(rows: pd.DataFrame, text: pd.Series) -> None:
    """Mark rows whose path, as a table has it, leads out of the source or is none: text only, no file is touched."""
    mark(rows, text.str.contains(_LEAVES), Kind.OUTSIDE, "'" + text + "'")
    for words, pattern in _FAULTS.items():
        mark(rows, text.str.contains(pattern), Kind.UNUSABLE_PATH, "'" + text + f"' {words}")


def mark_labels(rows: pd.DataFrame, text: pd.DataFrame) -> pd.DataFrame:
    """Label columns of text as float32: 1, 0, -1, True, False, NaN for blank. Anything else marks its row."""
    columns = {}
    for label in text.columns:
        codes, words = pd.factorize(text[label])  # few different ones, even in a large table
        plain = pd.Series(words, dtype=object).map(lambda word: _WORDS.get(word.lower(), word))
        numbers = pd.to_numeric(plain, errors="coerce").to_numpy(dtype="float32")
        bad = (np.asarray(words, dtype=object) != "") & ~np.isin(numbers, [1.0, 0.0, -1.0])
        if bad.any():
            detail = f"{label} is '" + text[label] + "', not 1, 0, -1 or blank"
            mark(rows, pd.Series(bad[codes], index=rows.index), Kind.LABEL, detail)
        columns[label] = numbers[codes]
    return pd.DataFrame(columns, index=text.index)


def mark_conflicts(rows: pd.DataFrame, identity: Sequence[str], columns: Sequence[str]) -> None:
    """Mark all rows of one thing (equal in the columns `identity`) that do not agree in `columns`; each names another.

    Blank agrees with blank only. Rows that agree are left to mark_keys.
    """
    usable = rows[~is_marked(rows)]
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
    details = pd.Series(None, index=rows.index, dtype=object)
    for here in map(int, np.flatnonzero(np.isin(group, list(other)))):
        there = first[here] if differs[here] else other[group[here]]
        column = int(np.argmax(values[here] != values[there]))
        details[repeated.index[here]] = (
            f"{columns[column]} is {values[here, column]} here and {values[there, column]} in {where[there]}"
        )
    mark(rows, details.notna(), Kind.CONFLICT, details)


def mark_keys(rows: pd.DataFrame) -> None:
    """Mark keys that a sample cannot have, and every row but the first of a repeated key."""
    key = rows["key"].fillna("")
    impossible = ~key.str.fullmatch(KEY_PATTERN.pattern) | (key.str.len() > MAX_KEY_LENGTH)
    mark(rows, impossible, Kind.UNUSABLE_NAME, "'" + key + f"' is not 1 to {MAX_KEY_LENGTH} letters, digits, _ and -")
    usable = rows[~is_marked(rows)]
    first = usable.drop_duplicates("key").set_index("key")[WHERE]
    again = usable["key"].duplicated().reindex(rows.index, fill_value=False)
    if again.any():
        mark(rows, again, Kind.DUPLICATE_KEY, rows["key"] + " is already made by " + rows["key"].map(first))


def split_off(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows without a reason, and the others as a table of rejections."""
    bad = rows[is_marked(rows)]
    paths, details = printable(bad["source_path"]), printable(bad[DETAIL])
    rejected = (
        [
            Rejection(path, Reason(Kind(kind), detail, where))
            for path, kind, detail, where in zip(paths, bad[KIND], details, bad[WHERE], strict=True)
        ]
        if len(bad)
        else []
    )
    kept = rows.drop(columns=[KIND, DETAIL], errors="ignore")[~is_marked(rows)]
    return kept.reset_index(drop=True), rejection_frame(rejected)


def printable(text: pd.Series) -> pd.Series:
    """Text that fits on a line of a terminal and into UTF-8: control characters escaped, the end of long text cut."""
    text = text.fillna("").astype(object)
    odd = ~text.map(str.isprintable).astype(bool)
    text = text.where(~odd, text[odd].map(lambda value: value.encode("unicode_escape").decode("ascii")))
    return text.where(text.str.len() <= _LONGEST_CELL, text.str.slice(0, _LONGEST_CELL) + "...")
