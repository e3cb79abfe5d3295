"""Small real datasets for the tests: JPEGs of odd sizes in deliberately uneven shards, written by the real writer."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import simplejpeg

from shards.format.dataset import write_dataset
from shards.format.description import DatasetFacts
from shards.format.schema import schema
from shards.format.shard_writer import ShardWriter, shard_split

LABELS = ("Edema", "Pleural Effusion")
UNEVEN = {"train-000000": 7, "train-000001": 1, "train-000002": 9, "valid-000000": 4, "test-000000": 2}
"""Samples a shard."""
SIZES = ((61, 47), (48, 64), (53, 97), (50, 50), (47, 48))
"""(height, width), in turn."""


def smooth_image(height: int, width: int, seed: int) -> npt.NDArray[np.uint8]:
    """A smooth, asymmetric picture, uint8 [H, W]: a few slow waves, other ones for each seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = rng.normal(size=(6, 5))
    total = sum(a * np.cos(2 * np.pi * (2 * b * x + 2 * c * y) + 6 * d) for a, b, c, d, _ in waves)
    total = (total - total.min()) / np.ptp(total)
    return np.asarray(np.round(20 + 215 * total), dtype=np.uint8)


def jpeg_of(image: npt.NDArray[np.uint8], quality: int = 95) -> bytes:
    """A gray JPEG of a uint8 [H, W] image."""
    encoded: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(image[:, :, None]), quality=quality, colorspace="GRAY", colorsubsampling="Gray"
    )
    return encoded


def make_row(number: int, split: str, height: int, width: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """What a reader knows of sample `number`: two or three samples a patient, some cells unknown."""
    return {
        "key": f"patient{number // 3:05d}-study1-view{number}_frontal",
        "patient_id": f"patient{number // 3:05d}",
        "study_id": None if number % 5 == 4 else f"study{number // 2}",
        "projection": ("frontal", "lateral", None)[number % 3],
        "ap_pa": "AP" if number % 3 == 0 else None,
        "sex": ("Female", "Male", None)[number // 3 % 3],
        "age": None if number % 4 == 3 else 20.1 + number,
        "split": split,
        "source_split": split,
        "width": width,
        "height": height,
        "source_path": f"raw/{split}/Zürich {number}.jpg",
        "excluded": None,
        LABELS[0]: (1.0, 0.0, -1.0, None)[number % 4],
        LABELS[1]: (0.0, None, 1.0)[number % 3],
        **changes,
    }


def write_small_dataset(
    root: Path,
    *,
    name: str = "small",
    shards: Mapping[str, int] | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
    changes: Mapping[int, Mapping[str, Any]] | None = None,
    jpegs: Mapping[int, bytes] | None = None,
) -> Path:
    """Write a whole dataset into the new folder `root`. changes, jpegs: other cells or bytes, by number of sample."""
    root.mkdir(parents=True)
    summaries, rows, number = [], [], 0
    histogram = np.zeros(256, dtype=np.int64)
    for shard, samples in (UNEVEN if shards is None else shards).items():
        with ShardWriter(root, shard, name, LABELS) as writer:
            for _ in range(samples):
                height, width = sizes[number % len(sizes)]
                jpeg = (jpegs or {}).get(number) or jpeg_of(smooth_image(height, width, seed=number))
                row = make_row(number, shard_split(shard), height, width)
                writer.add({**row, **(changes or {}).get(number, {})}, jpeg)
                if shard_split(shard) == "train":
                    with contextlib.suppress(ValueError):  # it may be a broken one
                        histogram += np.bincount(simplejpeg.decode_jpeg(jpeg, colorspace="GRAY").ravel(), minlength=256)
                number += 1
        summaries.append(writer.summary)
        rows += writer.rows
    write_dataset(
        root,
        DatasetFacts(
            name=name,
            variant="chexpert",
            licence="none: drawn by a program",
            label_names=LABELS,
            seed=0,
            options={"short_side": 48},
            versions={"simplejpeg": simplejpeg.__version__},
        ),
        histogram=histogram,
        shards=summaries,
        samples=pa.Table.from_pylist(rows, schema=schema(LABELS)),
    )
    return root
