"""Measure how well a dataset's samples are mixed: reading the shards in order should show no order of the source."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Mixing:
    """How well a split is shuffled.

    score: mean distance in the source (in the order of its paths) between two neighbours in storage, divided by
    (n + 1) / 3, the mean distance after a perfect shuffle of n samples. Near 0 for the source's own order, also where
    whole blocks of it were shuffled; 1 for a perfect shuffle, with a standard deviation of about 0.7 / sqrt(n).
    correlation: of the position in storage with that in the source; 0, give or take 1 / sqrt(n).
    same_patient_neighbours: pairs of neighbours of one patient; expected: how many a perfect shuffle has.
    score and correlation are None for fewer than two samples and where there are no paths (hashed identifiers).
    """

    score: float | None
    correlation: float | None
    same_patient_neighbours: int
    expected: float


def mixing(rows: pd.DataFrame) -> Mixing:
    """Measure the mixing of one split. rows: source_path and patient_id, in storage order."""
    count = len(rows)
    patients = rows["patient_id"].to_numpy()
    sizes = rows["patient_id"].value_counts().to_numpy(np.float64)
    score = correlation = None
    if count >= 2 and rows["source_path"].notna().all():
        place = rows["source_path"].rank(method="first").to_numpy()  # [n], 1..n
        score = round(float(np.abs(np.diff(place)).mean() / ((count + 1) / 3)), 3)
        correlation = round(float(np.corrcoef(place, np.arange(count))[0, 1]), 3)
    return Mixing(
        score=score,
        correlation=correlation,
        same_patient_neighbours=int((patients[1:] == patients[:-1]).sum()),
        expected=round(float((sizes * (sizes - 1)).sum() / max(count, 1)), 1),
    )
