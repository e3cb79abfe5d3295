"""Hold out a part of the training patients, on which a regularisation or an epoch is chosen."""

import pandas as pd

from shards.format.identity import patient_hash

EVERY = 4
"""One patient in EVERY is held out."""

_DRAW_OF_HOLDOUT = -1  # a draw that no label fraction uses, so that the held-out part is no prefix of one


def held_out(rows: pd.DataFrame, name: str, positive: "pd.Series[bool]") -> "pd.Series[bool]":
    """Mark the rows that are held out: whole patients, every EVERY-th with and every EVERY-th without the label.

    positive: a bool a row. Patients are taken in the order of a hash, so the choice is the same on every machine.
    """
    by_patient = positive.groupby(rows["patient_id"]).max()
    kept: set[str] = set()
    for has_label in (False, True):
        patients = sorted(
            by_patient.index[by_patient == has_label], key=lambda p: patient_hash(name, p, _DRAW_OF_HOLDOUT)
        )
        kept.update(patients[EVERY - 1 :: EVERY])
    return rows["patient_id"].isin(kept)
