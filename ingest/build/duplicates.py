"""Find images that are equal pixel by pixel once stored, within a patient, across patients and across splits."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

DUPLICATES = "duplicates.csv"
COLUMNS = ("key", "path", "split", "patient_id", "same_as")
KIND = "duplicate"

# What is measured on must stay whole; what is trained on can spare an image.
_KEPT_FIRST: Mapping[str, int] = {"test": 0, "valid": 1, "train": 2}


@dataclass(frozen=True)
class Counts:
    """Counts of duplicates.

    images: how many equal another that stays. groups: groups of equal images, of which within_a_patient hold one
    patient only, across_patients several, and across_splits images of several splits.
    """

    images: int
    groups: int
    within_a_patient: int
    across_patients: int
    across_splits: int

    def __str__(self) -> str:
        return (
            f"{self.images:,} equal to another image pixel by pixel; groups of equal images: {self.groups:,} "
            f"({self.within_a_patient:,} within a patient, {self.across_patients:,} across patients; "
            f"{self.across_splits:,} across splits)"
        )


def find_duplicates(rows: pd.DataFrame) -> pd.DataFrame:
    """List all but one of each group of equal images, ordered by the key of the image that stays, then by their own.

    rows: key, source_path, split, patient_id, pixels (equal where images are). The image of a group that stays is
    one of test before valid before train, then the first by key. Returns COLUMNS.
    """
    rank = rows["split"].map(_KEPT_FIRST)
    ordered = rows.assign(rank=rank).sort_values(["rank", "key"], ignore_index=True)
    ordered["same_as"] = ordered.groupby("pixels")["key"].transform("first")
    extra = ordered[ordered["same_as"] != ordered["key"]].rename(columns={"source_path": "path"})
    return extra.sort_values(["same_as", "key"], ignore_index=True)[list(COLUMNS)]


def count_duplicates(duplicates: pd.DataFrame, samples: pd.DataFrame) -> Counts:
    """Count the images that find_duplicates found. samples: key, split, patient_id of at least the images that stay."""
    stay = samples[samples["key"].isin(duplicates["same_as"])]
    members = pd.concat([duplicates, stay.assign(same_as=stay["key"])], ignore_index=True)
    groups = members.groupby("same_as")[["patient_id", "split"]].nunique()
    several = groups > 1
    return Counts(
        images=len(duplicates),
        groups=len(groups),
        within_a_patient=int((~several["patient_id"]).sum()),
        across_patients=int(several["patient_id"].sum()),
        across_splits=int(several["split"].sum()),
    )


def reason(same_as: str) -> str:
    """Text of the column `excluded` for a duplicate that is left out."""
    return f"{KIND} of {same_as}"
