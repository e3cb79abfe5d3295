"""What the train splits of several datasets are together: their patients, and the gray levels to normalise by."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shards.durable import write_atomically
from shards.format.dataset import Dataset
from shards.format.subsets import select


def train_patients(datasets: Sequence[Dataset]) -> pd.DataFrame:
    """Everyone in the train splits: columns dataset, patient_id."""
    return pd.concat(
        [
            pd.DataFrame({"dataset": dataset.name, "patient_id": select(dataset, "train")["patient_id"].unique()})
            for dataset in datasets
        ]
    )


PATIENTS = "patients.parquet"


def write_patients(run: Path, patients: pd.DataFrame) -> None:
    """Write everyone the weights will have seen: columns dataset, patient_id; sorted, each once."""
    schema = pa.schema([pa.field("dataset", pa.string()), pa.field("patient_id", pa.string())])
    rows = patients[["dataset", "patient_id"]].drop_duplicates().sort_values(["dataset", "patient_id"])
    table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    with write_atomically(run / PATIENTS) as file:
        pq.write_table(table, file)


def read_patients(folder: Path) -> pd.DataFrame:
    """patients.parquet of a run or model directory (columns dataset, patient_id); no rows where there is none."""
    path = folder / PATIENTS
    if not path.is_file():
        return no_patients()
    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return frame


def no_patients() -> pd.DataFrame:
    """Columns dataset, patient_id, and no rows."""
    return pd.DataFrame({"dataset": pd.Series(dtype="str"), "patient_id": pd.Series(dtype="str")})
