"""Record finished shards: written after tar and index are in place, read to know which shards need not be filled again.

`OUT/.build/done/<shard>.json` describes the shard and what was rejected, `<shard>.parquet` holds its rows, each with a
digest of its pixels. The JSON is written last and holds the SHA-256 of the other.
"""

import hashlib
import io
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.build.out_folder import BUILD_FOLDER
from ingest.build.plan import Plan
from ingest.build.sealed_places import unseal
from ingest.images.suspicious import Suspicious
from ingest.tables.reasons import Kind, Reason, Rejection
from shards.durable import write_atomically, write_json_atomically
from shards.format.description import ShardSummary, shard_summary
from shards.format.schema import Cell, schema
from shards.json_value import JsonError, JsonValue, parse_json

PIXELS = "pixels"
"""Column of the done-rows beside those of samples.parquet: equal where the decoded images are equal."""


SEALED = "sealed"
"""Stands for the root of a rejected image whose root and file are sealed together."""


@dataclass(frozen=True)
class RejectedImage:
    """One image without a place in its shard. stamp: size and modification time of the file, None where absent.

    root, file: where it is; of a build that hashes identifiers SEALED, and both sealed with its salt.
    """

    path: str
    kind: str
    detail: str
    where: str
    root: str
    file: str
    stamp: list[int] | None

    @property
    def rejection(self) -> Rejection:
        """As rejected.csv has it."""
        return Rejection(self.path, Reason(Kind(self.kind), self.detail, self.where))


@dataclass(frozen=True)
class Done:
    """The result of one planned shard. summary is None where every row was rejected: then there is no tar.

    histogram: gray levels of its pixels, 256 counts; zeros where it is not of the train split. rows_sha256: of the
    file of its rows.
    """

    plan: str
    shard: str
    summary: ShardSummary | None
    rejected: tuple[RejectedImage, ...]
    histogram: tuple[int, ...]
    suspicious: tuple[Suspicious, ...]
    rows_sha256: str


@dataclass(frozen=True)
class Filled:
    """What filling a shard gave. rows: those of samples.parquet, with PIXELS. The others as in Done."""

    summary: ShardSummary | None
    rejected: tuple[RejectedImage, ...]
    histogram: tuple[int, ...]
    suspicious: tuple[Suspicious, ...]
    rows: list[dict[str, Cell]]


def write_done(out: Path, plan: Plan, shard: str, filled: Filled) -> None:
    """Record a finished shard: its rows first, then the record."""
    columns = schema(plan.header.labels).append(pa.field(PIXELS, pa.string(), nullable=False))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(filled.rows, schema=columns), buffer, compression="zstd")
    content = buffer.getvalue()
    path = _record(out, shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path.with_suffix(".parquet")) as file:
        file.write(content)
    digest = hashlib.sha256(content).hexdigest()
    found = (filled.summary, filled.rejected, filled.histogram, filled.suspicious)
    done = Done(plan.digest, shard, *found, digest)
    write_json_atomically(path, asdict(done))


def forget(out: Path, shard: str) -> None:
    """Remove the record of a shard that is about to be filled again."""
    _record(out, shard).unlink(missing_ok=True)


def read_done(out: Path, plan: Plan, shard: str) -> Done | None:
    """The record of a shard; None where it is not finished: no record, one of another plan, or files are not there."""
    path = _record(out, shard)
    try:
        content = parse_json(path.read_bytes())
        if content.at("plan").value != plan.digest:
            return None
        rows = path.with_suffix(".parquet").read_bytes()
        if hashlib.sha256(rows).hexdigest() != content.at("rows_sha256").value:
            return None
        summary = content.nullable("summary", shard_summary)
        if summary is not None and not _in_place(out, summary):
            return None
        return Done(
            plan=plan.digest,
            shard=content.at("shard").text(),
            summary=summary,
            rejected=tuple(_rejected(entry) for entry in content.at("rejected").items()),
            histogram=tuple(count.whole() for count in content.at("histogram").items()),
            suspicious=tuple(_suspicious(entry) for entry in content.at("suspicious").items()),
            rows_sha256=content.at("rows_sha256").text(),
        )
    except (FileNotFoundError, JsonError):
        return None


def read_rows(out: Path, shard: str) -> pa.Table:
    """The completed rows of a finished shard, with the column PIXELS."""
    return pq.read_table(_record(out, shard).with_suffix(".parquet"))


def stamp(path: Path) -> list[int] | None:
    """Size and modification time (ns) of a file, None where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]


def is_finished(out: Path, plan: Plan, shard: str, roots: dict[str, Path], salt: bytes | None = None) -> bool:
    """Whether a shard need not be filled again: it is done, and no file that it rejected has changed since."""
    done = read_done(out, plan, shard)
    return done is not None and all(stamp(_path(one, roots, salt)) == one.stamp for one in done.rejected)


def _path(rejected: RejectedImage, roots: dict[str, Path], salt: bytes | None) -> Path:
    sealed = rejected.root == SEALED and rejected.root not in roots
    root, file = unseal(rejected.file, salt) if sealed else (rejected.root, rejected.file)
    return roots[root] / file


def _rejected(entry: JsonValue) -> RejectedImage:
    return RejectedImage(
        path=entry.at("path").text(),
        kind=entry.at("kind").text(),
        detail=entry.at("detail").text(),
        where=entry.at("where").text(),
        root=entry.at("root").text(),
        file=entry.at("file").text(),
        stamp=entry.nullable("stamp", lambda stamp: [part.whole() for part in stamp.items()]),
    )


def _suspicious(entry: JsonValue) -> Suspicious:
    return Suspicious(
        key=entry.at("key").text(),
        path=entry.at("path").text(),
        levels=entry.at("levels").whole(),
        most_common=entry.at("most_common").whole(),
        share=entry.at("share").number(),
    )


def _record(out: Path, shard: str) -> Path:
    return out / BUILD_FOLDER / "done" / f"{shard}.json"


def _in_place(out: Path, summary: ShardSummary) -> bool:
    tar = stamp(out / f"{summary.name}.tar")
    return tar is not None and tar[0] == summary.bytes and (out / f"{summary.name}.idx").is_file()
