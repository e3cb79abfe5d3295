"""Recalibrate predictions by the temperatures saved with a model, fitted on the validation split of its own dataset.

No row that is predicted takes part in the fit, unless the valid split itself is predicted.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.calibration.temperature import (
    TemperatureError,
    Temperatures,
    fit_temperature,
    read_temperatures,
    save_temperatures,
)
from evaluation.model_options import PredictOptions
from shards.format.dataset import Dataset
from shards.format.subsets import select
from training.downstream.model_directory import Model, selected_on

VALID = "valid"

LogitsOf = Callable[[pd.DataFrame], NDArray[np.float32]]
"""Runs the network over rows of the dataset: float32 [N, L]."""


def temperatures_of(
    model: Model, options: PredictOptions, dataset: Dataset | None = None, logits_of: LogitsOf | None = None
) -> Temperatures | None:
    """The temperatures that --recalibrate asks for, None without it.

    dataset: what is predicted, None for files. Raises TemperatureError where they would have to be fitted on another
    dataset than the model's own, or on one without a valid split.
    """
    if options.recalibrate == "none":
        return None
    saved = read_temperatures(options.model, model.description.at("digest").text())
    if saved is not None:
        return saved
    own = model.description.at("dataset")
    digest = own.at("digest").text()
    if dataset is None or logits_of is None or digest != dataset.digest:
        raise TemperatureError(
            f"{options.model} has no temperature yet, and it is fitted on the model's own dataset "
            f"({own.at('name').text()}, digest {digest[:12]}). Predict any split of that one with "
            "--recalibrate temperature first"
        )
    rows = select(dataset, VALID)
    if rows.empty:
        raise TemperatureError(
            f"{dataset.root} has no valid split to fit a temperature on: build it with --valid-fraction, or leave "
            "--recalibrate out"
        )
    fitted = _fitted(model, dataset, rows, logits_of(rows))
    save_temperatures(options.model, fitted)
    return fitted


def _fitted(model: Model, dataset: Dataset, rows: pd.DataFrame, logits: NDArray[np.float32]) -> Temperatures:
    return Temperatures(
        model.description.at("digest").text(),
        dataset.digest,
        VALID,
        selected_on(model.description),
        {
            label: fit_temperature(logits[:, column], rows[label].to_numpy(np.float64, na_value=np.nan))
            for column, label in enumerate(model.labels)
        },
    )
