"""List the patients that weights have seen (patients.parquet), and check a split for leakage.

A patient is (dataset name, patient_id): the same number in another dataset is another person.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shards.durable import write_atomically
from shards.errors import SubsetError
from shards.format.dataset import Dataset
from shards.format.subsets import select

PATIENTS = "patients.parquet"
RUN_PATIENTS = "run_patients.parquet"
"""Beside a model of a run's start: the patients that the run has seen, and the start has not."""

_SHOWN = 3


def train_patients(datasets: Sequence[Dataset]) -> pd.DataFrame:
    """List the patients of the train splits: columns dataset, patient_id."""
    return pd.concat(
        [
            pd.DataFrame({"dataset": dataset.name, "patient_id": select(dataset, "train")["patient_id"].unique()})
            for dataset in datasets
        ]
    )


def write_patients(run: Path, patients: pd.DataFrame, name: str = PATIENTS) -> None:
    """Write patients.parquet: the patients that the weights will have seen, sorted, each once."""
    schema = pa.schema([pa.field("dataset", pa.string()), pa.field("patient_id", pa.string())])
    rows = patients[["dataset", "patient_id"]].drop_duplicates().sort_values(["dataset", "patient_id"])
    table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    with write_atomically(run / name) as file:
        pq.write_table(table, file)


def read_patients(folder: Path, name: str = PATIENTS) -> pd.DataFrame:
    """Read patients.parquet of a run or model directory (columns dataset, patient_id); no rows where there is none."""
    path = folder / name
    if not path.is_file():
        return no_patients()
    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return frame


def no_patients() -> pd.DataFrame:
    """Make an empty list of patients: columns dataset, patient_id."""
    return pd.DataFrame({"dataset": pd.Series(dtype="str"), "patient_id": pd.Series(dtype="str")})


def seen_among(patients: pd.DataFrame, name: str, rows: pd.DataFrame) -> list[str]:
    """Find the patients of `rows`, of the dataset called `name`, who are among `patients` (dataset, patient_id)."""
    known = set(patients.loc[patients["dataset"] == name, "patient_id"])
    return sorted(known.intersection(rows["patient_id"]))


def refuse_seen_patients(patients: pd.DataFrame, name: str, rows: pd.DataFrame, split: str) -> None:
    """Raise SubsetError if the weights have seen patients of the rows (leakage), those of a split of dataset `name`."""
    seen = seen_among(patients, name, rows)
    if seen:
        shown = ", ".join(seen[:_SHOWN]) + (f" and {len(seen) - _SHOWN} more" if len(seen) > _SHOWN else "")
        raise SubsetError(
            f"the weights have seen {len(seen)} of the {split} split's patients ({shown}): their predictions say "
            "nothing about new patients. Take a split that was held back, or pass --allow-seen-patients, which the "
            "result will say"
        )
