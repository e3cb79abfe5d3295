"""Plan a build: which sample goes to which shard, at which place, from tables and file names alone.

`OUT/.build/plan.parquet` has one row group a shard, the rejected rows last. A plan is a pure function of its options
and tables: any task may write it, and all write the same bytes.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.archives.source import DESCRIPTIVE_COLUMNS, LOCATION_COLUMNS, Source
from ingest.build.hashed_identifiers import hash_identifiers
from ingest.build.header import Header, Options, header_from_json, source_range
from ingest.build.options import MAX_REJECTED
from ingest.build.out_folder import BUILD_FOLDER, PLAN
from ingest.build.sealed_places import seal, unseal
from ingest.build.splits import carve, check_patients
from ingest.images.links import LinkRule
from ingest.images.png_range import decide
from ingest.images.sample_check import check_images
from ingest.tables.reasons import Kind, Reason, Rejection
from shards.durable import write_atomically
from shards.errors import DatasetError
from shards.format.schema import SPLITS, Cell
from shards.json_value import JsonValue, parse_json

_TEXT_COLUMNS = ("key", "split", *(c for c in DESCRIPTIVE_COLUMNS if c != "age"), *LOCATION_COLUMNS)
_REASON_COLUMNS = ("kind", "detail", "where")
_PLACE, _SEALED = "place", ("root", "file", "where")
"""Column of a hashed build's plan that holds, sealed with the salt, what would say which path a hash is of."""


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

    def rows(self, shard: str, salt: bytes | None = None) -> list[dict[str, Cell]]:
        """The planned rows of a shard, in order of position, None where unknown.

        salt: of a build that hashes identifiers. Raises DatasetError where the file is no longer this plan: another
        command has planned something else.
        """
        with pq.ParquetFile(self.path) as file:
            if header_from_json(_metadata(file).at("header")).digest != self.digest:
                raise DatasetError(f"{self.path}: another command has begun a build of something else in this folder")
            rows: list[dict[str, Cell]] = file.read_row_group(self.shards.index(shard)).to_pylist()
        for row in rows:
            if (sealed := row.pop(_PLACE, None)) is not None:
                row.update(zip(_SEALED, unseal(str(sealed), salt), strict=True))
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
    return out / BUILD_FOLDER / PLAN


def read_plan(out: Path) -> Plan | None:
    """The plan of a build in progress, None where there is none."""
    path = plan_path(out)
    if not path.is_file():
        return None
    try:
        with pq.ParquetFile(path) as file:
            content = _metadata(file)
            header = header_from_json(content.at("header"))
            if not set(_REASON_COLUMNS) <= set(file.schema_arrow.names):
                raise ValueError("it is of another release")
            plan = Plan(
                path=path,
                header=header,
                digest=header.digest,
                shards=content.at("shards").texts(),
                samples=content.at("samples").whole(),
                rejected=content.at("rejected").whole(),
                max_rejected=content.at("max_rejected").number(),
                png_range=content.nullable("png_range", JsonValue.text),
            )
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path} is no plan of build-shards that can be read ({error}): give another OUT, or delete {path.parent} "
            "if a build of yours left it, and build again"
        ) from error
    return plan


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

    salt: what options.hash_identifiers is the SHA-256 of; the plan seals the places of images with it. links: which
    links of folders are followed; those of the user where None.
    """
    found = source.read()
    if not found.samples.empty:
        check_images(found.samples, source.roots, links or LinkRule(out=os.path.realpath(out)))
    if salt is not None:
        if not found.samples.empty:
            check_patients(found.samples)  # once more below, where it would name a line of the table beside a hash
        found = hash_identifiers(found, salt)
    rejected = len(found.rejected)
    if found.samples.empty:
        why = f"; the first of {rejected} rejected rows: {found.rejected['reason'].iloc[0]}" if rejected else ""
        raise DatasetError(f"no row of the source can be ingested{why}")
    samples = place(found.samples, source, options)
    decided = decide(samples, source.roots, options.png_range, source_range(source), options.max_pixels)
    shards = list(dict.fromkeys(samples["shard"]))
    schema = _schema(source.label_names)
    metadata = {
        "header": header.as_json(),
        "shards": shards,
        "samples": len(samples),
        "rejected": rejected,
        "max_rejected": max_rejected,
        "png_range": decided,
    }
    if salt is not None:
        samples, schema = _sealed(samples, salt), schema.append(pa.field(_PLACE, pa.string()))
    schema = schema.with_metadata({"plan": json.dumps(metadata)})
    planned = pa.Table.from_pandas(samples.assign(kind=None, detail=None), schema=schema, preserve_index=False)
    refused = found.rejected.rename(columns={"path": "source_path"}).reindex(columns=schema.names)
    sizes = samples.groupby("shard", sort=False).size()
    _write_groups(plan_path(out), planned, sizes, pa.Table.from_pandas(refused, schema=schema, preserve_index=False))
    plan = read_plan(out)
    if plan is None:
        raise DatasetError(f"{plan_path(out)} vanished while it was written: is another command deleting {out}?")
    return plan


def _write_groups(path: Path, planned: pa.Table, sizes: "pd.Series[int]", refused: pa.Table) -> None:
    """Write a group of rows a shard, `sizes` rows each, and those that are refused as the last one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file, pq.ParquetWriter(file, planned.schema, compression="zstd") as writer:
        start = 0
        for size in sizes:
            writer.write_table(planned.slice(start, size))
            start += size
        if len(refused):
            writer.write_table(refused)


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


def _sealed(samples: pd.DataFrame, salt: bytes) -> pd.DataFrame:
    places = [seal([str(part) for part in row], salt) for row in samples[list(_SEALED)].itertuples(index=False)]
    return samples.assign(**{_PLACE: places}, **dict.fromkeys(_SEALED))


def _metadata(file: pq.ParquetFile) -> JsonValue:
    return parse_json(file.schema_arrow.metadata[b"plan"])


def _schema(label_names: tuple[str, ...]) -> pa.Schema:
    text = [pa.field(name, pa.string()) for name in ("shard", *_TEXT_COLUMNS, "kind", "detail")]
    return pa.schema([*text, *(pa.field(name, pa.float32()) for name in ("age", *label_names))])
