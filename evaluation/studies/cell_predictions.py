"""Predict the split that a study judges with each finished cell, unless its predictions are there and up to date."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.model_options import PredictOptions
from evaluation.predictions import predict_with
from shards.format.dataset import Dataset
from shards.format.subsets import select
from shards.json_value import JsonError, JsonValue, parse_json
from training.backbones.networks import head_name
from training.claims import waited_for
from training.downstream.model_directory import Model, load_model
from training.downstream.options import ProbeOptions
from training.processes.devices import available_threads, choose_device
from training.runs.files import MODEL
from training.studies.cells import Cell, StudyFolder
from training.studies.shared_inputs import SharedInputs

EMBEDDINGS = "embeddings"


def predictions_path(folder: StudyFolder, cell: Cell) -> Path:
    """The table of a cell's predictions."""
    return folder.output / cell.path / f"{folder.study.evaluation.split}.csv"


def predict_cell(folder: StudyFolder, cell: Cell, inputs: SharedInputs, *, device: str, threads: int | None) -> bool:
    """Write a cell's predictions and their sidecar; False where they are there already, of this model and dataset."""
    path, directory = predictions_path(folder, cell), folder.output / cell.path
    trained = cell.options(folder.study, data=folder.data, output=folder.output)
    dataset = inputs.dataset(trained.shards, trained.row_filter)
    with waited_for(path, f"predictions of {cell.path}"):
        if _is_current(path, directory, dataset, cell.target.aggregate):
            return False
        options = PredictOptions(
            shards=dataset.root,
            model=directory,
            output=path,
            split=folder.study.evaluation.split,
            aggregate=cell.target.aggregate,
            where=trained.row_filter,
            device=device,
            threads=threads,
        )
        model = load_model(directory)
        logits = _logits_of_embeddings(folder, cell, inputs, model, options) if cell.method == "probe" else None
        predict_with(model, dataset, options, logits)
    return True


def _is_current(path: Path, directory: Path, dataset: Dataset, aggregate: str) -> bool:
    sidecar = _parsed(path.with_name(path.name + ".json"))
    if not path.is_file():
        return False
    recorded = (
        _text(sidecar, "model", "digest"),
        _text(sidecar, "dataset", "digest"),
        _text(sidecar, "aggregate"),
        _text(sidecar, "row_filter"),
    )
    described = _text(_parsed(directory / MODEL), "digest")
    return recorded == (described, dataset.digest, aggregate, dataset.row_filter)


def _parsed(path: Path) -> JsonValue | None:
    """A file's JSON, None where there is none or it is torn: then the predictions are made again."""
    try:
        return parse_json(path.read_bytes())
    except (OSError, JsonError):
        return None


def _text(content: JsonValue | None, *keys: str) -> str | None:
    found = None if content is None else content.find(*keys)
    return None if found is None else str(found.value)


def _logits_of_embeddings(
    folder: StudyFolder, cell: Cell, inputs: SharedInputs, model: Model, options: PredictOptions
) -> NDArray[np.float32]:
    """Logits of a probe from the embeddings that it was fitted on, float32 [N, L]: no image is read again."""
    trained = cell.options(folder.study, data=folder.data, output=folder.output)
    assert isinstance(trained, ProbeOptions)
    start = inputs.begin(replace(trained, device=options.device, threads=options.threads))
    embedded = inputs.features(
        start.backbone,
        start.dataset,
        options.split,
        cache=folder.output / EMBEDDINGS,
        device=choose_device(options.device),
        threads=options.threads or available_threads(),
    )
    weights = model.network.state_dict()
    head = head_name(model.architecture)
    weight, bias = (weights[f"{head}.{part}"].numpy() for part in ("weight", "bias"))
    assert len(embedded.features) == len(select(start.dataset, options.split))
    return np.asarray(embedded.features @ weight.T + bias, dtype=np.float32)
