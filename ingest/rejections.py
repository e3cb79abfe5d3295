"""Marks rows that cannot be ingested, with a reason each, and takes them out: one bad row never stops the rest."""

import pandas as pd

from shards.identity import KEY_PATTERN
from shards.sample import MAX_KEY_LENGTH

REASON = "reason"


def mark(rows: pd.DataFrame, mask: pd.Series, reason: "pd.Series | str") -> None:
    """Give a reason to the rows of a boolean mask that have none yet. The first reason found stays."""
    if REASON not in rows:
        rows[REASON] = pd.Series(None, index=rows.index, dtype=object)
    new = mask & rows[REASON].isna()
    if new.any():
        rows.loc[new, REASON] = reason[new] if isinstance(reason, pd.Series) else reason


def mark_labels(rows: pd.DataFrame, text: pd.DataFrame) -> pd.DataFrame:
    """Label columns of text as float32: 1, 0, -1, NaN for blank. Anything else marks its row."""
    values: pd.DataFrame = text.apply(pd.to_numeric, errors="coerce").astype("float32")
    bad = (text != "") & ~values.isin([1.0, 0.0, -1.0])
    for label in bad.columns[bad.any()]:
        mark(rows, bad[label], f"label out of range: {label} is '" + text[label] + "', not 1, 0, -1 or blank")
    return values


def mark_keys(rows: pd.DataFrame) -> None:
    """Mark keys that a sample cannot have, and every row but the first of a repeated key."""
    key = rows["key"].fillna("")
    impossible = ~key.str.fullmatch(KEY_PATTERN.pattern) | (key.str.len() > MAX_KEY_LENGTH)
    mark(rows, impossible, "unusable name: '" + key + f"' is not 1 to {MAX_KEY_LENGTH} letters, digits, _ and -")
    usable = rows[rows[REASON].isna()]
    first = usable.drop_duplicates("key").set_index("key")["where"]
    again = usable["key"].duplicated().reindex(rows.index, fill_value=False)
    if again.any():
        mark(rows, again, "duplicate key: " + rows["key"] + " is already made by " + rows["key"].map(first))


def split_off(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows without a reason, and path and reason (with where the row stands) of the others."""
    bad = rows[REASON].notna()
    rejected = pd.DataFrame(
        {"path": rows.loc[bad, "source_path"], "reason": rows.loc[bad, REASON] + " (" + rows.loc[bad, "where"] + ")"}
    )
    return rows[~bad].drop(columns=REASON).reset_index(drop=True), rejected.reset_index(drop=True)
