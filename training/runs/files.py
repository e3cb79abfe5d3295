"""Name the files of a run and of a model directory, and read the small ones. No torch: the report reads through these.

The lines of metrics.jsonl are read by `training.runs.metrics_lines`, backbone.json by `training.backbones.description`.
"""

from dataclasses import dataclass
from typing import cast

from shards.input_files import load_yaml
from shards.json_value import JsonError, JsonValue
from training.options import Config
from training.seen_patients import PATIENTS, RUN_PATIENTS

__all__ = [
    "BACKBONE",
    "BACKBONE_WEIGHTS",
    "CELL",
    "CHECKPOINTS",
    "CONFIG",
    "DONE",
    "LAST",
    "METRICS",
    "MODEL",
    "MODEL_MARKER",
    "MODEL_WEIGHTS",
    "PATIENTS",
    "RUN_PATIENTS",
    "START_PATIENTS",
    "START_WEIGHTS",
    "TENSORBOARD",
    "TWO_VIEWS",
    "Last",
    "last_of",
    "options_of",
]

CONFIG, LAST, METRICS, TENSORBOARD = "config.yaml", "last.json", "metrics.jsonl", "tensorboard"
CHECKPOINTS, TWO_VIEWS = "checkpoints", "two_views.png"
START_WEIGHTS, START_PATIENTS = "start.safetensors", "start_patients.parquet"
BACKBONE_WEIGHTS, BACKBONE = "backbone.safetensors", "backbone.json"
MODEL_WEIGHTS, MODEL = "model.safetensors", "model.json"
MODEL_MARKER = ".cxr-model"
"""Written first into a folder that a model is made in, removed when model.json is there."""
CELL, DONE = "cell.json", "done.json"
"""Of a study's cell, written before its model is made and after: done.json says how long it took."""


@dataclass(frozen=True)
class Last:
    """last.json: the newest checkpoint (relative to the run), its step and epoch, and whether the run is finished."""

    checkpoint: str
    step: int
    epoch: int
    finished: bool


def last_of(content: JsonValue) -> Last:
    """Read last.json. Raises JsonError for another content."""
    last = Last(
        checkpoint=content.at("checkpoint").text(),
        step=content.at("step").whole(),
        epoch=content.at("epoch").whole(),
        finished=content.at("finished").flag(),
    )
    if min(last.step, last.epoch) < 0:
        raise JsonError("a step or epoch is below 0")
    return last


def options_of(text: str) -> Config:
    """Read config.yaml: a run's options under their names.

    Raises yaml.YAMLError for what is no YAML, ValueError for YAML of another kind.
    """
    config: object = load_yaml(text)
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise ValueError("it does not hold a run's options")
    return cast(Config, config)
