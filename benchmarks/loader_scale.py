"""Measure the loader at the size of CheXpert: time to the first batch, and memory over epochs.

Makes a dataset of 223,414 samples in 219 shards, which are links to one tar, so that it takes a second and 25 MB;
prints seconds and megabytes of a process that takes its batches and does nothing else. Linux only.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pyarrow as pa

from benchmarks.loader import synthetic_shards
from benchmarks.pairs import Figure, json_option, own_megabytes, quick_option, report_figures
from benchmarks.synthetic import finished
from shards.format.dataset import open_dataset
from shards.format.identity import sample_id
from shards.format.schema import schema

SHARDS, SAMPLES, OF_A_SHARD = 219, 223_414, 1024
IMAGE_SIZE, BATCH = 320, 64


def large_dataset(folder: Path) -> Path:
    """Rows like CheXpert's in number; every shard holds the same images under other keys."""
    small = open_dataset(synthetic_shards(folder / "small", 2 * OF_A_SHARD))
    (first, _), root = small.shards, folder / "large"
    root.mkdir()
    rows = small.samples[small.samples["shard"] == first.name]
    columns = pa.Table.from_pandas(rows, schema=schema(()), preserve_index=False)
    summaries, parts = [], []
    for number in range(SHARDS):
        name = f"train-{number:06d}"
        count = min(OF_A_SHARD, SAMPLES - number * OF_A_SHARD)
        keys = [f"{name}-{position}" for position in range(count)]
        part = columns.slice(0, count).to_pydict() | {"key": keys, "patient_id": keys, "shard": [name] * count}
        part["sample_id"] = [sample_id("large", key) for key in keys]
        parts.append(pa.Table.from_pydict(part, schema=schema(())))
        summaries.append(replace(first, name=name, samples=count))
        for extension in ("tar", "idx"):
            (root / f"{name}.{extension}").symlink_to(small.root / f"{first.name}.{extension}")
    finished(root, summaries, pa.concat_tables(parts))
    return root


def child(root: str, epochs: int, batches: int) -> None:
    """Body of the process that is measured: its figures as JSON on stdout. batches: of each epoch; 0 for all."""
    import torch

    from shards.loading.loaders import TwoViewLoader  # with DALI: what imports cost is not counted

    torch.zeros(1)
    imported = own_megabytes("VmRSS")
    start = time.perf_counter()
    dataset = open_dataset(Path(root))
    opened = time.perf_counter() - start
    loader = TwoViewLoader([dataset], image_size=IMAGE_SIZE, batch_size=BATCH, seed=0)
    next(iter(loader))
    first = time.perf_counter() - start
    after: list[float] = []
    for _ in range(epochs):
        for number, _ in enumerate(loader, start=1):
            if number == batches:
                break
        after.append(own_megabytes("VmRSS") - imported)
    peak = own_megabytes("VmHWM") - imported
    late = (len(loader) - 1) * BATCH
    resumed = TwoViewLoader([dataset], image_size=IMAGE_SIZE, batch_size=BATCH, seed=0)
    restored = time.perf_counter()
    resumed.load_state_dict(loader.state_dict() | {"samples_consumed": late, "passed": late})
    next(iter(resumed))
    restored = time.perf_counter() - restored
    size = len(json.dumps(loader.state_dict()))
    told = {"opened": opened, "first": first, "restored": restored, "peak": peak, "after": after, "state_bytes": size}
    click.echo(json.dumps(told))


@click.command()
@quick_option
@json_option
def main(quick: bool, json_path: Path | None) -> None:
    """Seconds to the first batch of 223,414 samples, and megabytes over epochs, at 320 px in batches of 64."""
    epochs, batches = (3, 50) if quick else (3, 0)
    with tempfile.TemporaryDirectory() as folder:
        root = large_dataset(Path(folder))
        code = f"from benchmarks.loader_scale import child; child({str(root)!r}, {epochs}, {batches})"
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found = json.loads(run.stdout)
    after = found["after"]
    figures = [
        Figure("seconds from opening the dataset to the first batch", found["first"], 2.0),
        Figure("seconds from loading a state late in an epoch to its next batch", found["restored"], 2.0),
        Figure("bytes of a state", found["state_bytes"], 10_000),
        Figure("MB above the imports, at most", found["peak"], 1000.0),
        Figure(f"MB from the second to the last of {epochs} epochs", after[-1] - after[min(1, epochs - 1)], 50.0),
    ]
    report_figures(figures, json_path)
    click.echo(f"of the first, opening the dataset: {found['opened']:.2f} s; MB after each epoch: {np.round(after)}")


if __name__ == "__main__":
    main()
