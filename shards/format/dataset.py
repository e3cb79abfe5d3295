"""Read, check and write a finished dataset's dataset.json and samples.parquet.

Tars are only checked for presence and size here; `shards.format.verify` reads them.
"""

import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shards.arrow_memory import arrow_file
from shards.durable import json_bytes, write_atomically
from shards.errors import DatasetError
from shards.format.description import (
    DatasetFacts,
    Description,
    Pixels,
    SamplesFile,
    ShardSummary,
    SplitCounts,
    description_from_json,
)
from shards.format.quarantine import Quarantined, read_quarantine
from shards.format.schema import FORMAT_VERSION, SPLITS, schema
from shards.format.well_formed import check_names, check_rows
from shards.input_files import Reading, read_watched
from shards.json_value import JsonError, parse_json

DESCRIPTION = "dataset.json"
SAMPLES = "samples.parquet"


@dataclass(frozen=True)
class Dataset:
    """A finished dataset.

    digest: hex SHA-256 of dataset.json. mean, std: of the train split's pixels, 0..255.
    samples: samples.parquet in storage order (split, shard, position), index 0..N-1. quarantine: samples that were
    found damaged since, by key. row_filter: the condition that restricts the rows (`shards.selection.row_filter`), and
    selected: whether each of `samples` fulfils it, bool [N]; None: all rows.
    """

    root: Path
    digest: str
    description: Description
    samples: pd.DataFrame
    quarantine: Mapping[str, Quarantined] = field(default_factory=dict)
    row_filter: str | None = None
    selected: npt.NDArray[np.bool_] | None = None

    @property
    def name(self) -> str:
        """The dataset's name: part of every sample id and patient."""
        return self.description.name

    @property
    def variant(self) -> str:
        """Which reader made it: chexpert, shenzhen, ..."""
        return self.description.variant

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the label columns, in order."""
        return self.description.labels

    @property
    def mean(self) -> float:
        """Mean of the train split's pixels, 0..255."""
        return self._pixels("mean", self.description.pixels.mean)

    @property
    def std(self) -> float:
        """Standard deviation of the train split's pixels, 0..255."""
        return self._pixels("std", self.description.pixels.std)

    def _pixels(self, figure: str, value: float | None) -> float:
        if value is None:
            raise DatasetError(f"{self.root} has no pixel {figure}: it was built without a train split")
        return float(value)

    @property
    def shards(self) -> list[ShardSummary]:
        """The shards in storage order."""
        return list(self.description.shards)

    def shard_path(self, shard: str) -> Path:
        """Path of a shard's tar."""
        return self.root / f"{shard}.tar"

    @property
    def citation(self) -> dict[str, str]:
        """Name and digest, as results and run directories refer to the dataset."""
        return {"name": self.name, "digest": self.digest}


def open_dataset(root: Path, *, check_shards: bool = True) -> Dataset:
    """Read a finished dataset. check_shards: see that each tar is there and has the recorded size.

    Raises DatasetError where there is none, its format is another, samples.parquet is not the recorded one, or a
    shard is missing or of another size.
    """
    path = root / DESCRIPTION
    with Reading(path):
        there = path.is_file()
    if not there:
        hint = "its build is unfinished: run `cxr-ingest finalize` on it" if root.is_dir() else "no such folder"
        raise DatasetError(f"{root}: no {DESCRIPTION} ({hint})")
    content = read_watched(path)
    try:
        parsed = parse_json(content)
    except JsonError as error:
        raise DatasetError(f"{path} is {error}. Build the dataset again.") from error
    version = parsed.find("format_version")
    if version is None or version.value != FORMAT_VERSION:
        found = None if version is None else version.value
        raise DatasetError(f"{path}: format version {found!r}; this release reads {FORMAT_VERSION}")
    try:
        description = description_from_json(parsed)
    except JsonError as error:
        raise DatasetError(f"{path}: {error}. Copy it again, or build the dataset again.") from error
    check_names(path, description.name, description.labels, description.shards)
    samples = _read_samples(root, description)
    check_rows(root / SAMPLES, samples, description.labels, description.shards)
    digest = hashlib.sha256(content).hexdigest()
    quarantine = read_quarantine(root, description.name, digest)
    dataset = Dataset(root, digest, description, samples, quarantine)
    for shard in dataset.shards if check_shards else ():
        _check_present(dataset.shard_path(shard.name), shard.bytes)
    return dataset


