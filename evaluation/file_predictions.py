"""Predict image files that are no dataset: no shards are built, and nothing is known of their patients."""

import numpy as np
import pandas as pd

from evaluation.image_files import decoded_files
from evaluation.model_options import PredictOptions
from evaluation.probabilities import probabilities
from evaluation.recalibration import temperatures_of
from evaluation.sidecars import of_model, write_predictions
from evaluation.tables.identifiers import PATH
from shards.errors import SubsetError
from training.backbones.inference import outputs
from training.backbones.networks import Preprocessing
from training.downstream.model_directory import Model
from training.processes.devices import available_threads, choose_device

UNKNOWN = "unknown: files name no patient, so it is not known whether the weights have seen them"
"""What the sidecar says of patients."""


def predict_files(model: Model, options: PredictOptions) -> int:
    """Write the probabilities of each file, by its path; returns the number of rows.

    Files that cannot be used are left out; the sidecar names them with the reason. Raises SubsetError where none can be
    used.
    """
    if options.aggregate != "image":
        raise SubsetError("files name no study: leave --aggregate out")
    temperatures = temperatures_of(model, options)
    threads = options.threads or available_threads()
    wanted = {"short_side": options.short_side, "threads": threads}
    with decoded_files(options.files, png_range=options.png_range, **wanted) as files:
        batches = outputs(
            model.network,
            files.dataset,
            files.rows,
            Preprocessing(model.image_size, model.mean, model.std),
            device=choose_device(options.device),
            threads=threads,
            description="predicting files",
        )
        logits = np.concatenate([logits for logits, _ in batches])
        found = probabilities(logits if temperatures is None else temperatures.apply(logits, model.labels))
        columns = {label: found[:, column] for column, label in enumerate(model.labels)}
        table = pd.DataFrame({PATH: files.rows["source_path"].to_numpy(object), **columns})
        described = files.described()
        citation = files.dataset.citation
    facts = {
        "labels": list(model.labels),
        "aggregate": "image",
        "dataset": citation,
        **described,
        **of_model(model.description),
        **({} if temperatures is None else {"recalibrated": temperatures.citation}),
        "patients": UNKNOWN,
        "seen_patients": None,
        "run_patients": None,
        "seen_images": None,
        "unknown_patients": [UNKNOWN.removeprefix("unknown: ")],
        "declared_patients": list(model.seen.declared),
        "allow_seen_patients": options.allow_seen_patients,
        "allow_unknown_patients": options.allow_unknown_patients,
    }
    write_predictions(options.output, table, facts)
    return len(table)
