"""Options of `cxr-eval embed` and `cxr-eval predict`, the commands that run a network. No torch here."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.errors import SubsetError
from shards.format.schema import SPLITS
from shards.images.ranges import AUTO, PNG_RANGES
from shards.terminal.options import option
from training.downstream.options import BackboneOptions, LeakageOptions, MachineOptions
from training.options import PATH, RowOptions

AGGREGATES = ("image", "study")
RECALIBRATIONS = ("none", "temperature")


@dataclass(frozen=True, kw_only=True)
class ImageOptions(RowOptions):
    """The images that a network is run over: a dataset of shards, or files. short_side, png_range: of files."""

    shards: Path | None = option(
        None, PATH, metavar="DIR", help="Dataset of shards to read.", group="Data", changes_weights=False
    )
    files: tuple[Path, ...] = option(
        (),
        PATH,
        several=True,
        metavar="PATH...",
        help="JPEG, PNG or DICOM files to read instead, whatever they are called, and folders of them; no shards are "
        "built.",
        group="Data",
        changes_weights=False,
    )
    short_side: int = option(
        320,
        click.IntRange(min=16),
        help="Short side of an image of --files in pixels before the network's view, as build-shards stores it.",
        group="Data",
        changes_weights=False,
    )
    png_range: str = option(
        AUTO,
        click.Choice(PNG_RANGES),
        help="Bits that 16-bit PNGs of --files use, as in build-shards.",
        group="Data",
        changes_weights=False,
    )

    def source(self) -> Path | None:
        """The folder of shards, None where files are to be read.

        Raises SubsetError unless one of both is given, and for rows selected among files.
        """
        if (self.shards is None) == (not self.files):
            raise SubsetError("give either --shards or --files")
        if self.files and self.row_filter is not None:
            raise SubsetError("files have no table to select rows by: leave --projection, --ap-pa and --where out")
        return self.shards


@dataclass(frozen=True, kw_only=True)
class EmbedOptions(MachineOptions, BackboneOptions, ImageOptions):
    """Options of `cxr-eval embed`. split: None takes every sample."""

    output: Path = option(
        type=PATH, metavar="EMBEDDINGS.zarr", help="Zarr group to write.", group="Data", changes_weights=False
    )
    split: str | None = option(
        None, click.Choice(SPLITS), help="Split of --shards to embed.", group="Data", unset="every sample"
    )


@dataclass(frozen=True, kw_only=True)
class PredictOptions(LeakageOptions, MachineOptions, ImageOptions):
    """Options of `cxr-eval predict`."""

    model: Path = option(type=PATH, metavar="DIR", help="Model directory that probe or finetune wrote.", group="Data")
    output: Path = option(
        type=PATH,
        metavar="PREDICTIONS.csv",
        help="Table to write: CSV, or Parquet if its name ends in .parquet.",
        group="Data",
        changes_weights=False,
    )
    split: str = option("test", click.Choice(SPLITS), help="Split of --shards to predict.", group="Predictions")
    aggregate: str = option(
        "image",
        click.Choice(AGGREGATES),
        help="One row an image, or one a study with the highest probability of its images, as in the paper.",
        group="Predictions",
    )
    recalibrate: str = option(
        "none",
        click.Choice(RECALIBRATIONS),
        help="Divide the logits by a temperature, fitted on the valid split once and saved with the model.",
        group="Predictions",
    )
