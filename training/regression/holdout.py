"""Hold out training patients, on which a regularisation or an epoch is chosen: one part of them, or folds."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from shards.format.identity import patient_hash

EVERY = 4
"""One patient in EVERY is held out."""

_DRAW_OF_HOLDOUT = -1  # a draw that no label fraction uses, so that the held-out part is no prefix of one


def held_out(rows: pd.DataFrame, name: str, positive: "pd.Series[bool]") -> "pd.Series[bool]":
    """Mark the rows that are held out: whole patients, every EVERY-th with and every EVERY-th without the label.

    positive: a bool a row. Patients are taken in the order of a hash, so the choice is the same on every machine.
    """
    kept: set[str] = set()
    for patients in patients_by_class(rows, name, positive):
        kept.update(patients[EVERY - 1 :: EVERY])
    return rows["patient_id"].isin(kept)


def folds(rows: pd.DataFrame, name: str, positive: "pd.Series[bool]", count: int) -> npt.NDArray[np.int64]:
    """Deal whole patients into `count` folds, those with and those without the label in turn; int64 [N].

    Each fold has patients of both classes if there are `count` of the rarer one. The order is that of `held_out`.
    """
    without, with_label = patients_by_class(rows, name, positive)
    # The second class is dealt from the last fold backwards, so that the folds are of nearly the same size.
    fold_of = {patient: number % count for number, patient in enumerate(without)}
    fold_of |= {patient: count - 1 - number % count for number, patient in enumerate(with_label)}
    return np.asarray(rows["patient_id"].map(fold_of), dtype=np.int64)


def patients_by_class(rows: pd.DataFrame, name: str, positive: "pd.Series[bool]") -> tuple[list[str], list[str]]:
    """List the patients without and those with a positive row, each in the order of a hash."""
    by_patient = positive.groupby(rows["patient_id"]).max()
    without, with_label = (
        sorted(by_patient.index[by_patient == label], key=lambda p: patient_hash(name, p, _DRAW_OF_HOLDOUT))
        for label in (False, True)
    )
    return without, with_label
