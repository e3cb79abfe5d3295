"""Plan a build: which sample goes to which shard, at which place, from tables and file names alone.

`OUT/.build/plan.parquet` has one row group a shard, the rejected rows last. A plan is a pure function of its options
and tables: any task may write it, and all write the same bytes.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.archives.recognition import another_dataset
from ingest.archives.source import DESCRIPTIVE_COLUMNS, LOCATION_COLUMNS, VARIANTS, Source
from ingest.build.hashed_identifiers import hash_identifiers
from ingest.build.options import MAX_REJECTED
from ingest.build.splits import carve, check_patients
from ingest.images.links import LinkRule
from ingest.images.png_range import decide
from ingest.images.sample_check import check_images
from ingest.tables.reasons import Kind, Reason, Rejection
from shards.durable import write_atomically
from shards.errors import DatasetError
from shards.format.schema import SPLITS
from shards.images.ranges import AUTO
from shards.images.shard_image import JPEG_QUALITY
from shards.images.unusable_image import MAX_PIXELS

BUILD_FOLDER = ".build"

_OTHER_LICENCE = "not known: another dataset in the layout of {}; see its own terms"
_LIBRARIES = ("simplejpeg", "opencv-python-headless", "pillow", "pydicom", "python-gdcm", "pyarrow")
_TEXT_COLUMNS = ("key", "split", *(c for c in DESCRIPTIVE_COLUMNS if c != "age"), *LOCATION_COLUMNS)
_REASON_COLUMNS = ("kind", "detail", "where")


@dataclass(frozen=True)
class Options:
    """The options of a build that change its bytes.

    short_side: pixels, None keeps the source's size. max_pixels: a larger image is taken for a decompression bomb.
    hash_identifiers: None, or the hex SHA-256 of the salt that patients, studies and keys are hashed with.
    png_range: of 16-bit PNGs, one of ranges.PNG_RANGES; None takes the reader's own.
    """

    name: str
    short_side: int | None
    samples_per_shard: int
    seed: int
    valid_fraction: float
    test_fraction: float
    max_pixels: int = MAX_PIXELS
    drop_duplicates: bool = False
    hash_identifiers: str | None = None
    png_range: str | None = None


class OptionRecord(TypedDict):
    """Options as a plan and dataset.json record them."""

    name: str
    short_side: int | None
    samples_per_shard: int
    seed: int
    valid_fraction: float
    test_fraction: float
    max_pixels: int
    drop_duplicates: bool
    hash_identifiers: str | None
    png_range: NotRequired[str | None]
    jpeg_quality: int


class Header(TypedDict):
    """What a plan is made from: everything that changes the dataset's bytes but the images themselves.

    source_tables: SHA-256 by name. versions: of the libraries that change bytes. ingest: version of this project.
    """

    variant: str
    licence: str
    labels: list[str]
    options: OptionRecord
    source_tables: dict[str, str]
    versions: dict[str, str]
    ingest: str


@dataclass(frozen=True)
class Plan:
    """A written plan. header: what it was made from and for; digest: SHA-256 of that.

    shards: their names in storage order; the rows of shards[i] are row group i of the file. max_rejected:
    fraction of the rows that may be missing, as the planning command was given it; finalize may be given another.
    """

    path: Path
    header: Header
    digest: str
    shards: tuple[str, ...]
    samples: int
    rejected: int
    max_rejected: float
    png_range: str | None
    """What value of a 16-bit PNG is white, as png_range.decide says."""

    def rows(self, shard: str) -> list[dict[str, Any]]:
        """The planned rows of a shard, in order of position, None where unknown.

        Raises DatasetError where the file is no longer this plan: another command has planned something else.
        """
        with pq.ParquetFile(self.path) as file:
            if header_digest(_metadata(file)["header"]) != self.digest:
                raise DatasetError(f"{self.path}: another command has begun a build of something else in this folder")
            rows: list[dict[str, Any]] = file.read_row_group(self.shards.index(shard)).to_pylist()
        return rows

    def count(self, shards: Sequence[str]) -> int:
        """How many rows are planned for these shards."""
        groups = pq.read_metadata(self.path)
        return sum(groups.row_group(self.shards.index(shard)).num_rows for shard in shards)

    def rejections(self) -> list[Rejection]:
        """The rows that never got a place."""
        if not self.rejected:
            return []
        with pq.ParquetFile(self.path) as file:
            table = file.read_row_group(len(self.shards), columns=["source_path", *_REASON_COLUMNS])
        rows = table.select(["source_path", *_REASON_COLUMNS]).to_pylist()
        return [Rejection(path, Reason(Kind(kind), *rest)) for path, kind, *rest in (row.values() for row in rows)]


def plan_path(out: Path) -> Path:
    """Where the plan of a build into `out` is."""
    return out / BUILD_FOLDER / "plan.parquet"


def plan_header(source: Source, options: Options) -> Header:
    """Describe what a plan is made from.

    It holds the version of this project, so that no build is started by one release and ended by another.
    """
    own = asdict(options)
    if options.png_range in (None, source_range(source)):  # archives of releases that had no such option stay the same
        del own["png_range"]
    return {
        "variant": source.variant,
        "licence": _licence(source, options.name),
        "labels": list(source.label_names),
        "options": cast("OptionRecord", own | {"jpeg_quality": JPEG_QUALITY}),
        "source_tables": source.fingerprint(),
        "versions": {library: version(library) for library in _LIBRARIES},
        "ingest": version("cxr-moco"),
    }


def _licence(source: Source, name: str) -> str:
    """The archive's licence for the archive itself under its own name; not known for what merely has its layout."""
    if source.variant not in VARIANTS:
        return source.licence
    own = name == source.variant and another_dataset(source) is None
    return source.licence if own else _OTHER_LICENCE.format(source.variant)


