"""Look up columns of a second table for each row: labels by study, splits by image.

A row about which the second table contradicts itself is marked, with both places.
"""

from collections.abc import Sequence

import pandas as pd

from ingest.tables.csv_table import WHERE
from ingest.tables.rejections import DETAIL, KIND, is_marked, mark, mark_conflicts


def look_up(rows: pd.DataFrame, keys: pd.Series, table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """`columns` and WHERE of the table's line with each row's key, NaN where it has none.

    rows: marked where needed. keys: of the rows, same index. table: columns `key`, WHERE, `columns` and, optionally,
    KIND and DETAIL, which are passed on to the rows: what is wrong with the line is wrong with what it describes.
    """
    table = table.copy()
    mark_conflicts(table, ["key"], columns)
    bad = is_marked(table)
    bad_first = pd.concat([table[bad], table[~bad]])
    table = bad_first.drop_duplicates("key").set_index("key")
    found = table.reindex(keys.to_numpy())
    found.index = rows.index
    if bad.any():
        detail = found[DETAIL].astype(object) + ", at " + found[WHERE].astype(object)
        mark(rows, found[KIND].notna(), found[KIND], detail)
    return found[[*columns, WHERE]]
