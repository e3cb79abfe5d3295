"""Fills one planned shard: reads, shrinks and packs its images. The unit of work of a build.

A plan's rows flow in; a tar, its index and a done-record come out. What is written depends on nothing but the rows
and the image files, so that whoever fills a shard, and however often, the bytes are the same.
"""

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ingest.done import Done, Rejection, stamp, write_done
from ingest.images import Gray, UnusableImage, encode_gray, gray_histogram, read_gray
from ingest.plan import Plan
from shards.dataset import ShardSummary
from shards.errors import DatasetError
from shards.schema import COLUMNS, WRITER_COLUMNS
from shards.writer import ShardWriter

_REPORT_EVERY = 16
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG)

Report = Callable[[int, int], None]
"""Called now and then with how many more rows were read and how many of them were rejected."""


@dataclass(frozen=True)
class Job:
    """What every shard of a build shares."""

    out: Path
    plan: Plan
    roots: dict[str, Path]


def fill_shard(job: Job, shard: str, report: Report) -> None:
    """Write one shard and, last, its done-record. A shard whose every row is rejected leaves a record only.

    Raises DatasetError where the disk is full, and where a file cannot be read for a reason that may pass (an I/O
    error): to reject it would make the dataset depend on the weather.
    """
    try:
        _fill(job, shard, report)
    except OSError as error:
        raise DatasetError(
            f"{shard} could not be written: {error.strerror}. Nothing half-written counts: see to it and run the same "
            "command again; finished shards are kept."
        ) from error


def _fill(job: Job, shard: str, report: Report) -> None:
    cv2.setNumThreads(1)
    labels: list[str] = job.plan.header["labels"]
    options = job.plan.header["options"]
    kept = (*(column for column in COLUMNS if column not in WRITER_COLUMNS), *labels)
    rejected: list[Rejection] = []
    histogram = np.zeros(256, dtype=np.int64)
    rows: list[dict[str, Any]] = []
    summary: ShardSummary | None = None
    images = _images(job, job.plan.rows(shard), options["short_side"], rejected, report)
    first = next(images, None)
    if first is not None:
        with ShardWriter(job.out, shard, options["name"], labels) as writer:
            for row, image in itertools.chain([first], images):
                jpeg = encode_gray(image)
                complete = row | {"height": image.shape[0], "width": image.shape[1], "excluded": None}
                writer.add({column: complete[column] for column in kept}, jpeg)
                if writer.split == "train":
                    histogram += gray_histogram(jpeg)
        rows, summary = writer.rows, writer.summary
    done = Done(job.plan.digest, shard, summary, tuple(rejected), tuple(histogram.tolist()))
    write_done(job.out, done, rows, labels)


def _images(
    job: Job, rows: list[dict[str, Any]], short_side: int | None, rejected: list[Rejection], report: Report
) -> Iterator[tuple[dict[str, Any], Gray]]:
    """Rows with their image, in order; the others are appended to `rejected`."""
    real_roots = {name: os.path.realpath(root) for name, root in job.roots.items()}
    read, refused = 0, 0
    for row in rows:
        root = job.roots[row["root"]]
        read += 1
        try:
            image = read_gray(_read_file(root / row["file"], real_roots[row["root"]]), short_side)
        except UnusableImage as reason:
            refused += 1
            why = f"{reason} ({row['where']})"
            entry = Rejection(row["source_path"], why, row["root"], row["file"], stamp(root / row["file"]))
            rejected.append(entry)
        else:
            yield row, image
        if read == _REPORT_EVERY:
            report(read, refused)
            read, refused = 0, 0
    report(read, refused)


def _read_file(path: Path, real_root: str) -> bytes:
    """The bytes of an image that is really below its root. Raises UnusableImage where it is not there."""
    real = os.path.realpath(path)
    if not real.startswith(real_root + os.sep):
        raise UnusableImage(f"path leaves the source: it is a link to {real}")
    try:
        with open(real, "rb") as file:  # noqa: PTH123 - twice as fast as Path.read_bytes on small files
            return file.read()
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise UnusableImage(f"missing file: {error.strerror}") from error
        raise DatasetError(
            f"{path}: {error.strerror}. Nothing was lost: run the same command again, finished shards are kept. If it "
            "stays like this, remove the file and it will be rejected as missing."
        ) from error
