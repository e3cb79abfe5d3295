"""Write predictions and the sidecar beside them: what of a model makes two predictions comparable."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from shards.durable import write_atomically, write_json_atomically
from shards.json_value import JsonValue
from training.downstream.model_directory import selected_on

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
    "row_filter",
)
"""Keys of model.json that a sidecar repeats below `model`; row_filter is there if the model has one."""
COMPARED = (
    *("architecture", "image_size", "mean", "std", "initial", "method", "uncertain", "missing", "label_fraction"),
    *("draw", "seed"),
)
"""Keys of model.json that make two predictions comparable: in a sidecar beside split and aggregate."""
RECORDED_SINCE = {"pretraining_seed": None, "at": "end", "fraction_of": "patients", "backbone_digest": None}
"""Further ones, which earlier releases did not record, with what they meant then."""


def of_model(model: JsonValue) -> dict[str, Any]:
    """What a sidecar says of a model. model: model.json."""
    description = model.value
    return {
        "model": {key: description[key] for key in CITED if key in description},
        **{key: description[key] for key in COMPARED},
        **{key: description.get(key, default) for key, default in RECORDED_SINCE.items()},
        "selected_on": selected_on(model),
    }


def write_predictions(output: Path, table: pd.DataFrame, facts: Mapping[str, object]) -> None:
    """Write the table, CSV or Parquet by its name, and then `<output>.json` with the facts."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(output) as file:
        if output.suffix == ".parquet":
            table.to_parquet(file, index=False)
        else:
            file.write(table.to_csv(index=False).encode())
    content = {"format_version": FORMAT_VERSION, "id": table.columns[0], "rows": len(table), **facts}
    write_json_atomically(output.with_name(output.name + ".json"), content)
