"""Compare loaders of two augmented views an image: ours, what a user would write instead, and the limit.

Reads shards (a folder, or synthetic ones); prints images/s of each side, from the same tars. Theirs run in a
DataLoader with as many workers as ours has threads. The published recipe ends, as it is published, in normalised float
RGB, which for ours happens on the device that trains; separate operators in float; all others in uint8.
"""

import tempfile
import time
from functools import partial
from pathlib import Path

import click
import cv2
import numpy as np
import pyarrow as pa
import simplejpeg
import torch

from benchmarks.loader_sides import AUGMENTED, Batches, Case, as_input, others, ours
from benchmarks.pairs import Comparison, alternate, json_option, quick_option, report
from benchmarks.synthetic import finished
from shards.format.dataset import Dataset, open_dataset
from shards.format.schema import COLUMNS, WRITER_COLUMNS, schema
from shards.format.shard_writer import ShardWriter
from shards.loading.positives import Positives


def rate(batches: Batches, batch_size: int, ahead: int, seconds: float) -> float:
    """Measure images/s over at least `seconds`, each image with both its views.

    ahead: batches that may have been prepared while the other sides ran; they are thrown away before the clock starts.
    """
    return speed(batches, batch_size, ahead, seconds)[0]


def speed(batches: Batches, batch_size: int, ahead: int, seconds: float) -> tuple[float, float]:
    """Measure the same, and the CPU milliseconds an image of all threads of this process."""
    for _ in range(ahead):
        next(batches)
    start, cpu, images = time.perf_counter(), time.process_time(), 0
    while (elapsed := time.perf_counter() - start) < seconds or not images:
        next(batches)
        images += batch_size
    return images / elapsed, 1e3 * (time.process_time() - cpu) / images


def synthetic_shards(root: Path, images: int) -> Path:
    """Write two shards of radiograph-like JPEGs of 390 x 320 pixels, about 24 KB each."""
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
                row |= {"key": f"{shard}-{number}", "patient_id": f"{shard}-{number // 3}", "split": "train"}
                row |= {"width": 320, "height": 390, "source_path": f"{number}.jpg"}
                jpeg = simplejpeg.encode_jpeg(image, quality=95, colorspace="GRAY", colorsubsampling="Gray")
                writer.add(row, jpeg)
        summaries.append(writer.summary)
        rows += writer.rows
    finished(root, summaries, pa.Table.from_pylist(rows, schema=schema(())))
    return root


def compare(dataset: Dataset, case: Case, threads_note: str) -> list[Comparison]:
    """Measure our loader and all others in turn."""
    batches = {"ours": ours(dataset, case)} | {name: side(dataset, case) for name, side, _ in others()}

    def measure(name: str) -> float:
        return rate(batches[name], case.batch_size, ahead=2 * case.threads + 1, seconds=case.seconds)

    figures = alternate({name: partial(measure, name) for name in batches}, case.rounds)
    return [
        Comparison(f"{threads_note}: {name}", figures["ours"], figures[name], "images/s", True, goal)
        for name, _, goal in others()
    ]


POSITIVES_GOAL = 0.65
"""An image more is read and decoded for each pair of views: about a third of the work beside two warps."""


def compare_positives(dataset: Dataset, case: Case) -> Comparison:
    """Our loader with key views of other images of the same patient, and without, in turn."""
    sides = {
        "patient": ours(dataset, case, positives=Positives("patient")),
        "image": ours(dataset, case),
    }
    figures = alternate(
        {
            name: partial(rate, side, case.batch_size, 2 * case.threads + 1, case.seconds)
            for name, side in sides.items()
        },
        case.rounds,
    )
    name = f"{case.size} px, {case.threads} thread(s): positives of the patient, against the own image"
    return Comparison(name, figures["patient"], figures["image"], "images/s", True, POSITIVES_GOAL)


def compare_views(dataset: Dataset, case: Case, goal: float) -> list[Comparison]:
    """Measure our loader with tone curve and crop against itself without: alone, in CPU time, and as input."""
    torch.set_num_threads(case.threads)
    sides = {
        "with": ours(dataset, case, views=AUGMENTED),
        "without": ours(dataset, case),
        "with, as input": as_input(ours(dataset, case, views=AUGMENTED)),
        "without, as input": as_input(ours(dataset, case)),
    }
    cpu: dict[str, list[float]] = {name: [] for name in sides}

    def measure(name: str) -> float:
        images_per_second, spent = speed(sides[name], case.batch_size, 2 * case.threads + 1, case.seconds)
        cpu[name].append(spent)
        return images_per_second

    figures = alternate({name: partial(measure, name) for name in sides}, case.rounds)
    note = f"{case.size} px, {case.threads} thread(s): tone curve and crop against neither"
    return [
        Comparison(note, figures["with"], figures["without"], "images/s", True, goal),
        Comparison(f"{note}, CPU", cpu["with"][1:], cpu["without"][1:], "ms", False, goal),
        Comparison(
            f"{note}, as input", figures["with, as input"], figures["without, as input"], "images/s", True, goal
        ),
    ]


VIEW_GOALS = {224: 0.95, 320: 0.95, 96: 0.7}
"""Size of a view -> least ratio. At 96 px from shards of 320 px each view is resized for itself."""


@click.command()
@click.argument("shards", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@quick_option
@json_option
@click.option("--views", "only_views", is_flag=True, help="Only our own loader, with tone curve and crop and without.")
def main(shards: Path | None, quick: bool, json_path: Path | None, only_views: bool) -> None:
    """Compare loaders over the train split of SHARDS (default: synthetic 390 x 320 JPEGs)."""
    full = [Case(size, threads, batch_size=64, rounds=9, seconds=1.5) for size in (224, 320) for threads in (1, 2)]
    cases = [Case(320, 2, batch_size=32, rounds=3, seconds=1.5)] if quick else full
    cases = [] if only_views else cases
    of_views = [Case(size, 2, 64, rounds=1 if quick else 9, seconds=1.0 if quick else 1.5) for size in VIEW_GOALS]
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_dataset(shards or synthetic_shards(Path(folder) / "shards", 256 if quick else 2048))
        comparisons = [
            comparison
            for case in cases
            for comparison in compare(dataset, case, f"{case.size} px, {case.threads} thread(s)")
        ]
        comparisons += [compare_positives(dataset, case) for case in cases]
        for case in of_views:
            comparisons += compare_views(dataset, case, VIEW_GOALS[case.size])
    report(comparisons, json_path)


if __name__ == "__main__":
    main()
