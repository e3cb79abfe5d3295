"""Options of `cxr-ingest build-shards` and `cxr-ingest finalize`, with default, type and help in one place.

Loads no image library, so that --help is quick.
"""

from dataclasses import dataclass
from pathlib import Path

import click

from ingest.archives.source import VARIANTS
from ingest.own.names import FOLDER, MODULE, TABLE
from ingest.tables.files import MOST_BYTES
from shards.images.ranges import PNG_RANGES
from shards.images.unusable_image import MAX_PIXELS
from shards.terminal.options import Number, argument, option

MAX_REJECTED = 0.01
"""Fraction of a source's rows that may be missing where no other is given."""

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FRACTION = Number(min=0, max=1, max_open=True)
_COUNT = click.IntRange(min=1)

_SOURCE, _IMAGES, _SPLITS, _SHARDS, _WORK = "Source", "Images", "Splits", "Shards", "Work"
_OWN = "Your own radiographs"
"""Headings in --help."""


DATASETS = (*VARIANTS, TABLE, FOLDER)
"""What `--dataset` may be, besides module:Class."""


class ShortSide(click.ParamType[int | None]):
    """A number of pixels, or `none`."""

    name = "pixels|none"

    def convert(self, value: str | int | None, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Parse the option; `none` becomes None."""
        if value is None or str(value).lower() == "none":
            return None
        if not str(value).isdecimal() or int(value) < 16:
            self.fail(f"{value!r} is neither a number of pixels from 16 on nor 'none'", param, ctx)
        return int(value)


class DatasetChoice(click.ParamType[str]):
    """The name of a layout, `table`, `folder`, or `module:Class` of a reader outside this project."""

    name = "layout"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What --help shows for a value."""
        return f"[{'|'.join(DATASETS)}|module:Class]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Parse the option."""
        if value not in DATASETS and not MODULE.fullmatch(value):
            self.fail(f"{value!r} is not one of {', '.join(map(repr, DATASETS))}, nor module:Class", param, ctx)
        return value


@dataclass(frozen=True, kw_only=True)
class BuildShardsOptions:
    """Options of `cxr-ingest build-shards`. valid_fraction, test_fraction: None takes the reader's own."""

    source: Path = argument(_FOLDER, help="Folder of the archive, or its parent.")
    out: Path = argument(click.Path(file_okay=False, path_type=Path), help="Folder to write.")
    dataset: str = option(
        type=DatasetChoice(),
        help="Layout of SOURCE. table and folder: your own radiographs; module:Class: a reader of yours.",
        group=_SOURCE,
    )
    name: str | None = option(
        None,
        help="Name of the dataset, part of every sample id. Demanded for a dataset that only has an archive's layout.",
        group=_SOURCE,
        unset="the value of --dataset; for table, folder and module:Class the name of SOURCE",
    )
    test_source: Path | None = option(
        None, _FOLDER, help="Folder of CheXpert's released test set.", group=_SOURCE, metavar="DIRECTORY"
    )
    max_rejected: float = option(
        MAX_REJECTED, Number(min=0, max=1), help="Fraction of the rows that may be missing.", group=_SOURCE
    )
    max_table_bytes: int = option(
        MOST_BYTES, _COUNT, help="Largest size of a table in bytes, unpacked; a larger table is refused.", group=_SOURCE
    )
    follow_links: bool = option(
        True,
        help="Follow links of folders below SOURCE that lead out of it, if you made them; a link of a single image "
        "that leads out is refused in any case.",
        group=_SOURCE,
    )
    table: Path | None = option(
        None, _FILE, help="With --dataset table: CSV or Parquet with one row an image.", group=_OWN, metavar="FILE"
    )
    mapping: Path | None = option(
        None,
        _FILE,
        help="YAML file with the table and its columns: keys as the options of this group.",
        group=_OWN,
        metavar="FILE",
    )
    path_column: str | None = option(
        None, help="Column of the images' paths below SOURCE.", group=_OWN, metavar="COLUMN", unset="path"
    )
    patient_column: str | None = option(
        None, help="Column of the patient.", group=_OWN, metavar="COLUMN", unset="each image its own"
    )
    study_column: str | None = option(None, help="Column of the study.", group=_OWN, metavar="COLUMN")
    split_column: str | None = option(
        None, help="Column of the split: train, valid or test.", group=_OWN, metavar="COLUMN"
    )
    projection_column: str | None = option(
        None, help="Column of the projection: frontal, lateral, AP, PA, LL.", group=_OWN, metavar="COLUMN"
    )
    sex_column: str | None = option(None, help="Column of the sex: M, F, male, female.", group=_OWN, metavar="COLUMN")
    age_column: str | None = option(None, help="Column of the age in years, or as 058Y.", group=_OWN, metavar="COLUMN")
    label_columns: str | None = option(
        None, help="Columns of the labels: 1, 0, -1 (uncertain) or blank.", group=_OWN, metavar="A,B,..."
    )
    patient_from: str | None = option(
        None,
        help="With --dataset folder: the patient is the folder of an image (parent), the name of its file (stem), or "
        "what a regular expression finds in its path.",
        group=_OWN,
        metavar="parent|stem|REGEX",
        unset="each image its own",
    )
    short_side: int | None = option(
        320,
        ShortSide(),
        help="Short side of a stored image in pixels; a larger image is shrunk, a smaller one is kept.",
        group=_IMAGES,
    )
    max_pixels: int = option(
        MAX_PIXELS, _COUNT, help="Largest number of pixels of an image; a larger image is rejected.", group=_IMAGES
    )
    png_range: str | None = option(
        None,
        click.Choice(PNG_RANGES),
        help="Bits that 16-bit PNGs use, all of them: the largest value is white. auto: the fewest bits that hold a "
        "sample of the images. file: the range of each file, so that brightness depends on what the file shows.",
        group=_IMAGES,
        unset="the archive's, else auto",
    )
    drop_duplicates: bool = option(
        False, help="Exclude all but one of exactly equal images from every subset.", group=_IMAGES
    )
    valid_fraction: float | None = option(
        None,
        _FRACTION,
        help="Fraction of train's samples that becomes the valid split.",
        group=_SPLITS,
        unset="the dataset's",
    )
    test_fraction: float | None = option(
        None,
        _FRACTION,
        help="Fraction of train's samples that becomes the test split.",
        group=_SPLITS,
        unset="the dataset's",
    )
    seed: int = option(
        0, click.IntRange(0, 2**63 - 1), help="Seed of the shuffle; does not affect the splits.", group=_SHARDS
    )
    samples_per_shard: int = option(
        1024, click.IntRange(1, 100_000), help="Number of samples in a shard.", group=_SHARDS
    )
    hash_identifiers: Path | None = option(
        None,
        _FILE,
        metavar="SALT_FILE",
        help="Replace patients, studies and keys by hashes keyed with this file's bytes; paths are left out.",
        group=_SHARDS,
    )
    workers: int | None = option(
        None, click.IntRange(1, 4096), help="Number of worker processes.", group=_WORK, unset="the cores granted"
    )
    task_index: int | None = option(
        None, click.IntRange(min=0), help="With --task-count: fill only this task's shards.", group=_WORK
    )
    task_count: int | None = option(None, _COUNT, help="Number of tasks of the array.", group=_WORK)


@dataclass(frozen=True, kw_only=True)
class FinalizeOptions:
    """Options of `cxr-ingest finalize`. max_rejected: None takes what the tasks were given."""

    out: Path = argument(_FOLDER, help="Folder that the tasks have filled.")
    max_rejected: float | None = option(
        None,
        Number(min=0, max=1),
        help="Fraction of the rows that may be missing.",
        unset="what the tasks were given",
    )
