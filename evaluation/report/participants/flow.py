"""Count what was left out of a dataset at each step, and why: rejected, excluded, quarantined, filtered."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from shards.errors import SubsetError
from shards.format.dataset import Dataset
from shards.format.schema import SPLITS
from shards.format.subsets import select
from shards.input_files import read_text
from shards.selection.row_filter import filtered

REJECTED = "rejected.csv"
_LARGEST = 256 * 2**20  # bytes

BySplit = Mapping[str, int]


@dataclass(frozen=True)
class Step:
    """A step of the flow. counts: images by split; empty where only the total is known. removed: taken out here."""

    name: str
    total: int
    counts: BySplit
    removed: bool


def flow(dataset: Dataset, filters: Iterable[str]) -> list[Step]:
    """Steps from the source's images to those that subsets are taken from, and those that fulfil each condition.

    filters: conditions that a result, model or run of the study has. Rejected images are in no split.
    """
    samples = dataset.samples
    excluded = samples["excluded"].notna()
    quarantined = ~excluded & samples["key"].isin(dataset.quarantine)
    rejected = rejected_by_kind(dataset.root / REJECTED)
    steps = []
    if rejected is not None:
        steps.append(Step("in the source", len(samples) + sum(rejected.values()), {}, False))
        steps += [Step(f"rejected: {kind}", count, {}, True) for kind, count in rejected.items()]
        steps += [] if rejected else [Step("rejected", 0, {}, True)]
    steps.append(_step("in the dataset", samples, removed=False))
    gone = samples[excluded]
    for reason, rows in gone.groupby(gone["excluded"].map(_kind_of_exclusion), sort=True):
        steps.append(_step(f"excluded: {reason}", rows, removed=True))
    if gone.empty:
        steps.append(_step("excluded", gone, removed=True))
    steps.append(_step("quarantined: damaged after the build", samples[quarantined], removed=True))
    steps.append(_step("left for training and judging", select(dataset), removed=False))
    for condition in dict.fromkeys(filters):
        steps += _fulfilling(dataset, condition)
    return steps


def rejected_by_kind(path: Path) -> dict[str, int] | None:
    """How many inputs were rejected for each kind of reason, the most frequent first; None where it cannot be read."""
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path, _LARGEST), newline="")))
    except (OSError, ValueError, csv.Error):
        return None
    kinds = Counter((row.get("kind") or str(row.get("reason")).partition(":")[0]).strip() for row in rows)
    return dict(kinds.most_common())


def _fulfilling(dataset: Dataset, condition: str) -> list[Step]:
    """What a condition leaves; nothing where it is of columns that this dataset does not have."""
    try:
        left = filtered(dataset, condition, ())
    except SubsetError:
        return []
    return [_step(f"of these fulfil {condition}", select(left), removed=False)]


def _step(name: str, rows: pd.DataFrame, *, removed: bool) -> Step:
    return Step(name, len(rows), {split: int((rows["split"] == split).sum()) for split in SPLITS}, removed)


def _kind_of_exclusion(reason: object) -> str:
    """`duplicate` of `duplicate of KEY`: the reason without the image that it names."""
    return str(reason).partition(" of ")[0]


def splits_of(steps: Sequence[Step]) -> list[str]:
    """The splits in which any step has images."""
    return [split for split in SPLITS if any(step.counts.get(split) for step in steps)]
