"""A linear probe as large as CheXpert: 14 labels, 223,414 embeddings of 512 features, by `cxr-train probe` itself.

The embeddings are synthetic and stand in the cache, so that what is measured is reading them, choosing C and fitting.
Theirs is scikit-learn on one label, standardised in float64, at the C that ours chose: counted for all labels, and
without any choice of C. By hand: python -m benchmarks.probe --quick
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import simplejpeg
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.pairs import Comparison, Figure, json_option, quick_option, report_figures, seconds, table
from benchmarks.synthetic import finished
from shards.format.dataset import Dataset
from shards.format.schema import COLUMNS, WRITER_COLUMNS, schema
from shards.format.shard_writer import ShardWriter
from shards.format.subsets import select
from training.downstream.embeddings import write_embeddings
from training.downstream.features import cache_path, embedding_attributes
from training.downstream.options import ProbeOptions
from training.downstream.start import backbone_for

FEATURES, LATENT, SIDE = 512, 64, 40
RATES = (0.4, 0.05, 0.12, 0.45, 0.04, 0.23, 0.07, 0.15, 0.16, 0.09, 0.39, 0.02, 0.04, 0.5)
"""Share of positives of each label, as far apart as CheXpert's."""
UNKNOWN = 0.1
SECONDS, GIGABYTES = 180.0, 3.0
"""Goals, on two cores."""
BLOCK = 10_000

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """samples: by split, train first. patients: of all splits."""

    samples: dict[str, int]
    patients: int


@dataclass(frozen=True)
class Synthetic:
    """features: [N, 512], few directions with most of the variance, cut at 0 as a ReLU does. wanted: [N, 14]."""

    features: Array
    wanted: Array


def synthetic(count: int) -> Synthetic:
    """Features and labels of which a part can be learned."""
    generator = np.random.default_rng(5)
    decay = (0.8 ** np.arange(LATENT))[:, None]
    mixing = (3 * decay * generator.normal(size=(LATENT, FEATURES))).astype(np.float32)
    effect = generator.normal(size=(LATENT, len(RATES)))
    threshold = 1.3 * np.log(1 / np.array(RATES) - 1)
    features, wanted = np.empty((count, FEATURES), np.float32), np.empty((count, len(RATES)), np.float32)
    for first in range(0, count, BLOCK):
        block = slice(first, min(count, first + BLOCK))
        latent = generator.normal(size=(block.stop - first, LATENT)).astype(np.float32)
        noise = generator.normal(size=(len(latent), FEATURES)).astype(np.float32)
        features[block] = np.maximum(latent @ mixing + noise, 0)
        wanted[block] = 0.2 * latent @ effect + generator.logistic(size=(len(latent), len(RATES))) > threshold
    wanted[generator.random(wanted.shape) < UNKNOWN] = np.nan
    return Synthetic(features, wanted)


def write_shards(root: Path, case: Case, wanted: Array) -> Dataset:
    """A dataset with these labels; every image is the same gray square, since none is read."""
    labels = tuple(f"Label {number}" for number in range(len(RATES)))
    gray = np.full((SIDE, SIDE, 1), 128, dtype=np.uint8)
    jpeg = simplejpeg.encode_jpeg(gray, colorspace="GRAY", colorsubsampling="Gray")
    patients = np.sort(np.random.default_rng(6).integers(0, case.patients, sum(case.samples.values())))
    root.mkdir()
    summaries, tables, number = [], [], 0
    for split, count in case.samples.items():
        with ShardWriter(root, f"{split}-000000", root.name, labels) as writer:
            for _ in range(count):
                known = [None if np.isnan(value) else float(value) for value in wanted[number]]
                row: dict[str, Any] = dict.fromkeys(set(COLUMNS) - WRITER_COLUMNS)
                row |= {"key": f"{split}-{number}", "patient_id": f"{split}-{patients[number]}", "split": split}
                row |= {"width": SIDE, "height": SIDE, **dict(zip(labels, known, strict=True))}
                writer.add(row, jpeg)
                number += 1
        summaries.append(writer.summary)
        tables.append(pa.Table.from_pylist(writer.rows, schema=schema(labels)))
    return finished(root, summaries, pa.concat_tables(tables), root.name, labels)


