"""End a build: check that every planned shard is there, judge what was rejected, write dataset.json.

Writes samples.parquet, rejected.csv, duplicates.csv and dataset.json from the done-records, then removes `.build`,
which holds nothing more by then. Reads no image.
"""

import contextlib
import csv
import io
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ingest.build.done_records import PIXELS, Done, read_done, read_rows
from ingest.build.duplicates import DUPLICATES, Counts, count_duplicates, find_duplicates, reason
from ingest.build.out_folder import abandoned, remove_build
from ingest.build.plan import Plan
from ingest.images.suspicious import COLUMNS as SUSPICIOUS_COLUMNS
from ingest.images.suspicious import SUSPICIOUS, tell
from ingest.tables.reasons import REJECTED_COLUMNS, Rejection
from shards.durable import write_atomically
from shards.errors import DatasetError
from shards.format.dataset import write_dataset
from shards.format.description import DatasetFacts

REJECTED = "rejected.csv"
_SHOWN = 5
_ABANDONED_S = 6 * 3600
"""A writer adds an image every few milliseconds; hours of silence, the clocks of a cluster included, mean that it was
killed. A writer that is still alive fails to rename its file, and its shard is filled again."""


@dataclass(frozen=True)
class Finished:
    """Summary of a finished build. dropped: duplicates are excluded."""

    out: Path
    digest: str
    samples: int
    rejected: int
    duplicates: Counts
    dropped: bool
    suspicious: tuple[str, ...] = ()
    """Paths of the images that show little, or their keys where identifiers are hashed."""

    def __str__(self) -> str:
        lines = [f"{self.out}: {self.samples:,} samples, {self.rejected:,} rejected, digest {self.digest[:12]}."]
        if self.duplicates.images:
            fate = "they are excluded from every subset" if self.dropped else "--drop-duplicates would exclude them"
            lines.append(f"Duplicates: {self.duplicates}. {DUPLICATES} names them; {fate}.")
        return "\n".join(lines)

    def report(self, *advice: str) -> str:
        """What to tell of it: counts, the advice, and in the last line the first suspicious images, if any."""
        last = [tell(self.suspicious, len(self.suspicious))] if self.suspicious else []
        return "\n".join([str(self), *advice, *last])


def finalize(out: Path, plan: Plan, max_rejected: float) -> Finished:
    """Write the dataset of a plan whose shards are all filled.

    max_rejected: fraction of the source's rows that may be missing. Raises DatasetError where shards are missing, and
    where too much was rejected; both leave everything as it is, so that the build can be resumed.
    """
    done = _collect(out, plan)
    rejected = plan.rejections()
    rejected += [entry.rejection for shard in done for entry in shard.rejected]
    rejected.sort(key=lambda entry: (entry.path, str(entry.reason)))
    _judge(rejected, plan.samples + plan.rejected, max_rejected)
    filled = [shard for shard in done if shard.summary is not None]
    if not filled:
        raise DatasetError(f"every image was rejected; the first: {rejected[0].path}: {rejected[0].reason}")
    histogram = np.sum([np.array(shard.histogram, dtype=np.int64) for shard in filled], axis=0)
    rows = pa.concat_tables([read_rows(out, shard.shard) for shard in filled]).combine_chunks()
    compared = rows.select(["key", "source_path", "split", "patient_id", PIXELS]).to_pandas()
    duplicates = find_duplicates(compared)
    samples = rows.drop_columns([PIXELS])
    drop = plan.header.options.drop_duplicates
    if drop:
        samples = _exclude(samples, dict(zip(duplicates["key"], duplicates["same_as"], strict=True)))
    _write_csv(out / REJECTED, REJECTED_COLUMNS, [entry.cells for entry in rejected])
    _write_csv(out / DUPLICATES, tuple(duplicates.columns), _records(duplicates))
    suspicious = sorted((one for shard in done for one in shard.suspicious), key=lambda one: (one.path, one.key))
    _write_csv(out / SUSPICIOUS, SUSPICIOUS_COLUMNS, [one.cells for one in suspicious])
    digest = write_dataset(
        out,
        _facts(plan),
        histogram=histogram,
        shards=[shard.summary for shard in filled if shard.summary is not None],
        samples=samples,
    )
    remove_build(out)
    return Finished(
        out,
        digest,
        samples.num_rows,
        len(rejected),
        count_duplicates(duplicates, compared),
        drop,
        tuple(one.path or one.key for one in suspicious),
    )


def _facts(plan: Plan) -> DatasetFacts:
    header = plan.header
    options = {key: value for key, value in header.recorded_options.items() if key not in ("name", "seed")}
    if plan.png_range is not None:
        options["png_range"] = plan.png_range
    return DatasetFacts(
        name=header.options.name,
        variant=header.variant,
        licence=header.licence,
        label_names=header.labels,
        seed=header.options.seed,
        options={**options, "source_tables": header.source_tables},
        versions=header.versions,
    )


def clear_abandoned(out: Path) -> None:
    """Remove what writers that were killed long ago left behind, so that restarts do not fill the disk."""
    for leftover in abandoned(out):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > _ABANDONED_S:
                leftover.unlink()


def _collect(out: Path, plan: Plan) -> list[Done]:
    records = {shard: read_done(out, plan, shard) for shard in plan.shards}
    missing = [shard for shard, record in records.items() if record is None]
    if missing:
        raise DatasetError(
            f"{out}: {len(missing)} of {len(plan.shards)} shards are not filled yet ({_some(missing)}). Run "
            "build-shards again with the options of this build, or the tasks of the array that did not finish."
        )
    return [record for record in records.values() if record is not None]


def _judge(rejected: Sequence[Rejection], total: int, max_rejected: float) -> None:
    if len(rejected) <= max_rejected * total:
        return
    kinds = Counter(str(entry.reason.kind) for entry in rejected)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    first = "".join(f"\n  {entry.path}: {entry.reason}" for entry in rejected[:_SHOWN])
    raise DatasetError(
        f"{len(rejected)} of {total} rows were rejected ({len(rejected) / total:.2%}, allowed {max_rejected:.2%}): "
        f"{counted}. The first:{first}\nMend the files and run the same command again: shards with mended images are "
        "filled again. Or accept the loss with a larger --max-rejected."
    )


def _exclude(samples: pa.Table, same_as: Mapping[str, str]) -> pa.Table:
    """The samples with the column excluded filled in for every key of same_as."""
    keys = samples["key"].to_pylist()
    excluded = [reason(same_as[key]) if key in same_as else None for key in keys]
    place = samples.schema.get_field_index("excluded")
    return samples.set_column(place, samples.schema.field(place), pa.array(excluded, pa.string()))


def _records(frame: pd.DataFrame) -> list[dict[str, str]]:
    text = frame.astype(object).where(frame.notna(), "")
    return [{str(name): str(value) for name, value in row.items()} for row in text.to_dict("records")]


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with write_atomically(path) as file:
        file.write(text.getvalue().encode(errors="surrogateescape"))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
