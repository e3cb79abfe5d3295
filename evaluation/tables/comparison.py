"""Truth and predictions joined by id: the arrays that the bootstrap works on.

Tables flow in, aligned arrays and the units to resample flow out, or an error that names ids. Knows no statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.tables.identifiers import some
from evaluation.tables.table import Table, TableError
from evaluation.tables.truth import PATIENT, Truth


@dataclass(frozen=True)
class Comparison:
    """One or two arms (model, then baseline where there is one) on the same rows.

    truth: [rows, labels], 1, 0, or NaN where it is uncertain or unknown: such a row is left out of the label.
    arms: one [draws, rows, labels] of probabilities an arm. unit: [rows], the resampled unit of each row, 0-based.
    clustered: some unit has more than one row. sidecars: by arm and draw, None where a file had none.
    inputs: where all of it came from, for the result.
    """

    labels: tuple[str, ...]
    truth: NDArray[np.float64]
    arms: list[NDArray[np.float64]]
    unit_name: str
    unit: NDArray[np.int64]
    clustered: bool
    sidecars: list[list[dict[str, Any] | None]]
    inputs: dict[str, Any]


def compare(truth: Truth, arms: Sequence[Sequence[Table]], cluster: str | None = None) -> Comparison:
    """Join by id. arms: the draws of each arm. cluster: the truth's column to resample, patient_id where None.

    Raises TableError where an id is missing on either side, the ids are of different columns, a probability is
    none, or the cluster column is missing or blank.
    """
    tables = [table for arm in arms for table in arm]
    for table in tables[1:]:
        if table.id_column != tables[0].id_column:
            raise TableError(
                f"{tables[0].path} is by {tables[0].id_column}, {table.path} by {table.id_column}: "
                "all predictions need the same first column"
            )
    labels = tuple(str(name) for name in truth.labels)
    values = truth.labels.to_numpy(np.float64)
    unit_name, unit = _units(truth, cluster)
    return Comparison(
        labels=labels,
        truth=np.where(values == -1, np.nan, values),
        arms=[np.stack([_aligned(truth, table, labels) for table in arm]) for arm in arms],
        unit_name=unit_name,
        unit=unit,
        clustered=bool(np.bincount(unit).max() > 1),
        sidecars=[[table.sidecar for table in arm] for arm in arms],
        inputs={
            "labels": truth.origin,
            **{
                name: [{"path": str(table.path), "sha256": table.sha256} for table in arm]
                for name, arm in zip(("model", "baseline"), arms, strict=False)
            },
        },
    )


def _aligned(truth: Truth, table: Table, labels: Sequence[str]) -> NDArray[np.float64]:
    """The table's probabilities in the truth's order of rows, [rows, labels]."""
    row_of = {value: row for row, value in enumerate(table.ids)}
    missing = [value for value in truth.ids if value not in row_of]
    if missing:
        raise TableError(
            f"{table.path} has no prediction for {len(missing)} of the {len(truth.ids)} ids of {truth.source}: "
            f"{some(missing)}. Predict them too, or leave them out of the truth"
        )
    if len(table.ids) > len(truth.ids):
        known = set(truth.ids)
        extra = [value for value in table.ids if value not in known]
        raise TableError(
            f"{truth.source} has no row for {len(extra)} of the {len(table.ids)} ids of {table.path}: "
            f"{some(extra)}. Both must hold the same ids"
        )
    order = [row_of[value] for value in truth.ids]
    return np.stack([table.probabilities(label)[order] for label in labels], axis=1)


def _units(truth: Truth, cluster: str | None) -> tuple[str, NDArray[np.int64]]:
    """Name of the resampled column and each row's unit: `cluster`, else patient_id, else the id itself."""
    if cluster is None:
        cluster = PATIENT if PATIENT in truth.groups else truth.id_name
    if cluster == truth.id_name:
        return cluster, np.arange(len(truth.ids))
    if cluster not in truth.groups:
        raise TableError(
            f"{truth.source} has no column {cluster!r} to resample by that is the same in all rows of a "
            f"{truth.id_name}: choose one of {', '.join([truth.id_name, *truth.groups])}"
        )
    column = truth.groups[cluster].str.strip()
    blank = np.flatnonzero(column == "")
    if len(blank):
        raise TableError(
            f"{truth.source}: {cluster} is blank for {len(blank)} rows ({some([truth.ids[row] for row in blank])}): "
            "a row of unknown cluster cannot be resampled"
        )
    return cluster, np.asarray(pd.factorize(column)[0], np.int64)
