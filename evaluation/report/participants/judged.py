"""List the rows that results judge: by dataset and label, how many, and how many were uncertain or missing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluation.report.study import Result
from evaluation.report.text import split_name
from evaluation.statistics.remarks import unit_words
from evaluation.statistics.result import BootstrapResult


@dataclass(frozen=True)
class JudgedRow:
    """A label of a dataset's split, as results judge it. rows_are: what is counted, with the condition, if any.

    files: the results that judge it so.
    """

    dataset: str
    split: str
    rows_are: str
    units: str
    label: str
    rows: int
    uncertain: int
    missing: int
    positives: int
    negatives: int
    files: tuple[str, ...] = ()


def judged_rows(results: Sequence[Result]) -> list[JudgedRow]:
    """Each label and number of rows once, with all results that judge it, in the order of the results."""
    files: dict[JudgedRow, list[str]] = {}
    for result in results:
        for row in _rows(result):
            files.setdefault(row, []).append(result.name)
    return [replace(row, files=tuple(names)) for row, names in files.items()]


def _rows(result: Result) -> list[JudgedRow]:
    content = result.content
    truth = content.inputs.labels
    return [
        JudgedRow(
            dataset=truth.name or _named_by_sidecars(content) or "a table",
            split=split_name(truth.split or _split_of_sidecars(content)),
            rows_are=_rows_are(content),
            units=f"{content.units:,} {unit_words(content.unit)}",
            label=label,
            rows=truth.rows,
            uncertain=content.left_out.rows.get(label, {}).get("uncertain", 0),
            missing=content.left_out.rows.get(label, {}).get("blank", 0),
            positives=entry.positives,
            negatives=entry.negatives,
        )
        for label, entry in content.labels.items()
    ]


def _rows_are(content: BootstrapResult) -> str:
    truth = content.inputs.labels
    words = "rows" if truth.digest is None else "images"
    words = words if truth.images is None else f"studies of {truth.images:,} images"
    return words + (f" with {truth.row_filter}" if truth.row_filter else "")


def _named_by_sidecars(content: BootstrapResult) -> str:
    return _said(content, "dataset", "name")


def _split_of_sidecars(content: BootstrapResult) -> str:
    return _said(content, "split")


def _said(content: BootstrapResult, *keys: str) -> str:
    """What the first sidecar that names it says; blank where none does."""
    for files in content.inputs.arms.values():
        for file in files:
            found = file.sidecar.content.find(*keys) if file.sidecar else None
            if found is not None:
                return str(found.value)
    return ""