def open_datasets(roots: Sequence[Path]) -> list[Dataset]:
    """Read several datasets for one run. Two of one name, or one sample in two of them, are refused."""
    datasets = [open_dataset(root) for root in roots]
    by_name: dict[str, Dataset] = {}
    for dataset in datasets:
        other = by_name.setdefault(dataset.name, dataset)
        if other is not dataset:
            raise DatasetError(
                f"{other.root} and {dataset.root} are both called {dataset.name!r}: give one of them another "
                "--name when it is built, unless they hold the same images"
            )
    ids = np.concatenate([d.samples["sample_id"].to_numpy() for d in datasets]) if datasets else np.empty(0)
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise DatasetError(f"sample_id {values[counts > 1][0]} occurs more than once in this run's datasets")
    return datasets


def write_dataset(
    directory: Path,
    facts: DatasetFacts,
    *,
    histogram: npt.NDArray[np.int64],
    shards: Sequence[ShardSummary],
    samples: pa.Table,
) -> str:
    """Finish a dataset: samples.parquet, then dataset.json, last and atomically. Returns its digest.

    histogram: int64 [256], how often each gray level occurs in the train split. samples: `schema(label_names)`,
    in storage order.
    """
    expected = schema(facts.label_names)
    if not samples.schema.equals(expected):
        raise ValueError(f"samples are not of the format's schema:\n{samples.schema}\nexpected\n{expected}")
    buffer = io.BytesIO()
    pq.write_table(samples.replace_schema_metadata(None), buffer, compression="zstd")
    parquet = buffer.getvalue()
    with write_atomically(directory / SAMPLES) as file:
        file.write(parquet)
    description = Description(
        name=facts.name,
        variant=facts.variant,
        licence=facts.licence,
        labels=tuple(facts.label_names),
        splits=_counts(samples, shards),
        seed=facts.seed,
        options=dict(facts.options),
        versions=dict(facts.versions),
        pixels=Pixels(*pixel_statistics(histogram), count=int(histogram.sum())),
        samples=SamplesFile(samples.num_rows, hashlib.sha256(parquet).hexdigest()),
        shards=tuple(shards),
    )
    content = json_bytes(description.as_json())
    with write_atomically(directory / DESCRIPTION) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def _counts(samples: pa.Table, shards: Sequence[ShardSummary]) -> dict[str, SplitCounts]:
    frame = samples.select(["split", "patient_id"]).to_pandas()
    return {
        split: SplitCounts(
            samples=int((frame["split"] == split).sum()),
            patients=int(frame.loc[frame["split"] == split, "patient_id"].nunique()),
            shards=sum(shard.split == split for shard in shards),
        )
        for split in SPLITS
    }


def pixel_statistics(histogram: npt.NDArray[np.int64]) -> tuple[float | None, float | None]:
    """Mean and standard deviation (population) of gray levels 0..255 counted in an int64 [256] histogram.

    Sums are exact integers, so they do not depend on the order of shards. None, None where nothing was counted.
    """
    counts = [int(n) for n in histogram]
    total = sum(counts)
    if total == 0:
        return None, None
    first = sum(level * n for level, n in enumerate(counts))
    second = sum(level * level * n for level, n in enumerate(counts))
    return first / total, math.sqrt(total * second - first * first) / total


def _read_samples(root: Path, description: Description) -> pd.DataFrame:
    path = root / SAMPLES
    if not path.is_file():
        raise DatasetError(f"{path} is missing: copy it again, or build the dataset again")
    content = read_watched(path)
    if hashlib.sha256(content).hexdigest() != description.samples.sha256:
        raise DatasetError(f"{path} is not the file that {DESCRIPTION} records: copy both again")
    try:
        table = pq.read_table(arrow_file(content))
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path} is no Parquet file that can be read ({error}): copy it again") from error
    if not table.schema.equals(schema(description.labels)):
        wanted, found = schema(description.labels), table.schema
        differing = [name for name in (*wanted.names, *found.names) if _field(wanted, name) != _field(found, name)]
        raise DatasetError(f"{path}: the column {differing[0] if differing else 'order'!r} is not the format's")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _field(columns: pa.Schema, name: str) -> str:
    return str(columns.field(name)) if columns.names.count(name) == 1 else ""


def _check_present(path: Path, size: int) -> None:
    with Reading(path):
        there = path.is_file()
    if not there:
        raise DatasetError(f"{path} is missing: copy it again, or build the dataset again")
    actual = path.stat().st_size
    if actual != size:
        raise DatasetError(f"{path} has {actual} bytes, {DESCRIPTION} says {size}: copy it again")
