"""Complete the rows of a table to SourceRows: the last steps of every reader.

A reader fills in what its tables say. Here columns that it lacks become unknown, rows that contradict each other and
keys that repeat are rejected, and the layout on disk is found by looking for some of the images.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ingest.archives.source import DESCRIPTIVE_COLUMNS, LOCATION_COLUMNS, SourceRows
from ingest.tables.rejections import is_marked, mark_conflicts, mark_keys, split_off
from shards.errors import DatasetError

_PROBED = 200


def assemble(
    rows: pd.DataFrame,
    malformed: Sequence[pd.DataFrame],
    label_names: Sequence[str],
    identity: Sequence[str] = ("root", "source_path"),
) -> SourceRows:
    """SourceRows of marked rows and of the rejections that the tables brought.

    rows: key, split, source_path, LOCATION_COLUMNS, the labels as float32 and what is known of DESCRIPTIVE_COLUMNS.
    identity: the columns in which two rows about one image are equal, whatever else they say.
    """
    unknown = [column for column in DESCRIPTIVE_COLUMNS if column not in rows]
    rows = rows.assign(**{column: pd.Series(None, index=rows.index, dtype=object) for column in unknown})
    rows["age"] = rows["age"].astype("float32")
    mark_conflicts(rows, identity, [*DESCRIPTIVE_COLUMNS, *label_names])
    mark_keys(rows)
    samples, rejected = split_off(rows)
    columns = ["key", "split", *DESCRIPTIVE_COLUMNS, *LOCATION_COLUMNS, *label_names]
    return SourceRows(samples[columns], pd.concat([*malformed, rejected], ignore_index=True))


def find_layout(root: Path, rows: pd.DataFrame, layouts: Sequence[pd.Series]) -> pd.Series:
    """That of several ways to name the images' files by which most of 200 rows, spread over the table, are there.

    layouts: for each way the path below root of every row; the first is taken where two are equal. Rows that are
    marked are not looked for. Raises DatasetError where no image is there at all.
    """
    usable = np.flatnonzero(~is_marked(rows).to_numpy())
    if not usable.size:
        return layouts[0]
    probed = usable[np.unique(np.linspace(0, usable.size - 1, _PROBED).astype(int))]
    hits = [sum(_is_file(root / name) for name in layout.iloc[probed]) for layout in layouts]
    if not any(hits):
        names = ", ".join(dict.fromkeys(str(layout.iloc[probed[0]])[:120] for layout in layouts))
        raise DatasetError(
            f"{root}: none of {len(probed)} images looked for is there. Of {rows['where'].iloc[probed[0]]} it may be "
            f"any of: {names}. Unpack the images there, or link the folder that holds them."
        )
    return layouts[hits.index(max(hits))]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no file can have this name
        return False
