"""Options of `cxr-ingest info`, `preview` and `verify`. Loads no image library, so that --help is quick."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.format.schema import SPLITS
from shards.terminal.options import argument, option

_DATASET = click.Path(exists=True, file_okay=False, path_type=Path)


@dataclass(frozen=True, kw_only=True)
class InfoOptions:
    """Options of `cxr-ingest info`."""

    out: Path = argument(_DATASET, help="Folder of a finished dataset.")
    as_json: bool = option(False, names=("--json",), help="Print JSON instead of tables.")


@dataclass(frozen=True, kw_only=True)
class PreviewOptions:
    """Options of `cxr-ingest preview`."""

    out: Path = argument(_DATASET, help="Folder of a finished dataset.")
    png: Path = argument(click.Path(dir_okay=False, path_type=Path), help="File to write.")
    count: int = option(32, click.IntRange(1, 400), help="Number of images on the contact sheet.")
    split: str | None = option(None, click.Choice(SPLITS), help="Show images of this split only.", unset="all splits")


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """Options of `cxr-ingest verify`."""

    out: Path = argument(_DATASET, help="Folder of a finished dataset.")
    decode: bool = option(False, help="Decode every JPEG too.")
    quick: bool = option(
        False, help="Do not compare samples.parquet with the JSON members of the tars where a shard's SHA-256 is right."
    )
    quarantine: bool = option(
        False, help="Record samples whose image is damaged, so that every command leaves them out."
    )
    workers: int | None = option(
        None, click.IntRange(1, 4096), help="Number of shards that are read at a time.", unset="the cores granted"
    )
