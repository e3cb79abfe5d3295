"""The options of `cxr-eval bootstrap`."""

from dataclasses import dataclass
from pathlib import Path

import click

from evaluation.statistics.metrics import METRICS
from shards.terminal.options import Number, option

_FILE = click.Path(exists=True, path_type=Path)
_FILES = "Input and output"
_INTERVALS = "Intervals"


@dataclass(frozen=True, kw_only=True)
class BootstrapOptions:
    """What is compared, and how its intervals are made."""

    labels: Path = option(type=_FILE, help="Truth: a CSV or Parquet file, or a dataset of shards.", group=_FILES)
    model: tuple[Path, ...] = option(
        type=_FILE, multiple=True, help="Predictions of the model; repeat for further draws.", group=_FILES
    )
    baseline: tuple[Path, ...] = option(
        (), _FILE, multiple=True, help="Predictions to compare with; repeat for further draws.", group=_FILES
    )
    output: Path = option(type=click.Path(dir_okay=False, path_type=Path), help="JSON file to write.", group=_FILES)
    metric: str = option("auroc", click.Choice(sorted(METRICS)), help="Metric to compute.", group=_INTERVALS)
    replicates: int = option(500, click.IntRange(min=1), help="Number of bootstrap replicates.", group=_INTERVALS)
    level: float = option(
        0.95, Number(0, 1, min_open=True, max_open=True), help="Confidence level of the intervals.", group=_INTERVALS
    )
    cluster: str | None = option(
        None,
        metavar="COLUMN",
        help="Column of the truth whose values are resampled.",
        group=_INTERVALS,
        unset="patient_id where the truth has it, else the id",
    )
    seed: int = option(0, click.IntRange(min=0), help="Seed of the bootstrap.", group=_INTERVALS)
