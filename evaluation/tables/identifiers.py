"""How ids of different files are compared: studies and image paths by their last components, all else exactly.

Ids as written in a file flow in, ids that compare equal across files flow out. Knows nothing of the files.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

STUDY = "Study"
PATH = "Path"
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
