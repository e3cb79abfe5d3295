"""A grid of linear probes by one sweep, against one `cxr-train probe` a cell; both find the embeddings computed.

Makes synthetic labelled images of 40 pixels. Theirs is timed on one cell of each fraction and counted for all of its
draws and arms. For information, and without a goal, the same grid by the published way: every probe from image files,
decoded again in each of its epochs (benchmarks/published_probe.py), measured on a few images and scaled to all. By
hand: python -m benchmarks.study --quick
"""

import functools
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import simplejpeg
import yaml

from benchmarks.pairs import Comparison, json_option, quick_option, report, seconds
from benchmarks.published_probe import NEGATIVE, POSITIVE
from benchmarks.synthetic import finished
from shards.format.dataset import open_dataset
from shards.format.schema import COLUMNS, WRITER_COLUMNS, schema
from shards.format.shard_writer import ShardWriter
from training.downstream.training_length import published_epochs
from training.processes.devices import available_threads
from training.studies.cells import Cell, cells_of
from training.studies.study_file import read_study

LABEL = "Bright"
FRACTIONS = (0.001, 0.01, 0.1, 0.5)
GOAL = 5.0
SIDE = 40
IMAGE_SIZE = 32


@dataclass(frozen=True)
class Case:
    """samples: of the train split. draws: of each fraction. published: images that the published way is timed on."""

    samples: int
    draws: int
    fractions: tuple[float, ...]
    published: int


def labelled_shards(root: Path, splits: dict[str, int], label: str = LABEL, side: int = SIDE) -> None:
    """A dataset of noise, a third of which is brighter: the label. Each image is its own patient."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True)
    summaries, rows = [], []
    for split, count in splits.items():
        with ShardWriter(root, f"{split}-000000", root.name, (label,)) as writer:
            for number in range(count):
                bright = number % 3 == 0
                image = rng.integers(90 if bright else 60, 200 if bright else 170, (side, side, 1), dtype=np.uint8)
                row = dict.fromkeys(set(COLUMNS) - WRITER_COLUMNS)
                row |= {"key": f"{split}-{number}", "patient_id": f"{split}-{number}", "split": split}
                row |= {"width": side, "height": side, "source_path": f"{number}.jpg", label: float(bright)}
                writer.add(row, simplejpeg.encode_jpeg(image, colorspace="GRAY", colorsubsampling="Gray"))
        summaries.append(writer.summary)
        rows += writer.rows
    finished(root, summaries, pa.Table.from_pylist(rows, schema=schema((label,))), root.name, (label,))


def write_study(path: Path, case: Case) -> None:
    """A study of probes alone; its pretraining is one short run over few images."""
    tiny = {
        "recipe": "moco_small_cpu",
        "shards": ["few"],
        "image_size": IMAGE_SIZE,
        "epochs": 1,
        "batch_size": 16,
        "queue_size": 32,
    }
    content = {
        "study_version": 1,
        "name": "grid",
        "datasets": {"few": {"shards": "few"}, "many": {"shards": "many"}},
        "pretraining": {"resnet18": tiny},
        "arms": {"start": {"at": "start"}, "moco": {"at": "end"}},
        "reference": "start",
        "methods": {"probe": {}},
        "targets": [
            {"name": "t", "dataset": "many", "labels": [LABEL], "fractions": list(case.fractions), "draws": case.draws}
        ],
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def command(*words: object, module: str = "training.cli.main") -> None:
    """One command, of the project by default, in a process of its own."""
    program = f"from {module} import main; main()"
    subprocess.run([sys.executable, "-c", program, *map(str, words)], check=True, capture_output=True)


def image_files(root: Path, folder: Path, count: int) -> None:
    """Write the first images of a dataset's train split as files, a folder for each class."""
    dataset = open_dataset(root)
    for row in dataset.samples[dataset.samples["split"] == "train"].head(count).to_dict("records"):
        path = folder / (POSITIVE if row[LABEL] else NEGATIVE) / f"{row['key']}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        with (root / f"{row['shard']}.tar").open("rb") as tar:
            tar.seek(row["offset"])
            path.write_bytes(tar.read(row["bytes"]))


def published_seconds(folder: Path, case: Case, cells: Sequence[Cell]) -> float:
    """Seconds of the whole grid by the published way, scaled: a start for each probe, and all epochs of its images.

    Timed on `published` images and on a quarter of them; their difference gives the rate, the rest is the start.
    Validations, which the published code makes after each epoch, are not counted.
    """
    files = folder / "files"
    if not files.is_dir():
        image_files(folder / "many", files, min(512, case.samples))
    counts = (case.published // 4, case.published)
    few, many = (
        seconds(
            functools.partial(
                command, files, count, IMAGE_SIZE, available_threads(), module="benchmarks.published_probe"
            )
        )
        for count in counts
    )
    an_image = (many - few) / (counts[1] - counts[0])
    start = max(0.0, few - counts[0] * an_image)
    images = sum(published_epochs(cell.fraction) * math.ceil(cell.fraction * case.samples) for cell in cells)
    return len(cells) * start + images * an_image


def measure(folder: Path, case: Case) -> list[Comparison]:
    """Seconds of the whole grid by each side, and by the published way."""
    for name, splits in (("few", {"train": 64}), ("many", {"train": case.samples, "valid": 200, "test": 200})):
        if not (folder / name / "dataset.json").is_file():
            labelled_shards(folder / name, splits)
    path, output = folder / "study.yaml", folder / "study"
    write_study(path, case)
    shared = ("--output", output, "--data", folder, "--device", "cpu")
    cells = cells_of(read_study(path))
    embedding = [cell for cell in cells if cell.fraction == case.fractions[0] and cell.draw == 0]
    for cell in embedding:  # pretrains, and embeds each arm
        command("sweep", path, *shared, "--only", cell.name)
    shutil.rmtree(output / "cells")
    ours = seconds(lambda: command("sweep", path, *shared))
    theirs = 0.0
    for fraction in case.fractions:
        words: tuple[object, ...] = ("--shards", folder / "many", "--backbone-from", output / "runs/resnet18-seed0")
        words += ("--labels", LABEL, "--label-fraction", fraction, "--device", "cpu")
        words += ("--cache", output / "embeddings", "--output", folder / f"one-{fraction}")
        shutil.rmtree(folder / f"one-{fraction}", ignore_errors=True)
        one = seconds(functools.partial(command, "probe", *words))
        theirs += one * sum(cell.fraction == fraction for cell in cells)
    published = published_seconds(folder, case, cells)
    name = f"{len(cells)} probes over {case.samples:,} samples"
    return [
        Comparison(name, [ours], [theirs], "s", False, GOAL),
        Comparison(f"... the published way, scaled from {case.published:,} images", [ours], [published], "s", False),
    ]


@click.command()
@quick_option
@json_option
@click.option("--data", type=click.Path(path_type=Path), help="Folder to keep the images and embeddings in.")
def main(quick: bool, json_path: Path | None, data: Path | None) -> None:
    """Seconds for 4 fractions x 10 draws x 2 arms of linear probes over 20,000 samples."""
    case = Case(600, 2, (0.1, 0.5), 512) if quick else Case(20_000, 10, FRACTIONS, 4096)
    with tempfile.TemporaryDirectory() as folder:
        report(measure(data or Path(folder), case), json_path)


if __name__ == "__main__":
    main()
