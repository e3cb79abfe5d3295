"""Assign patients to splits: official files keep theirs, fractions are carved out of train, whole patients only.

The order of patients is a hash of (name, patient_id), so that a split is the
same on every machine, in every release of a dataset and whatever the seed of the shuffle.
"""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from shards.errors import DatasetError
from shards.format.identity import patient_hash


def check_patients(rows: pd.DataFrame) -> None:
    """Raise DatasetError where a patient stands in two splits; names both rows."""
    first = rows.drop_duplicates(["patient_id", "split"])
    shared = first[first["patient_id"].duplicated(keep=False)].sort_values("patient_id", kind="stable")
    if shared.empty:
        return
    one, other = (shared.iloc[i] for i in range(2))
    more = shared["patient_id"].nunique() - 1
    raise DatasetError(
        f"patient {one['patient_id']} is in {one['split']} ({one['where']}: {one['source_path']}) and in "
        f"{other['split']} ({other['where']}: {other['source_path']})"
        + (f", and so are {more} other patients" if more else "")
        + ": a model would be tested on patients that it was trained on. Take the patient out of one of the tables."
    )


def carve(
    rows: pd.DataFrame, name: str, valid_fraction: float, test_fraction: float, stratify: str | None
) -> pd.Series:
    """Carve fractions of the training samples into test and valid; return the split of each row.

    Within each class of `stratify` (one class where it is None; rows without the label are a class of their own),
    patients stand in the order of patient_hash(name, patient_id). The shortest prefix that reaches test_fraction of
    the class's samples is test, the shortest prefix of the rest that reaches valid_fraction of them is valid: so
    the test split does not depend on valid_fraction. Raises DatasetError where nothing is left to train on.
    """
    split = rows["split"].copy()
    train = rows[split == "train"]
    if train.empty or (valid_fraction == 0 and test_fraction == 0):
        return split
    groups = train.groupby("patient_id", sort=False)
    patients = pd.DataFrame({"samples": groups.size()})
    patients["class"] = groups[stratify].max().fillna(-2.0) if stratify else 0.0
    patients["hash"] = [patient_hash(name, str(patient)) for patient in patients.index]
    patients = patients.sort_values("hash")
    target = pd.Series("train", index=patients.index)
    for _, stratum in patients.groupby("class"):
        samples = stratum["samples"].to_numpy()
        test = _prefix(samples, test_fraction, samples.sum())
        valid = _prefix(samples[test:], valid_fraction, samples.sum())
        target[stratum.index[:test]] = "test"
        target[stratum.index[test : test + valid]] = "valid"
    split.loc[train.index] = train["patient_id"].map(target)
    if not (split == "train").any():
        raise DatasetError(
            f"--valid-fraction {valid_fraction} and --test-fraction {test_fraction} leave no patient to train on"
        )
    return split


def _prefix(samples: npt.NDArray[np.int64], fraction: float, total: int) -> int:
    """Length of the shortest prefix whose samples reach fraction * total, or all there are."""
    wanted = math.ceil(round(fraction * total, 6))
    if wanted == 0:
        return 0
    return min(int(np.searchsorted(np.cumsum(samples), wanted)) + 1, len(samples))
