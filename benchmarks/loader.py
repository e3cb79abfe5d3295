"""Two augmented views an image: our loader against the published recipe and against torchvision v2 on gray uint8.

Shards flow in (a folder, or synthetic ones), images/s of each side come out, read from the same tars. Theirs run in a
DataLoader with as many workers as ours has threads. Ours and v2 end in uint8 batches; the published recipe ends, as it
is published, in normalised float RGB, which for ours happens on the device that trains.
"""

import io
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pyarrow as pa
import simplejpeg
import torch
import webdataset
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from benchmarks.pairs import Comparison, alternate, json_option, quick_option, report
from shards.dataset import Dataset, open_dataset, write_dataset
from shards.loader import TwoViewLoader
from shards.schema import COLUMNS, WRITER_COLUMNS, schema
from shards.writer import ShardWriter

GOALS = {"published recipe": 5.5, "torchvision v2": 2.4}
TwoViews = Callable[[bytes], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Case:
    """One comparison. size: pixels of a view. threads: of ours, and workers of theirs. seconds: of a measurement."""

    size: int
    threads: int
    batch_size: int
    rounds: int
    seconds: float


def published_recipe(size: int) -> TwoViews:
    """PIL in RGB through torchvision's classic transforms, twice (MoCo-CXR's pretraining)."""
    view = transforms.Compose(
        [
            transforms.Resize(size),
            transforms.RandomHorizontalFlip(),
            transforms.RandomRotation(10),
            transforms.RandomCrop(size),
            transforms.ToTensor(),
            transforms.Normalize([0.5020] * 3, [0.085585] * 3),
        ]
    )

    def two_views(jpeg: bytes) -> tuple[Tensor, Tensor]:
        image = Image.open(io.BytesIO(jpeg)).convert("RGB")
        return view(image), view(image)

    return two_views


def torchvision_v2(size: int) -> TwoViews:
    """The same views as well as torchvision can: gray uint8 tensors, resized once, bilinear as ours."""
    resize = v2.Resize(size, antialias=True)
    view = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomRotation(10, interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomCrop(size),
        ]
    )

    def two_views(jpeg: bytes) -> tuple[Tensor, Tensor]:
        image = resize(decode_jpeg(torch.frombuffer(bytearray(jpeg), dtype=torch.uint8), mode=ImageReadMode.GRAY))
        return view(image), view(image)

    return two_views


def theirs(tars: Sequence[str], two_views: TwoViews, workers: int, batch_size: int) -> Iterator[Any]:
    """Endless batches of a DataLoader over the tars."""
    samples = webdataset.WebDataset(tars, shardshuffle=len(tars), seed=0).shuffle(500).to_tuple("jpg").repeat()
    samples = samples.map(lambda sample: two_views(sample[0]))
    return iter(DataLoader(samples, batch_size=batch_size, num_workers=workers))


def ours(dataset: Dataset, size: int, threads: int, batch_size: int) -> Iterator[Any]:
    """Endless batches of our loader."""
    loader = TwoViewLoader([dataset], image_size=size, batch_size=batch_size, seed=0, threads=threads)
    while True:
        yield from loader


def rate(batches: Iterator[Any], batch_size: int, ahead: int, seconds: float) -> float:
    """Images/s over at least `seconds`, each image with both its views.

    ahead: batches that may have been prepared while the other sides ran; they are thrown away before the clock starts.
    """
    for _ in range(ahead):
        next(batches)
    start, images = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds or not images:
        next(batches)
        images += batch_size
    return images / elapsed


def synthetic_shards(root: Path, images: int) -> Path:
    """Two shards of radiograph-like JPEGs of 390 x 320 pixels, about 24 KB each."""
    rng = np.random.default_rng(0)
    summaries, rows = [], []
    root.mkdir()
    for shard in ("train-000000", "train-000001"):
        with ShardWriter(root, shard, "synthetic", ()) as writer:
            for number in range(images // 2):
                coarse = rng.integers(30, 220, (12, 10)).astype(np.float32)
                smooth = cv2.resize(coarse, (320, 390), interpolation=cv2.INTER_CUBIC)
                grain = cv2.GaussianBlur(rng.normal(0, 8, (390, 320)), (0, 0), 1.2)
                image = np.clip(smooth + grain, 0, 255).astype(np.uint8)[:, :, None]
                row = dict.fromkeys(set(COLUMNS) - WRITER_COLUMNS)
                row |= {"key": f"{shard}-{number}", "patient_id": f"{shard}-{number}", "split": "train"}
                row |= {"width": 320, "height": 390, "source_path": f"{number}.jpg"}
                jpeg = simplejpeg.encode_jpeg(image, quality=95, colorspace="GRAY", colorsubsampling="Gray")
                writer.add(row, jpeg)
        summaries.append(writer.summary)
        rows += writer.rows
    write_dataset(
        root,
        name="synthetic",
        variant="synthetic",
        licence="none",
        label_names=(),
        seed=0,
        options={},
        versions={},
        histogram=np.zeros(256, dtype=np.int64),
        shards=summaries,
        samples=pa.Table.from_pylist(rows, schema=schema(())),
    )
    return root


def compare(dataset: Dataset, case: Case) -> list[Comparison]:
    """Our loader and both others in turn."""
    tars = [str(dataset.shard_path(shard.name)) for shard in dataset.shards if shard.split == "train"]
    size, threads = case.size, case.threads
    sides = {
        "ours": ours(dataset, size, threads, case.batch_size),
        "published recipe": theirs(tars, published_recipe(size), threads, case.batch_size),
        "torchvision v2": theirs(tars, torchvision_v2(size), threads, case.batch_size),
    }

    def measure(name: str) -> float:
        return rate(sides[name], case.batch_size, ahead=2 * threads + 1, seconds=case.seconds)

    figures = alternate({name: partial(measure, name) for name in sides}, case.rounds)
    return [
        Comparison(f"{size} px, {threads} thread(s): {name}", figures["ours"], figures[name], "images/s", True, goal)
        for name, goal in GOALS.items()
    ]


@click.command()
@click.argument("shards", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@quick_option
@json_option
def main(shards: Path | None, quick: bool, json_path: Path | None) -> None:
    """Compare loaders over the train split of SHARDS (default: synthetic 390 x 320 JPEGs)."""
    full = [Case(size, threads, batch_size=64, rounds=5, seconds=4.0) for size in (224, 320) for threads in (1, 2)]
    cases = [Case(320, 2, batch_size=32, rounds=3, seconds=1.5)] if quick else full
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_dataset(shards or synthetic_shards(Path(folder) / "shards", 256 if quick else 2048))
        comparisons = [comparison for case in cases for comparison in compare(dataset, case)]
    report(comparisons, json_path)


if __name__ == "__main__":
    main()
