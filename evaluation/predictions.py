"""Predict a split of a dataset with a probed or fine-tuned model: a table of probabilities and its sidecar.

Patients that the weights have seen are refused, or, on request, counted in the sidecar.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.file_predictions import predict_files
from evaluation.model_options import PredictOptions
from evaluation.probabilities import probabilities
from evaluation.recalibration import temperatures_of
from evaluation.sidecars import of_model, write_predictions
from evaluation.tables.identifiers import STUDY
from shards.errors import SubsetError
from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import left_out, select
from shards.selection.row_filter import filtered
from training.backbones.inference import outputs
from training.backbones.networks import Preprocessing
from training.downstream.model_directory import Model, load_model
from training.leakage import Allowed, as_recorded, leakage_of, refuse_leakage
from training.processes.devices import available_threads, choose_device


def predict(options: PredictOptions) -> int:
    """Write the probabilities of each image or study of a split, or of each file; returns the number of rows.

    aggregate: image, or study (the highest probability of its images, Irvin et al. 2019, section 4.2).
    Raises SubsetError for an empty split, a row filter that leaves nothing of it, unknown studies, or patients that the
    model has seen or may have seen.
    """
    shards, model = options.source(), load_model(options.model)
    if shards is None:
        return predict_files(model, options)
    return predict_with(model, filtered(open_dataset(shards), options.row_filter, (options.split,)), options)


def predict_with(
    model: Model, dataset: Dataset, options: PredictOptions, logits: NDArray[np.float32] | None = None
) -> int:
    """Predict as `predict` does, with a model and a dataset that are open already.

    logits: of the split's rows, float32 [N, L], where they are known from elsewhere; None runs the network.
    """
    rows = select(dataset, options.split)
    if rows.empty:
        raise SubsetError(
            f"{dataset.root} has no {options.split} split: build it with --test-fraction or --test-source, or name "
            "another --split"
        )
    found = leakage_of(model.seen, model.run_seen, dataset, rows)
    allowed = Allowed(options.allow_seen_patients, options.allow_unknown_patients)
    refuse_leakage(found, options.split, allowed)
    if logits is None:
        logits = _logits(model, dataset, rows, options)
    temperatures = temperatures_of(model, options, dataset, lambda valid: _logits(model, dataset, valid, options))
    values = logits if temperatures is None else temperatures.apply(logits, model.labels)
    table = prediction_table(rows, probabilities(values), model.labels, dataset.name, options.aggregate)
    facts = {
        "labels": list(model.labels),
        "split": options.split,
        "aggregate": options.aggregate,
        "dataset": dataset.citation,
        "left_out": left_out(dataset, options.split),
        **({} if dataset.row_filter is None else {"row_filter": dataset.row_filter}),
        **of_model(model.description),
        **as_recorded(found, model.seen, allowed),
        **({} if temperatures is None else {"recalibrated": temperatures.citation}),
    }
    write_predictions(options.output, table, facts)
    return len(table)


def prediction_table(
    rows: pd.DataFrame, probabilities: NDArray[np.float64], labels: tuple[str, ...], name: str, aggregate: str
) -> pd.DataFrame:
    """Make a table with a row an image, by key, or a study, by `<name>/<split>/<patient>/<study>`, in the rows' order.

    probabilities: [N, L]. Raises SubsetError where studies are wanted and the dataset does not know them.
    """
    columns = {label: probabilities[:, column] for column, label in enumerate(labels)}
    if aggregate == "image":
        return pd.DataFrame({"key": rows["key"].to_numpy(object), **columns})
    if rows["study_id"].isna().any():
        raise SubsetError(f"{name} does not know which study an image belongs to: use --aggregate image")
    study = [
        "/".join((name, *parts)) for parts in zip(rows["split"], rows["patient_id"], rows["study_id"], strict=True)
    ]
    return pd.DataFrame({STUDY: study, **columns}).groupby(STUDY, sort=False, as_index=False).max()


def _logits(model: Model, dataset: Dataset, rows: pd.DataFrame, options: PredictOptions) -> NDArray[np.float32]:
    """Run the model over the fixed view of each row; float32 [N, L]."""
    batches = outputs(
        model.network,
        dataset,
        rows,
        Preprocessing(model.image_size, model.mean, model.std),
        device=choose_device(options.device),
        threads=options.threads or available_threads(),
        description=f"predicting {dataset.name}",
    )
    return np.concatenate([logits for logits, _ in batches])
