"""Options of `cxr-eval embed` and `cxr-eval predict`, the commands that run a network. No torch here."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.format.schema import SPLITS
from shards.terminal.options import option
from training.downstream.options import BackboneOptions, DataOptions, MachineOptions
from training.options import PATH, RowOptions

AGGREGATES = ("image", "study")


@dataclass(frozen=True, kw_only=True)
class EmbedOptions(MachineOptions, BackboneOptions, RowOptions, DataOptions):
    """Options of `cxr-eval embed`. split: None takes every sample."""

    output: Path = option(
        type=PATH, metavar="EMBEDDINGS.zarr", help="Zarr group to write.", group="Data", changes_weights=False
    )
    split: str | None = option(None, click.Choice(SPLITS), help="Split to embed.", group="Data", unset="every sample")


@dataclass(frozen=True, kw_only=True)
class PredictOptions(MachineOptions, RowOptions, DataOptions):
    """Options of `cxr-eval predict`."""

    model: Path = option(type=PATH, metavar="DIR", help="Model directory that probe or finetune wrote.", group="Data")
    output: Path = option(
        type=PATH,
        metavar="PREDICTIONS.csv",
        help="Table to write: CSV, or Parquet if its name ends in .parquet.",
        group="Data",
        changes_weights=False,
    )
    split: str = option("test", click.Choice(SPLITS), help="Split to predict.", group="Predictions")
    aggregate: str = option(
        "image",
        click.Choice(AGGREGATES),
        help="One row an image, or one a study with the highest probability of its images, as in the paper.",
        group="Predictions",
    )
    allow_seen_patients: bool = option(
        False, help="Predict patients that the weights have seen, too; the result says so.", group="Predictions"
    )
