"""Measure how well a dataset's samples are mixed: reading the shards in order should show no order of the source."""

from typing import Any

import numpy as np
import pandas as pd


def mixing(rows: pd.DataFrame) -> dict[str, Any]:
    """Mixing of one split. rows: source_path and patient_id, in storage order.

    score: how far apart two neighbours in storage stand in the source (in the order of its paths), on average, over
    the (n + 1) / 3 places that a perfect shuffle of n samples gives. Near 0 for the source's own order, also where
    whole blocks of it were shuffled; for a perfect shuffle 1, give or take 0.7 / sqrt(n).
    correlation: of the place in storage with that in the source; 0, give or take 1 / sqrt(n).
    same_patient_neighbours: neighbours of one patient; expected: how many a perfect shuffle has.
    score and correlation are None for fewer than two samples and where there are no paths (hashed identifiers).
    """
    count = len(rows)
    patients = rows["patient_id"].to_numpy()
    sizes = rows["patient_id"].value_counts().to_numpy(np.float64)
    found: dict[str, Any] = {
        "score": None,
        "correlation": None,
        "same_patient_neighbours": int((patients[1:] == patients[:-1]).sum()),
        "expected": round(float((sizes * (sizes - 1)).sum() / max(count, 1)), 1),
    }
    if count >= 2 and rows["source_path"].notna().all():
        place = rows["source_path"].rank(method="first").to_numpy()  # [n], 1..n
        found["score"] = round(float(np.abs(np.diff(place)).mean() / ((count + 1) / 3)), 3)
        found["correlation"] = round(float(np.corrcoef(place, np.arange(count))[0, 1]), 3)
    return found
