"""Complete the rows of a table to SourceRows: the last steps of every reader.

A reader fills in what its tables say. Here columns that it lacks become unknown, rows that contradict each other and
keys that repeat are rejected, and the layout on disk is found by looking for some of the images.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ingest.archives.source import DESCRIPTIVE_COLUMNS, LOCATION_COLUMNS, SourceRows, list_folders
from ingest.tables.rejections import is_marked, mark_conflicts, mark_keys, split_off
from shards.errors import DatasetError

_PROBED = 200
_SUFFIXES = (".png", ".jpg", ".jpeg", ".JPG", ".PNG", ".dcm")


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


def find_layout(roots: Mapping[str, Path], rows: pd.DataFrame, layouts: Sequence[pd.Series]) -> pd.DataFrame:
    """Find where the images are, by 200 rows spread over the table. Returns the columns root and file of every row.

    roots: folders to look in, by name. layouts: for each way to name the images' files the path of every row. Each is
    tried in each root and, where nothing is there, in each folder directly below; the one by which most of the rows are
    there is taken, the first of several. Rows that are marked are not looked for. Raises DatasetError, with the places,
    where no image is there at all.
    """
    usable = np.flatnonzero(~is_marked(rows).to_numpy())
    first = next(iter(roots))
    if not usable.size:
        return pd.DataFrame({"root": first, "file": layouts[0]}, index=rows.index)
    probed = usable[np.unique(np.linspace(0, usable.size - 1, _PROBED).astype(int))]
    tried: list[str] = []
    for levels in (0, 1):
        best: tuple[int, str, str, pd.Series] | None = None
        for root, below, layout in _places(roots, layouts, levels):
            hits = sum(_is_file(roots[root] / below / name) for name in layout.iloc[probed])
            tried.append(f"{below}/{layout.iloc[probed[0]]}".lstrip("/")[:120])
            if hits and (best is None or hits > best[0]):
                best = hits, root, below, layout
        if best:
            prefix = f"{best[2]}/" if best[2] else ""
            return pd.DataFrame({"root": best[1], "file": prefix + best[3]}, index=rows.index)
    shown = ", ".join(dict.fromkeys(tried[: len(layouts)]))
    places = " and ".join(str(root) for root in roots.values())
    raise DatasetError(
        f"{places}: none of {len(probed)} images looked for is there, nor one level below. Of "
        f"{rows['where'].iloc[probed[0]]} it may be any of: {shown}. Unpack the images there, or link the folder that "
        "holds them."
    )


def found_suffix(rows: pd.DataFrame, roots: Mapping[str, Path]) -> pd.Series:
    """Find by which suffix the images are there, by 200 rows spread over the table. Returns the column file.

    rows: root and file, as the table says. Copies of an archive are often converted as a whole: where no image has the
    suffix of the table, the first other one is taken by which most are there; where some have it, all keep it.
    """
    usable = np.flatnonzero(~is_marked(rows).to_numpy())
    if not usable.size:
        return rows["file"]
    probed = rows.iloc[usable[np.unique(np.linspace(0, usable.size - 1, _PROBED).astype(int))]]
    folders = probed["root"].map(roots)

    def there(files: pd.Series) -> int:
        return sum(_is_file(folder / name) for folder, name in zip(folders, files, strict=True))

    hits = {} if there(probed["file"]) else {suffix: there(_with(suffix, probed["file"])) for suffix in _SUFFIXES}
    best = max(hits, key=lambda suffix: hits[suffix], default="")
    return _with(best, rows["file"]) if hits.get(best) else rows["file"]


def _with(suffix: str, files: pd.Series) -> pd.Series:
    return files.str.replace(r"\.[^./]*$", "", regex=True) + suffix


def _places(
    roots: Mapping[str, Path], layouts: Sequence[pd.Series], levels: int
) -> Iterator[tuple[str, str, pd.Series]]:
    """Name of a root, folder below it ('' the root itself) and layout, in the order of preference."""
    for name, root in roots.items():
        folders = [""] if levels == 0 else list_folders(root)
        yield from ((name, folder, layout) for folder in folders for layout in layouts)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no file can have this name
        return False
