"""Count the participants of each split: patients, images, sex, age, projection and labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from shards.format.dataset import Dataset
from shards.format.schema import SPLITS
from shards.format.subsets import select

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Age:
    """Quartiles of the age in years over patients, and how many have none recorded. median: None where none has."""

    median: float | None
    low: float
    high: float
    unknown: int


@dataclass(frozen=True)
class LabelCounts:
    """Images by what the source says of one label."""

    positive: int
    negative: int
    uncertain: int
    not_mentioned: int


@dataclass(frozen=True)
class SplitCohort:
    """Images of one split that subsets are taken from. studies: None where the dataset does not know them.

    sex: patients by their first recorded value. age: of a patient, the youngest recorded. projection, ap_pa: images.
    """

    images: int
    patients: int
    studies: int | None
    sex: dict[str, int]
    age: Age
    projection: dict[str, int]
    ap_pa: dict[str, int]
    labels: dict[str, LabelCounts]


def cohorts(dataset: Dataset) -> dict[str, SplitCohort]:
    """Count each split that has images, without excluded and quarantined ones."""
    rows = select(dataset)
    of_split = {split: rows[rows["split"] == split] for split in SPLITS}
    return {split: _cohort(found, dataset.label_names) for split, found in of_split.items() if len(found)}


def _cohort(rows: pd.DataFrame, labels: Sequence[str]) -> SplitCohort:
    by_patient = rows.groupby("patient_id", sort=False)
    return SplitCohort(
        images=len(rows),
        patients=len(by_patient),
        studies=None if rows["study_id"].isna().any() else len(rows[["patient_id", "study_id"]].drop_duplicates()),
        sex=_counts(by_patient["sex"].first()),
        age=_age(by_patient["age"].min()),
        projection=_counts(rows["projection"]),
        ap_pa=_counts(rows["ap_pa"]),
        labels={label: _label_counts(rows[label]) for label in labels},
    )


def _counts(values: pd.Series) -> dict[str, int]:
    """How often each value occurs, the most frequent first; what is not recorded last."""
    counts = values.value_counts()
    found = {str(value): int(count) for value, count in counts.items()}
    unknown = int(values.isna().sum())
    return found | ({NOT_RECORDED: unknown} if unknown else {})


def _age(ages: pd.Series) -> Age:
    known = ages.dropna().to_numpy(np.float64)
    unknown = int(ages.isna().sum())
    if not len(known):
        return Age(None, 0.0, 0.0, unknown)
    low, median, high = (float(one) for one in np.percentile(known, (25, 50, 75)))
    return Age(median, low, high, unknown)


def _label_counts(values: pd.Series) -> LabelCounts:
    positive, negative, uncertain = (int((values == value).sum()) for value in (1, 0, -1))
    return LabelCounts(positive, negative, uncertain, int(values.isna().sum()))
