"""Predictions of a probed or fine-tuned model on a split of a dataset: a table of probabilities and its sidecar.

Patients whom the weights have seen are refused, or, on request, counted in the sidecar. Knows nothing of truth.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from evaluation.tables.identifiers import STUDY, some
from shards.durable import write_atomically, write_json_atomically
from shards.errors import SubsetError
from shards.format.dataset import Dataset
from shards.format.subsets import select
from shards.loading.dali_graph import Device
from training.backbones.inference import outputs
from training.downstream.model_directory import Model

FORMAT_VERSION = 1
CITED = (
    "digest",
    "method",
    "initial",
    "architecture",
    "labels",
    "label_fraction",
    "draw",
    "seed",
    "dataset",
    "provenance",
)
"""What a sidecar takes over from model.json."""


def predict(
    model: Model,
    dataset: Dataset,
    output: Path,
    *,
    split: str,
    aggregate: str,
    allow_seen_patients: bool,
    device: Device,
    threads: int,
) -> int:
    """Write the probabilities of each image or study of a split to `output` (.csv or .parquet); how many rows.

    aggregate: image, or study (the highest probability of its images, Irvin et al. 2019, section 4.2).
    Raises SubsetError for an empty split, unknown studies, or patients whom the model has seen.
    """
    rows = select(dataset, split)
    if rows.empty:
        raise SubsetError(
            f"{dataset.root} has no {split} split: build it with --test-fraction or --test-source, or name another "
            "--split"
        )
    seen = seen_patients(model.patients, dataset.name, rows)
    if seen and not allow_seen_patients:
        raise SubsetError(
            f"the weights have seen {len(seen)} of the {split} split's patients ({some(seen)}): their predictions say "
            "nothing about new patients. Take a split that was held back, or pass --allow-seen-patients, which the "
            "result will say"
        )
    described = model.description
    output.parent.mkdir(parents=True, exist_ok=True)
    logits = np.concatenate(
        [
            part
            for part, _ in outputs(
                model.network,
                dataset,
                rows,
                image_size=described["image_size"],
                mean=described["mean"],
                std=described["std"],
                device=device,
                threads=threads,
                description=f"predicting {dataset.name}",
            )
        ]
    )
    table = prediction_table(rows, expit(logits.astype(np.float64)), model.labels, dataset.name, aggregate)
    with write_atomically(output) as file:
        if output.suffix == ".parquet":
            table.to_parquet(file, index=False)
        else:
            file.write(table.to_csv(index=False).encode())
    write_json_atomically(
        output.with_name(output.name + ".json"),
        {
            "format_version": FORMAT_VERSION,
            "id": table.columns[0],
            "labels": list(model.labels),
            "rows": len(table),
            "split": split,
            "aggregate": aggregate,
            "dataset": dataset.citation,
            "model": {key: described[key] for key in CITED},
            "seen_patients": len(seen),
            "allow_seen_patients": allow_seen_patients,
        },
    )
    return len(table)


def seen_patients(patients: pd.DataFrame, name: str, rows: pd.DataFrame) -> list[str]:
    """Patients of `rows`, of the dataset called `name`, who are among `patients` (columns dataset, patient_id)."""
    known = set(patients.loc[patients["dataset"] == name, "patient_id"])
    return sorted(known.intersection(rows["patient_id"]))


def prediction_table(
    rows: pd.DataFrame, probabilities: NDArray[np.float64], labels: tuple[str, ...], name: str, aggregate: str
) -> pd.DataFrame:
    """One row an image, by key, or one a study, by `<name>/<split>/<patient>/<study>`, in the order of the rows.

    probabilities: [N, L]. Raises SubsetError where studies are wanted and the dataset does not know them.
    """
    columns: dict[str, Any] = {label: probabilities[:, column] for column, label in enumerate(labels)}
    if aggregate == "image":
        return pd.DataFrame({"key": rows["key"].to_numpy(object), **columns})
    if rows["study_id"].isna().any():
        raise SubsetError(f"{name} does not know which study an image belongs to: use --aggregate image")
    study = [
        "/".join((name, *parts)) for parts in zip(rows["split"], rows["patient_id"], rows["study_id"], strict=True)
    ]
    return pd.DataFrame({STUDY: study, **columns}).groupby(STUDY, sort=False, as_index=False).max()
