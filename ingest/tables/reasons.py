"""Why an input was not ingested, as a type: a kind, a detail and the line of the table that names it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

REJECTED_COLUMNS = ("path", "reason", "kind", "detail", "where")
"""Columns of rejected.csv, and of every table of rejections."""


class Kind(StrEnum):
    """The kinds of reasons. docs/datasets.md says what each means; those of an image are `shards.images`' own too."""

    MALFORMED = "malformed line"
    NOT_UTF_8 = "not UTF-8"
    OUTSIDE = "path leaves the source"
    UNUSABLE_PATH = "unusable path"
    UNUSABLE_NAME = "unusable name"
    LABEL = "label out of range"
    CONFLICT = "conflicting rows"
    DUPLICATE_KEY = "duplicate key"
    NO_SPLIT = "no split"
    NO_PATIENT = "no patient"
    MISSING_FILE = "missing file"
    UNREADABLE = "unreadable image"
    TOO_LARGE = "image too large"
    BEYOND_RANGE = "beyond the range"


@dataclass(frozen=True)
class Reason:
    """Why one input was rejected. detail and where may be blank where identifiers were hashed."""

    kind: Kind
    detail: str
    where: str

    def __str__(self) -> str:
        return reason_text(self.kind, self.detail, self.where)


@dataclass(frozen=True)
class Rejection:
    """One input without a place in the dataset: its path as the source has it, and why."""

    path: str
    reason: Reason

    @property
    def cells(self) -> dict[str, str]:
        """The row of rejected.csv, by REJECTED_COLUMNS."""
        reason = self.reason
        return dict(
            zip(REJECTED_COLUMNS, (self.path, str(reason), str(reason.kind), reason.detail, reason.where), strict=True)
        )


def reason_text(kind: str, detail: str, where: str) -> str:
    """`<kind>: <detail> (<where>)`, without what is blank."""
    return " ".join([f"{kind}:", *([detail] if detail else []), *([f"({where})"] if where else [])])


def rejection_frame(rejections: Iterable[Rejection]) -> pd.DataFrame:
    """Rejections as a table of text with REJECTED_COLUMNS."""
    return pd.DataFrame([rejection.cells for rejection in rejections], columns=list(REJECTED_COLUMNS), dtype=object)
