"""Fill one planned shard: read, shrink and pack its images. The unit of work of a build.

The tar, its index and the done-record depend on nothing but the plan's rows and the image files: the bytes are the
same in every process and at every attempt.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ingest.build.done_records import PIXELS, SEALED, Filled, RejectedImage, forget, is_finished, stamp, write_done
from ingest.build.plan import Plan
from ingest.build.sealed_places import seal
from ingest.images.links import LinkRule
from ingest.images.source_file import STRICT, read_source_file
from ingest.images.suspicious import Suspicious, suspect
from shards.errors import DatasetError
from shards.format.dataset import DESCRIPTION
from shards.format.description import ShardSummary
from shards.format.schema import COLUMNS, WRITER_COLUMNS, Cell, Row, text
from shards.format.shard_writer import ShardWriter
from shards.images.png_range import white_of
from shards.images.shard_image import Ingested, ingest_image
from shards.images.unusable_image import UnusableImage, most_bytes

_REPORT_EVERY = 16

Report = Callable[[int, int], None]
"""Called at intervals with the number of rows read since the last call, and how many of them were rejected."""


@dataclass(frozen=True)
class Job:
    """What is the same for every shard of a build."""

    out: Path
    plan: Plan
    roots: dict[str, Path]
    links: LinkRule = STRICT
    salt: bytes | None = None
    """Of a build that hashes identifiers."""


def fill_shard(job: Job, shard: str, report: Report) -> None:
    """Write one shard and, last, its done-record. A shard whose every row is rejected leaves a record only.

    Does nothing where another task has filled it meanwhile, or has even ended the build. Raises DatasetError where
    the disk is full, and where a file cannot be read for a reason that may pass.
    """
    try:
        if is_finished(job.out, job.plan, shard, job.roots, job.salt):
            report(job.plan.count([shard]), 0)
        else:
            _fill(job, shard, report)
    except OSError as error:
        if (job.out / DESCRIPTION).is_file():  # what this one still needed went with .build
            return
        raise DatasetError(
            f"{shard} could not be written: {error.strerror}. Nothing half-written counts: see to it and run the same "
            "command again; finished shards are kept."
        ) from error


def _fill(job: Job, shard: str, report: Report) -> None:
    cv2.setNumThreads(1)
    header = job.plan.header
    kept = (*(column for column in COLUMNS if column not in WRITER_COLUMNS), *header.labels)
    rejected: list[RejectedImage] = []
    histogram = np.zeros(256, dtype=np.int64)
    rows: list[dict[str, Cell]] = []
    digests: list[str] = []
    suspicious: list[Suspicious] = []
    summary: ShardSummary | None = None
    images = _images(job, job.plan.rows(shard, job.salt), rejected, report)
    first = next(images, None)
    # From here on no record may describe the tar, which is about to be replaced.
    forget(job.out, shard)
    if first is None:
        for extension in ("tar", "idx"):
            (job.out / f"{shard}.{extension}").unlink(missing_ok=True)
    else:
        with ShardWriter(job.out, shard, header.options.name, header.labels) as writer:
            for row, image in itertools.chain([first], images):
                complete: dict[str, Cell] = {**row, "height": image.height, "width": image.width, "excluded": None}
                writer.add({column: complete[column] for column in kept}, image.jpeg)
                digests.append(image.pixels)
                path = None if row["source_path"] is None else text(row, "source_path")
                if (suspected := suspect(text(row, "key"), path, image.histogram, image.levels)) is not None:
                    suspicious.append(suspected)
                if writer.split == "train":
                    histogram += image.histogram
        rows, summary = writer.rows, writer.summary
    for row, digest in zip(rows, digests, strict=True):
        row[PIXELS] = digest
    filled = Filled(summary, tuple(rejected), tuple(histogram.tolist()), tuple(suspicious), rows)
    write_done(job.out, job.plan, shard, filled)


def _images(
    job: Job, rows: Sequence[Row], rejected: list[RejectedImage], report: Report
) -> Iterator[tuple[Row, Ingested]]:
    """Rows with their image, in order; the others are appended to `rejected`."""
    options = job.plan.header.options
    limit = most_bytes(options.max_pixels)
    real_roots = {name: os.path.realpath(root) for name, root in job.roots.items()}
    white = white_of(job.plan.png_range)
    read, refused = 0, 0
    for row in rows:
        read += 1
        root, file = text(row, "root"), text(row, "file")
        try:
            content = read_source_file(f"{real_roots[root]}/{file}", real_roots[root], limit, job.links)
            image = ingest_image(content, options.short_side, options.max_pixels, white)
        except UnusableImage as error:
            refused += 1
            # Where identifiers are hashed the row has no path.
            path = text(row, "source_path" if row["source_path"] else "key")
            reason = (str(error.kind), error.detail, text(row, "where"))
            place = (root, file) if job.salt is None else (SEALED, seal((root, file), job.salt))
            rejected.append(RejectedImage(path, *reason, *place, stamp(job.roots[root] / file)))
        else:
            yield row, image
        if read == _REPORT_EVERY:
            report(read, refused)
            read, refused = 0, 0
    report(read, refused)
