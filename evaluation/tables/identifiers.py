"""Compare ids of different files: studies and image paths by their last components, all else exactly."""

from collections.abc import Sequence
from pathlib import PurePosixPath

STUDY = "Study"
PATH = "Path"
NAMED_IDS = ("key", STUDY, PATH, "sample_id")
"""Columns that are ids wherever they stand."""
_COMPONENTS = {STUDY: 2, PATH: 3}  # patient/study and patient/study/image: roots and splits are named differently


def kind_of(column: str) -> str:
    """`Study` and `Path` are kinds of their own; ids of any other column (`key`, ...) are of kind `key`."""
    return column if column in _COMPONENTS else "key"


def comparable(column: str, ids: Sequence[str]) -> list[str]:
    """The ids as they are compared: the last two components of a Study, three of a Path, else unchanged."""
    wanted = _COMPONENTS.get(column)
    if wanted is None:
        return list(ids)
    return ["/".join([part for part in value.split("/") if part][-wanted:]) for value in ids]


def patient_of(column: str, value: str) -> str | None:
    """The patient that a comparable Study or Path names: `patient1/study2` -> `patient1`; None where it names none."""
    parts = value.split("/")
    return parts[0] if len(parts) == _COMPONENTS.get(column) else None


def study_of_path(path: str) -> str:
    """The study that an image lies in: `x/patient1/study2/view1.jpg` -> `patient1/study2`."""
    return comparable(STUDY, [str(PurePosixPath(path).parent)])[0]


def key_of_path(path: str) -> str:
    """The key that CheXpert's layout gives an image: `x/patient1/study2/view1.jpg` -> `patient1_study2_view1`."""
    return "_".join(PurePosixPath(comparable(PATH, [path])[0]).with_suffix("").parts)


def some(ids: Sequence[str], shown: int = 3) -> str:
    """The first few of many ids, for a message."""
    rest = f" and {len(ids) - shown} more" if len(ids) > shown else ""
    return ", ".join(ids[:shown]) + rest


def quoted(ids: Sequence[str], shown: int = 3) -> str:
    """The first few of many ids in quotes, so that blanks at their ends are seen."""
    return some([repr(value) for value in ids], shown)
