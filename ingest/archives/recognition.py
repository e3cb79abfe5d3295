"""Recognise an archive's own table by its rows and patients, so that what merely looks like it gets another name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ingest.archives.source import Source
from ingest.tables.files import open_table

_TOLERANCE = 0.005  # releases differ by a few rows: MIMIC-CXR-JPG 2.0.0 and 2.1.0 by some ten


@dataclass(frozen=True)
class Signature:
    """What an archive's own table has: rows, and patients where they are known.

    line: matches a line that begins a row; its group is the patient. Sources of the numbers stand beside each use.
    """

    archive: str
    line: str
    rows: int
    patients: int | None = None

    def __str__(self) -> str:
        of = f" of {self.patients:,} patients" if self.patients else ""
        return f"{self.archive} has {self.rows:,}{of}"


@dataclass(frozen=True)
class Counts:
    """Rows and patients of a table that was counted."""

    rows: int
    patients: int

    def __str__(self) -> str:
        return f"{self.rows:,} rows of {self.patients:,} patients"


def count(paths: Sequence[Path], signature: Signature) -> Counts:
    """Count the rows and patients of tables, plain or gzipped, line by line."""
    pattern = re.compile(signature.line.encode())
    rows, patients = 0, set[bytes]()
    for path in paths:
        with open_table(path) as file:
            for line in file:
                if match := pattern.search(line):
                    rows += 1
                    patients.add(match[1])
    return Counts(rows, len(patients))


def is_like(counts: Counts, signature: Signature) -> bool:
    """Whether the counts are those of the archive, within half a percent."""
    pairs = [(counts.rows, signature.rows)]
    if signature.patients is not None:
        pairs.append((counts.patients, signature.patients))
    return all(abs(found - known) <= _TOLERANCE * known for found, known in pairs)


def another_dataset(source: Source) -> str | None:
    """Why a source in an archive's layout is not that archive, in words; None where it is, or where nobody can tell."""
    look = cast("Callable[[], str | None] | None", getattr(source, "another_dataset", None))
    return None if look is None else look()


def difference(paths: Sequence[Path], signature: Signature) -> str | None:
    """What `another_dataset` says of tables that are not the archive's own; None where they are."""
    counts = count(paths, signature)
    return None if is_like(counts, signature) else f"{paths[0].name} has {counts}, {signature}"
