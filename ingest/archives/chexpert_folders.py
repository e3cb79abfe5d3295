"""Find the folders that hold CheXpert's patients, as unpacked from the portal or merged.

The portal gives four parts, unpacked beside each other: `CheXpert-v1.0 batch 1 (validate & csv)` with both tables and
`valid/`, `batch 2 (train 1)` to `batch 4 (train 3)` with the patients directly in them. The tables say
`CheXpert-v1.0/train/patient00001/...` all the same.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ingest.archives.source import HIDDEN
from shards.errors import DatasetError

# As the portal writes it, and as programs that copy folders do: `batch_2_(train_1)`, `batch%202`, `batch2`.
_BATCH = re.compile(r"(?<![a-z])batch(?:[ _.+-]|%20)*\d", re.IGNORECASE)
_PATIENT = re.compile(r"patient\d+")
_SUFFIX = re.compile(r"\.[A-Za-z]\w{1,4}$")
"""Of a file, which is not looked at: `v1.0` is none."""
_DEEPEST = 3
_SPLIT_WORDS = ("valid", "test", "train")
_SPLIT = re.compile(r"(?<![a-z])(?:valid|test|train)")
"""At the beginning of a word: `latest` and `contest` name no split."""
_PART = re.compile(r"(?:chexpert|train|valid)", re.IGNORECASE)
"""How a folder beside a batch begins, if patients may be in it."""


@dataclass(frozen=True)
class PatientFolder:
    """A folder whose entries are patients. root: name of a root; path: below it; split: by its name, None unknown."""

    root: str
    path: str
    split: str | None
    patients: frozenset[str]


def batch_roots(source: Path, tables: str) -> tuple[Path, Path] | None:
    """Folder of the tables and the parent of all batches, where `source` is that parent or one of the batches.

    None where the layout is another one. Raises DatasetError where several batches hold the tables.
    """
    above = source.parent if _BATCH.search(source.resolve().name) else source
    try:
        batches = sorted(child for child in above.iterdir() if _BATCH.search(child.name) and child.is_dir())
    except OSError:
        return None
    found = [batch for batch in batches if (batch / tables).is_file() or (batch / f"{tables}.gz").is_file()]
    if len(found) > 1:
        raise DatasetError(f"{above}: several folders hold {tables} ({', '.join(b.name for b in found)}): leave one")
    if not found or any((above / f"{tables}{end}").is_file() for end in ("", ".gz")):
        return None
    return found[0], above


def locate_patients(rows: pd.DataFrame, roots: Mapping[str, Path]) -> pd.DataFrame:
    """Columns root and file of each row: where its patient's folder is, unchanged where it was not found.

    rows: root, file (the place that the table says), source_path (`<split>/<patient>/...`), patient_id.
    """
    parts = rows["source_path"].str.extract(r"^(?P<split>train|valid|test)/(?P<rest>patient.*)$")
    wanted = parts["split"] + "/" + rows["patient_id"]
    places: dict[str, tuple[str, str]] = {}
    folders = patient_folders(roots)
    for folder in folders:
        for split in (folder.split,) if folder.split else _SPLIT_WORDS:
            for patient in folder.patients:
                places.setdefault(f"{split}/{patient}", (folder.root, folder.path))
    # Where the table's own place holds the patient it is taken, whatever else there is.
    listed = rows["file"].str.extract(r"^(?P<path>(?:.*/)?)patient[^/]*/")["path"].str.rstrip("/")
    found = wanted.map(places)
    moved = found.notna().to_numpy().copy()
    for folder in folders:
        there = (rows["root"] == folder.root) & (listed == folder.path) & rows["patient_id"].isin(folder.patients)
        moved &= ~there.to_numpy()
    result = rows[["root", "file"]].copy()
    if moved.any():
        chosen = found[moved]
        result.loc[moved, "root"] = chosen.map(lambda place: place[0])
        prefix = chosen.map(lambda place: f"{place[1]}/" if place[1] else "")
        result.loc[moved, "file"] = prefix + parts.loc[moved, "rest"]
    return result


def patient_folders(roots: Mapping[str, Path]) -> list[PatientFolder]:
    """All folders of patients below the roots, at most three levels deep, those of batches first.

    Below the root `beside`, which holds more than SOURCE, only batches and what is named like a part of the archive.
    """
    found: list[PatientFolder] = []
    seen: set[str] = set()
    for name, root in roots.items():
        for start in _starts(name, root):
            for folder, patients in _below(start, _DEEPEST):
                real = os.path.realpath(folder)
                if real not in seen:
                    seen.add(real)
                    path = folder.relative_to(root).as_posix()
                    found.append(PatientFolder(name, "" if path == "." else path, _split(path), patients))
    return found


def _starts(name: str, root: Path) -> list[Path]:
    """Folders below which patients are looked for."""
    if name not in ("above", "beside"):
        return [root]
    children = sorted(child for child in root.iterdir() if child.is_dir())
    batches = [child for child in children if _BATCH.search(child.name)]
    parts = [child for child in children if child not in batches and _PART.match(child.name)]
    return [*batches, *(parts if name == "beside" else [root])]


def _below(folder: Path, levels: int) -> Iterator[tuple[Path, frozenset[str]]]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names, not paths, of 64,540 patients
    except OSError:
        return
    patients = frozenset(name for name in names if _PATIENT.fullmatch(name))
    if patients:
        yield folder, patients
    elif levels:
        for name in names:
            if not name.startswith(HIDDEN) and not _SUFFIX.search(name) and (folder / name).is_dir():
                yield from _below(folder / name, levels - 1)


def _split(path: str) -> str | None:
    """The split that the last telling part of a path names: `batch 1 (validate & csv)/valid` is valid."""
    for part in reversed(path.lower().split("/")):
        named = set(_SPLIT.findall(part))
        for split in _SPLIT_WORDS:
            if split in named:
                return split
    return None