def read_plan(out: Path) -> Plan | None:
    """The plan of a build in progress, None where there is none."""
    path = plan_path(out)
    if not path.is_file():
        return None
    try:
        with pq.ParquetFile(path) as file:
            content = _metadata(file)
            if not set(_REASON_COLUMNS) <= set(file.schema_arrow.names):
                raise ValueError("it is of another release")
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}): delete {path.parent} and build again") from error
    header = content["header"]
    shards = tuple(content["shards"])
    counts = {name: content[name] for name in ("samples", "rejected", "max_rejected", "png_range")}
    return Plan(path, header, header_digest(header), shards, **counts)


def write_plan(
    out: Path,
    source: Source,
    options: Options,
    header: Header,
    *,
    salt: bytes | None = None,
    max_rejected: float = MAX_REJECTED,
    links: LinkRule | None = None,
) -> Plan:
    """Make the plan and write it, whole or not at all. Raises DatasetError where nothing can be ingested.

    salt: what options.hash_identifiers is the SHA-256 of; it goes no further than this function. links: which links of
    folders are followed; those of the user where None.
    """
    found = source.read()
    if not found.samples.empty:
        check_images(found.samples, source.roots, links or LinkRule(out=os.path.realpath(out)))
    if salt is not None:
        found = hash_identifiers(found, salt)
    rejected = len(found.rejected)
    if found.samples.empty:
        why = f"; the first of {rejected} rejected rows: {found.rejected['reason'].iloc[0]}" if rejected else ""
        raise DatasetError(f"no row of the source can be ingested{why}")
    samples = place(found.samples, source, options)
    shards = list(dict.fromkeys(samples["shard"]))
    schema = _schema(source.label_names)
    metadata = {
        "header": header,
        "shards": shards,
        "samples": len(samples),
        "rejected": rejected,
        "max_rejected": max_rejected,
        "png_range": decide(samples, source.roots, options.png_range, source_range(source), options.max_pixels),
    }
    schema = schema.with_metadata({"plan": json.dumps(metadata)})
    planned = pa.Table.from_pandas(samples.assign(kind=None, detail=None), schema=schema, preserve_index=False)
    refused = found.rejected.rename(columns={"path": "source_path"}).reindex(columns=schema.names)
    plan_path(out).parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(plan_path(out)) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        start = 0
        for size in samples.groupby("shard", sort=False).size():
            writer.write_table(planned.slice(start, size))
            start += size
        if rejected:
            writer.write_table(pa.Table.from_pandas(refused, schema=schema, preserve_index=False))
    plan = read_plan(out)
    if plan is None:
        raise DatasetError(f"{plan_path(out)} vanished while it was written: is another command deleting {out}?")
    return plan


def source_range(source: Source) -> str:
    """The range of 16-bit PNGs that the reader knows its archive to have, else auto."""
    return str(getattr(source, "png_range", AUTO))


def place(samples: pd.DataFrame, source: Source, options: Options) -> pd.DataFrame:
    """Rows in storage order with their split and shard.

    Within a split the order is that of SHA-256(seed/name/key): a shuffle over the whole dataset that depends on
    nothing but the seed and the samples themselves, not even on the order of the tables.
    """
    check_patients(samples)
    samples = samples.assign(
        split=carve(samples, options.name, options.valid_fraction, options.test_fraction, source.stratify)
    )
    prefix = f"{options.seed}/{options.name}/"
    samples["order"] = [hashlib.sha256(f"{prefix}{key}".encode()).digest() for key in samples["key"]]
    samples["rank"] = samples["split"].map({split: rank for rank, split in enumerate(SPLITS)})
    samples = samples.sort_values(["rank", "order"], ignore_index=True).drop(columns=["rank", "order"])
    number = samples.groupby("split").cumcount() // options.samples_per_shard
    samples["shard"] = samples["split"] + "-" + number.astype(str).str.zfill(6)
    return samples


def differences(there: Mapping[str, object], here: Mapping[str, object]) -> list[str]:
    """List the differences between two headers, for people."""
    found = []
    for key in sorted(there.keys() | here.keys()):
        one, other = there.get(key), here.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += [f"{key}: {text}" for text in differences(one, other)]
        elif one != other:
            short = [str(value)[:12] if len(str(value)) == 64 else str(value) for value in (one, other)]
            found.append(f"{key} is {short[0]} there and {short[1]} here")
    return found


def header_digest(header: Header) -> str:
    """Hex SHA-256 of a plan's header: done-records name the plan they belong to by it."""
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def _metadata(file: pq.ParquetFile) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.schema_arrow.metadata[b"plan"])
    return content


def _schema(label_names: tuple[str, ...]) -> pa.Schema:
    text = [pa.field(name, pa.string()) for name in ("shard", *_TEXT_COLUMNS, "kind", "detail")]
    return pa.schema([*text, *(pa.field(name, pa.float32()) for name in ("age", *label_names))])
