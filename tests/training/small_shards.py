"""Small finished datasets with real JPEGs, written by the real shard writer: what the tests of training read."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import simplejpeg

from shards.format.dataset import Dataset, open_dataset, write_dataset
from shards.format.description import DatasetFacts
from shards.format.schema import Cell, schema
from shards.format.shard_writer import ShardWriter

LABELS = ("Edema",)


def write_small_dataset(
    root: Path, *, name: str = "tiny", train: int = 50, brightness: int = 110, seed: int = 0
) -> Dataset:
    """A dataset of `train` train samples (two a patient, two shards of uneven length) and three valid ones."""
    root.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    plan = {"train-000000": train * 2 // 3, "train-000001": train - train * 2 // 3, "valid-000000": 3}
    shards, rows, histogram, number = [], [], np.zeros(256, dtype=np.int64), 0
    for shard, samples in plan.items():
        with ShardWriter(root, shard, name, LABELS) as writer:
            for _ in range(samples):
                image = _picture(generator, brightness)
                writer.add(
                    _row(number, shard.split("-")[0], image), simplejpeg.encode_jpeg(image, 95, colorspace="GRAY")
                )
                if shard.startswith("train"):
                    histogram += np.bincount(image.ravel(), minlength=256)
                number += 1
        shards.append(writer.summary)
        rows += writer.rows
    write_dataset(
        root,
        DatasetFacts(
            name=name,
            variant="chexpert",
            licence="none",
            label_names=LABELS,
            seed=0,
            options={},
            versions={},
        ),
        histogram=histogram,
        shards=shards,
        samples=pa.Table.from_pylist(rows, schema=schema(LABELS)),
    )
    return open_dataset(root)


def _picture(generator: np.random.Generator, brightness: int) -> npt.NDArray[np.uint8]:
    """A bright blob somewhere on a gradient, with noise: uint8 [H, W, 1], each of another size."""
    height, width = int(generator.integers(33, 48)), int(generator.integers(33, 48))
    y, x = np.mgrid[0:height, 0:width]
    centre_y, centre_x = generator.uniform(8, 25, 2)
    blob = 90 * np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / 40)
    noise = generator.normal(0, 6, (height, width))
    picture: npt.NDArray[np.uint8] = np.clip(brightness + blob + x + noise, 0, 255).astype(np.uint8)[:, :, None]
    return picture


def _row(number: int, split: str, image: npt.NDArray[np.uint8]) -> dict[str, Cell]:
    patient = f"patient{number // 2:05d}"
    return {
        "key": f"{patient}_study1_view{number}",
        "patient_id": patient,
        "study_id": "study1",
        "projection": "frontal",
        "ap_pa": "AP",
        "sex": "Female",
        "age": 50.0,
        "split": split,
        "source_split": "train",
        "width": image.shape[1],
        "height": image.shape[0],
        "source_path": f"train/{patient}/study1/view{number}.jpg",
        "excluded": None,
        "Edema": float(number % 2),
    }
