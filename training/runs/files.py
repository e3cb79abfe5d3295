"""Names of the files of a run and of a model directory. No torch here: the report reads through these too."""

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
