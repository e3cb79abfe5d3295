"""Define a dataset's reader: it turns raw tables and file names into one row a sample, and names the bad rows.

A new dataset is one file with one class that satisfies `Source`, and one line in `_READERS`; CONTRIBUTING.md shows a
whole one. Readers never open an image and never decide what an uncertain or missing label means.
"""

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from shards.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

_READERS = {
    "chexpert": "ingest.archives.chexpert:Chexpert",
    "chexpert-plus": "ingest.archives.chexpert_plus:ChexpertPlus",
    "shenzhen": "ingest.archives.shenzhen:Shenzhen",
    "montgomery": "ingest.archives.montgomery:Montgomery",
    "nih": "ingest.archives.nih:Nih",
    "mimic": "ingest.archives.mimic:Mimic",
    "padchest": "ingest.archives.padchest:Padchest",
    "vindr": "ingest.archives.vindr:Vindr",
    "rsna": "ingest.challenges.rsna:Rsna",
    "vinbigdata": "ingest.challenges.vinbigdata:Vinbigdata",
}

VARIANTS = tuple(_READERS)
"""What `--dataset` may be."""

DESCRIPTIVE_COLUMNS = ("patient_id", "study_id", "projection", "ap_pa", "sex", "age", "source_split", "source_path")
"""Columns that a reader fills and samples.parquet keeps, besides key, split and the labels."""

_MOST_FOLDERS = 1000
HIDDEN = (".", "__MACOSX")
"""How names of folders begin that no archive has: those of tools, and of a Mac's second halves of files."""

LOCATION_COLUMNS = ("root", "file", "where")
"""Where a sample comes from, for the build only: name of a root, path below it, and the line of the table."""


@dataclass(frozen=True)
class SourceRows:
    """What a reader found.

    samples: key, split, DESCRIPTIVE_COLUMNS, LOCATION_COLUMNS and one float32 column a label (NaN: not mentioned).
    age is in years; sex is male or female; None or NaN where unknown. rejected: a table
    of rejections (`ingest.tables.reasons.REJECTED_COLUMNS`).
    """

    samples: "pd.DataFrame"
    rejected: "pd.DataFrame"


class Source(Protocol):
    """One raw dataset on disk. Made from SOURCE and, where given, the folder of a test release."""

    variant: str
    licence: str
    label_names: tuple[str, ...]
    valid_fraction: float
    """Default fraction of the training samples that becomes the validation split."""
    test_fraction: float
    stratify: str | None
    """Label within whose classes splits are carved; None for multi-label sets."""
    # png_range, where a reader has it: what `--png-range` is for its archive, one of shards.images.ranges.PNG_RANGES.
    roots: dict[str, Path]
    """Folders that images may come from, by the names used in the column root."""

    def __init__(self, source: Path, test_source: Path | None = None) -> None:
        """Find the tables. Raises DatasetError where the layout is not that of the dataset."""

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of every table (or listing) that the rows are made from, by name."""

    def read(self) -> SourceRows:
        """Read all rows. Raises DatasetError only where no row can be trusted (encoding, missing columns)."""


def open_source(variant: str, source: Path, test_source: Path | None = None) -> Source:
    """Open the reader of a variant on its folders."""
    module, name = _READERS[variant].split(":")
    reader = cast("type[Source]", getattr(importlib.import_module(module), name))
    return reader(source, test_source)


def find_folder(source: Path, landmark: str, dataset: str) -> Path:
    """The folder that holds `landmark` (a name or pattern): source itself, or the one up to two levels below it."""
    try:
        candidates = [source, *sorted(child for child in source.iterdir() if child.is_dir())]
        if len(candidates) <= _MOST_FOLDERS and not any(_holds(folder, landmark) for folder in candidates):
            candidates += [folder / name for folder in candidates[1:] for name in list_folders(folder)]
    except NotADirectoryError as error:
        raise DatasetError(f"{source} is no folder") from error
    except OSError as error:
        raise DatasetError(f"{source} cannot be read: {error.strerror}") from error
    found: Sequence[Path] = [folder for folder in candidates if _holds(folder, landmark)]
    if not found:
        raise DatasetError(f"{source}: no {landmark} in it or up to two levels below; is this {dataset}?")
    if found[0] != source and len(found) > 1:
        names = ", ".join(folder.name for folder in found)
        raise DatasetError(f"{source}: several folders hold {landmark} ({names}): name one of them")
    return found[0]


def _holds(folder: Path, landmark: str) -> bool:
    marks = (landmark, f"{landmark}.gz") if landmark.endswith(".csv") else (landmark,)
    return any(any(folder.glob(mark)) for mark in marks)


def table_path(folder: Path, name: str) -> Path:
    """The table of that name in a folder, or the gzipped one where only that is there."""
    zipped = folder / f"{name}.gz"
    return zipped if zipped.is_file() and not (folder / name).exists() else folder / name


def find_table(folder: Path, pattern: str) -> Path:
    """The one file in `folder` whose name matches `pattern`."""
    found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
    if not found:
        raise DatasetError(f"{folder}: no {pattern} in it")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DatasetError(f"{folder}: several files could be the table ({names}): leave one of them there")
    return found[0]


def image_roots(source: Path, folder: Path) -> dict[str, Path]:
    """Roots that images may come from: the folder of the tables and, where the tables lie below SOURCE, that too."""
    return {"source": folder} if folder == source else {"source": folder, "above": source}


def list_folders(folder: Path) -> list[str]:
    """Sorted names of the folders in a folder; none where there are so many that they are patients or studies."""
    names = [name for name in list_names(folder) if not name.startswith(HIDDEN)]
    return [name for name in names if (folder / name).is_dir()] if len(names) <= _MOST_FOLDERS else []


def list_names(folder: Path) -> list[str]:
    """Sorted names of the files in a folder. Raises DatasetError where it cannot be read.

    Bytes of a name that are not UTF-8 are escaped: no file is found by such a name, and its row is rejected.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names, not paths, of a hundred thousand files
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror}") from error
    return sorted(name.encode(errors="surrogateescape").decode(errors="backslashreplace") for name in names)