def fill_cache(dataset: Dataset, features: Array, options: ProbeOptions) -> None:
    """Put the features into the cache under the names that the command looks for."""
    backbone, first = backbone_for(dataset, options), 0
    assert options.cache is not None
    options.cache.mkdir()
    for split in ("train", "valid", "test"):
        rows = select(dataset, split)
        path = cache_path(backbone, dataset, split, cache=options.cache, device="cpu")
        of_split = features[first : first + len(rows)]
        first += len(rows)
        batches = ((of_split[at : at + BLOCK], _ids(rows)[at : at + BLOCK]) for at in range(0, len(rows), BLOCK))
        write_embeddings(path, batches, len(rows), FEATURES, embedding_attributes(backbone, dataset))


def ours(options: ProbeOptions, threads: int) -> dict[str, float]:
    """Run the command in a process of its own: wall-clock and CPU seconds of it, and its largest memory in GB."""
    program = (
        "import os, json; from benchmarks.pairs import own_megabytes; from training.cli.main import main; "
        "main(standalone_mode=False); used = os.times(); "
        "print(json.dumps({'cpu': used.user + used.system, 'gigabytes': own_megabytes('VmHWM') / 1e3}))"
    )
    words = ["probe", "--shards", options.shards, "--backbone-from", "random", "--labels", "all", "--device", "cpu"]
    words += ["--image-size", SIDE, "--cache", options.cache, "--output", options.output, "--threads", threads]
    said: list[str] = []

    def run() -> None:
        command = [sys.executable, "-c", program, *map(str, words)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        said.extend(done.stdout.splitlines())

    wall = seconds(run)
    return {"wall": wall, **json.loads(said[-1])}


def theirs(features: Array, wanted: Array, strength: float, threads: int) -> float:
    """Seconds of scikit-learn for one label at a C that is given."""
    known = ~np.isnan(wanted)

    def fit() -> None:
        scaled = StandardScaler().fit_transform(features[known].astype(np.float64))
        LogisticRegression(C=strength, max_iter=1000).fit(scaled, wanted[known] == 1)

    with threadpool_limits(limits=threads):
        return seconds(fit)


def _ids(rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    ids: npt.NDArray[np.int64] = rows["sample_id"].to_numpy(np.int64)
    return ids


@click.command()
@quick_option
@json_option
@click.option("--threads", default=2, show_default=True, help="Number of CPU threads of both sides.")
def main(quick: bool, json_path: Path | None, threads: int) -> None:
    """Wall-clock and CPU seconds and memory of a probe of 14 labels over 223,414 embeddings."""
    case = Case({"train": 4000, "valid": 100, "test": 200}, 1500)
    if not quick:
        case = Case({"train": 223_414, "valid": 234, "test": 668}, 65_240)
    made = synthetic(sum(case.samples.values()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = write_shards(folder / "synthetic", case, made.wanted)
        options = ProbeOptions(
            shards=dataset.root,
            backbone_from="random",
            labels=("all",),
            output=folder / "model",
            image_size=SIDE,
            device="cpu",
            cache=folder / "cache",
        )
        fill_cache(dataset, made.features, options)
        used = ours(options, threads)
        chosen = json.loads((options.output / "model.json").read_text(encoding="utf-8"))["regularisation"]
    train = slice(case.samples["train"])
    one = theirs(made.features[train], made.wanted[train, 0], chosen["Label 0"]["C"], threads)
    name = f"{len(RATES)} labels over {case.samples['train']:,} x {FEATURES}"
    click.echo(table([Comparison(name, [used["wall"]], [one * len(RATES)], "s", False)]))
    figures = [
        Figure(f"{name}: wall-clock seconds on {threads} threads", used["wall"], SECONDS),
        Figure(f"{name}: CPU seconds", used["cpu"], SECONDS * threads),
        Figure(f"{name}: GB of memory at most", used["gigabytes"], GIGABYTES),
    ]
    report_figures(figures, json_path)


if __name__ == "__main__":
    main()
