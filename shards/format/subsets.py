"""Subsets of a dataset: sets of rows, never copies. A split, a label fraction of a draw, by patients or images."""

import math
from fractions import Fraction

import pandas as pd

from shards.errors import SubsetError
from shards.format.dataset import Dataset
from shards.format.identity import patient_hash
from shards.format.schema import SPLITS


def select(dataset: Dataset, split: str | None = None) -> pd.DataFrame:
    """Rows of a split (or of all) in storage order, without excluded and quarantined ones; the index is kept.

    Of a dataset that is restricted by a condition (`shards.selection.row_filter`), those that fulfil it.

    Raises SubsetError for an unknown split. A split without samples gives no rows.
    """
    rows = planned(dataset, split)
    return rows[~rows["key"].isin(dataset.quarantine)] if dataset.quarantine else rows


def planned(dataset: Dataset, split: str | None = None) -> pd.DataFrame:
    """The same with the quarantined ones: what digest and row filter stand for, whatever was damaged since.

    The order of an epoch is one of these rows, so that a sample that is left out does not change that of the others.
    """
    rows = dataset.samples if dataset.selected is None else dataset.samples[dataset.selected]
    if split is not None:
        if split not in SPLITS:
            raise SubsetError(f"{split!r} is no split: choose one of {', '.join(SPLITS)}")
        rows = rows[rows["split"] == split]
    return rows[rows["excluded"].isna()]


def left_out(dataset: Dataset, split: str | None = None) -> dict[str, int]:
    """Count the samples of a split (or of all) that `select` leaves out: excluded, and of the others quarantined."""
    rows = dataset.samples if dataset.selected is None else dataset.samples[dataset.selected]
    rows = rows if split is None else rows[rows["split"] == split]
    excluded = rows["excluded"].notna()
    quarantined = rows["key"].isin(dataset.quarantine) & ~excluded
    return {"excluded": int(excluded.sum()), "quarantined": int(quarantined.sum())}


def label_fraction(
    rows: pd.DataFrame, name: str, fraction: float, draw: int, stratify: str | None = None
) -> pd.DataFrame:
    """The rows of label fraction `fraction` of draw `draw`, in their present order.

    Patients in the order of hash(draw, name, patient_id), the shortest prefix that reaches fraction x len(rows)
    samples; with `stratify` (a label column) within each class of patients, so that each class is reached. So
    fractions of a draw are nested, patients whole, and the same on every machine. Raises SubsetError for a
    fraction outside (0, 1].
    """
    _check_fraction(fraction)
    if stratify is None:
        kept = _patient_prefix(rows, name, fraction, draw)
    else:
        positive = (rows[stratify] == 1).groupby(rows["patient_id"]).transform("max")
        kept = _patient_prefix(rows[positive], name, fraction, draw)
        kept |= _patient_prefix(rows[~positive], name, fraction, draw)
    return rows[rows["patient_id"].isin(kept)]


def image_fraction(
    rows: pd.DataFrame, name: str, fraction: float, draw: int, stratify: str | None = None
) -> pd.DataFrame:
    """The rows of label fraction `fraction` of draw `draw` where images are drawn, not patients; in their order.

    Images in the order of hash(draw, name, key), the first fraction x len(rows) of them, rounded, at least one; with
    `stratify` (a label column) within each class. So fractions of a draw are nested and the same on every machine, and
    a patient may be in a fraction with some images only. Raises SubsetError for a fraction outside (0, 1].
    """
    _check_fraction(fraction)
    if stratify is None:
        kept = _image_prefix(rows, name, fraction, draw)
    else:
        positive = rows[stratify] == 1
        kept = _image_prefix(rows[positive], name, fraction, draw)
        kept |= _image_prefix(rows[~positive], name, fraction, draw)
    return rows[rows["key"].isin(kept)]


def single_label(dataset: Dataset) -> str | None:
    """The label that fractions are stratified by: of a set with a single label, that one."""
    return dataset.label_names[0] if len(dataset.label_names) == 1 else None


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction <= 1:
        raise SubsetError(f"label fraction {fraction}: expected a number above 0 and at most 1")


def _image_prefix(rows: pd.DataFrame, name: str, fraction: float, draw: int) -> set[str]:
    # Decimal, as in `_patient_prefix`; a half is rounded up.
    count = max(1, math.floor(Fraction(str(fraction)) * len(rows) + Fraction(1, 2)))
    return set(sorted(rows["key"], key=lambda key: patient_hash(name, key, draw))[:count])


def _patient_prefix(rows: pd.DataFrame, name: str, fraction: float, draw: int) -> set[str]:
    counts = rows["patient_id"].value_counts()
    # Decimal, as it was typed: 0.07 of 100 samples are 7, in floating point 7.000000000000001.
    wanted = Fraction(str(fraction)) * len(rows)
    reached = 0
    kept: set[str] = set()
    for patient in sorted(counts.index, key=lambda patient: patient_hash(name, patient, draw)):
        if reached >= wanted:
            break
        kept.add(patient)
        reached += int(counts[patient])
    return kept
