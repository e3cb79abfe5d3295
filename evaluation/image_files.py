"""Decode image files to a temporary dataset of shards, as a build does, so that a network runs over it as over any."""

import contextlib
import functools
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa

from shards.errors import DatasetError, SubsetError
from shards.format.dataset import Dataset, open_dataset, write_dataset
from shards.format.description import DatasetFacts
from shards.format.schema import COLUMNS, WRITER_COLUMNS, Cell, schema
from shards.format.shard_writer import ShardWriter
from shards.images.found_files import is_image, read_regular_file, walk
from shards.images.png_range import range_of, spread, white_of
from shards.images.ranges import AUTO
from shards.images.shard_image import Ingested, ingest_image
from shards.images.unusable_image import MAX_PIXELS, UnusableImage, most_bytes
from shards.terminal.progress import progress

NAME = "files"
"""Name of the dataset that files without one are said to be of."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".dcm", ".dicom"})
"""A file below a folder with such a name is one that was meant, whatever it begins with."""

_SHARD = "train-000000"
_SHOWN = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecodedFiles:
    """Files that were decoded.

    rows: of dataset.samples, in the order of the files; source_path is the path as it was given or found. sha256: of
    each row's file. left_out: the reason by path. png_range: as dataset.json has it, None for 16 bits. The dataset's
    digest is one of the files' contents, whatever their names and order.
    """

    dataset: Dataset
    rows: pd.DataFrame
    sha256: tuple[str, ...]
    left_out: Mapping[str, str]
    short_side: int
    png_range: str | None

    def described(self) -> dict[str, object]:
        """What a sidecar says of the files."""
        return {
            "files": {
                "count": len(self.rows),
                "sha256": self.dataset.digest,
                "short_side": self.short_side,
                "png_range": self.png_range,
            },
            "left_out": dict(self.left_out),
        }


@contextlib.contextmanager
def decoded_files(
    paths: Sequence[Path], *, short_side: int = 320, png_range: str = AUTO, threads: int = 1
) -> Iterator[DecodedFiles]:
    """Decode JPEG, PNG and DICOM files, and those below folders, for as long as the block runs.

    Each becomes the small gray JPEG that `cxr-ingest build-shards` makes of it, in a temporary folder. Files that
    cannot be used are left out and logged with the reason. Raises SubsetError where none can be used, and DatasetError
    where the temporary folder cannot be written.
    """
    files = _found(paths)
    if png_range == AUTO:
        ordered = sorted(files)
        decided = range_of([ordered[place] for place in spread(len(ordered))], MAX_PIXELS, threads) if files else None
    else:
        decided = png_range
    with tempfile.TemporaryDirectory(prefix="cxr-files-") as folder:
        try:
            decoded = _stored(files, Path(folder), short_side, decided, threads)
        except OSError as error:
            raise DatasetError(
                f"{folder}: {error.strerror or error}. The decoded images need about 30 kB each there: make space, or "
                "name another folder by TMPDIR"
            ) from error
        yield decoded


def _found(paths: Sequence[Path]) -> list[Path]:
    """The files that are named, and the images below the folders, each once."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        files = list(walk(path))
        images = [file for file in files if file.suffix.lower() in SUFFIXES or is_image(file)]
        if len(images) < len(files):
            _log.warning("%s: %d files that are no JPEG, PNG or DICOM are left out.", path, len(files) - len(images))
        found += images
    once: dict[str, Path] = {}
    for file in found:
        once.setdefault(os.path.normpath(file), file)
    return list(once.values())


@dataclass(frozen=True)
class _File:
    """A file after it was read. image: None where it cannot be used, and why."""

    path: str
    sha256: str
    image: Ingested | None
    reason: str


def _read(path: Path, short_side: int, white: int | None) -> _File:
    shown = os.fsencode(path).decode(errors="backslashreplace")
    try:
        content = read_regular_file(path, most_bytes(MAX_PIXELS))
        image = ingest_image(content, short_side, MAX_PIXELS, white)
    except UnusableImage as error:
        return _File(shown, "", None, str(error))
    return _File(shown, hashlib.sha256(content).hexdigest(), image, "")


def _stored(files: Sequence[Path], folder: Path, short_side: int, png_range: str | None, threads: int) -> DecodedFiles:
    """Decode the files and write the dataset."""
    cv2.setNumThreads(1)
    read = functools.partial(_read, short_side=short_side, white=white_of(png_range))
    kept: list[str] = []
    left_out: dict[str, str] = {}
    histogram = np.zeros(256, dtype=np.int64)
    with (
        ThreadPoolExecutor(threads) as pool,
        progress(len(files), "decoding files", "files") as bar,
        ShardWriter(folder, _SHARD, NAME, ()) as writer,
    ):
        for file in pool.map(read, files):
            bar.advance(1)
            if file.image is None:
                left_out[file.path] = file.reason
                continue
            kept.append(file.sha256)
            histogram += file.image.histogram
            writer.add(_row(file.path, file.image), file.image.jpeg)
        _tell(left_out, len(files))
        if not kept:
            raise SubsetError("none of the files can be used" if files else "there is no JPEG, PNG or DICOM file there")
    write_dataset(
        folder,
        DatasetFacts(
            name=NAME,
            variant=NAME,
            licence="not known",
            label_names=(),
            seed=0,
            options={"short_side": short_side},
            versions={},
        ),
        histogram=histogram,
        shards=[writer.summary],
        samples=pa.Table.from_pylist(writer.rows, schema=schema(())),
    )
    digest = hashlib.sha256("".join(sorted(kept)).encode()).hexdigest()
    dataset = replace(open_dataset(folder), digest=digest)
    return DecodedFiles(dataset, dataset.samples, tuple(kept), left_out, short_side, png_range)


def _row(path: str, image: Ingested) -> dict[str, Cell]:
    """A row of samples.parquet of a file of which only the pixels are known. The key is made from the path."""
    key = hashlib.sha256(path.encode()).hexdigest()[:32]
    known: dict[str, str | int] = {"key": key, "patient_id": key, "split": "train", "source_path": path}
    known |= {"width": image.width, "height": image.height}
    return {column: known.get(column) for column in COLUMNS if column not in WRITER_COLUMNS}


def _tell(left_out: Mapping[str, str], files: int) -> None:
    if left_out:
        shown = "; ".join(f"{path}: {reason}" for path, reason in list(left_out.items())[:_SHOWN])
        more = f"; and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
        _log.warning("%d of %d files cannot be used and are left out: %s%s", len(left_out), files, shown, more)
