"""A shard's done-record: written after its tar and index are in place, read to know what need not be done again.

`OUT/.build/done/<shard>.json` says what the shard is and what was rejected, `<shard>.parquet` holds its rows. The
JSON comes last. Knows nothing of images.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.plan import BUILD_FOLDER, Plan
from shards.dataset import ShardSummary
from shards.durable import write_atomically, write_json_atomically
from shards.schema import schema


@dataclass(frozen=True)
class Rejection:
    """One input without a place in its shard. stamp: size and modification time of the file, None where absent."""

    path: str
    reason: str
    root: str
    file: str
    stamp: list[int] | None


@dataclass(frozen=True)
class Done:
    """What became of one planned shard. summary is None where every row was rejected: then there is no tar.

    histogram: gray levels of its pixels, 256 counts; zeros where it is not of the train split.
    """

    plan: str
    shard: str
    summary: ShardSummary | None
    rejected: tuple[Rejection, ...]
    histogram: tuple[int, ...]


def write_done(out: Path, done: Done, rows: list[dict[str, Any]], label_names: list[str]) -> None:
    """Record a finished shard: its rows first, then the record."""
    folder = out / BUILD_FOLDER / "done"
    folder.mkdir(parents=True, exist_ok=True)
    with write_atomically(folder / f"{done.shard}.parquet") as file:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema(label_names)), file, compression="zstd")
    write_json_atomically(folder / f"{done.shard}.json", asdict(done))


def read_done(out: Path, plan: Plan, shard: str) -> Done | None:
    """The record of a shard, None where it is not finished: no record, one of another plan, or its tar is gone."""
    path = out / BUILD_FOLDER / "done" / f"{shard}.json"
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if content["plan"] != plan.digest:
        return None
    summary = ShardSummary(**content["summary"]) if content["summary"] else None
    if summary is not None and not (_in_place(out, summary) and path.with_suffix(".parquet").is_file()):
        return None
    rejected = tuple(Rejection(**entry) for entry in content["rejected"])
    return Done(content["plan"], shard, summary, rejected, tuple(content["histogram"]))


def read_rows(out: Path, shard: str) -> pa.Table:
    """The completed rows of a finished shard."""
    return pq.read_table(out / BUILD_FOLDER / "done" / f"{shard}.parquet")


def stamp(path: Path) -> list[int] | None:
    """Size and modification time (ns) of a file, None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def is_finished(out: Path, plan: Plan, shard: str, roots: dict[str, Path]) -> bool:
    """Whether a shard need not be filled again: it is done, and no file that it rejected has changed since."""
    done = read_done(out, plan, shard)
    return done is not None and all(stamp(roots[r.root] / r.file) == r.stamp for r in done.rejected)


def _in_place(out: Path, summary: ShardSummary) -> bool:
    tar = stamp(out / f"{summary.name}.tar")
    return tar is not None and tar[0] == summary.bytes and (out / f"{summary.name}.idx").is_file()
