"""Measure how well an epoch's order is mixed, and what it costs to read in that order from a cold page cache.

Reads a dataset (a folder, or synthetic shards on the disk of the temporary folder); prints correlations with storage,
how often samples meet again in a batch, and bytes read over bytes used. Linux only.
"""

import os
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from benchmarks.loader import synthetic_shards
from benchmarks.pairs import Figure, json_option, quick_option, report_figures
from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import select
from shards.loading.epoch_order import epoch_order
from shards.loading.loaders import TwoViewLoader

BATCH = 64


def correlation(orders: Sequence[npt.NDArray[np.int64]]) -> float:
    """The largest absolute correlation, among the epochs, of a sample's place with its place in storage."""
    return max(abs(float(np.corrcoef(order, np.arange(len(order)))[0, 1])) for order in orders)


def meetings(orders: Sequence[npt.NDArray[np.int64]]) -> float:
    """How many times as often as by chance two samples that shared a batch share one again: the worst two epochs."""
    samples = len(orders[0])
    batch_of = np.empty((len(orders), samples), dtype=np.int64)
    for epoch, order in enumerate(orders):
        batch_of[epoch, order] = np.arange(samples) // BATCH
    chance = samples * (BATCH - 1) ** 2 / (samples - 1)
    worst = 0.0
    for one, other in combinations(batch_of, 2):
        _, together = np.unique(one * samples + other, return_counts=True)
        worst = max(worst, float((together * (together - 1)).sum()) / chance)
    return worst


def cold_reads(dataset: Dataset) -> float:
    """Bytes that an epoch makes the system read over the bytes of its JPEGs, nothing of the tars being in memory."""
    rows = select(dataset, "train")
    for shard in rows["shard"].unique():
        descriptor = os.open(dataset.shard_path(shard), os.O_RDONLY)
        os.fsync(descriptor)  # what is not written yet cannot be dropped
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    loader = TwoViewLoader([dataset], image_size=64, batch_size=BATCH, seed=0)
    sizes = rows.set_index("sample_id")["bytes"]
    before, used = _bytes_read(), 0
    for batch in loader:
        used += int(sizes[batch.sample_id.numpy()].sum())
    read = _bytes_read() - before
    loader.close()
    return read / used


def _bytes_read() -> int:
    """Bytes that this process has made the storage deliver."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["read_bytes"])


@click.command()
@click.argument("shards", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@quick_option
@json_option
def main(shards: Path | None, quick: bool, json_path: Path | None) -> None:
    """Judge the order of 20 epochs of 20,000 samples, and an epoch's reads from SHARDS (default: synthetic ones)."""
    epochs = 5 if quick else 20
    orders = [epoch_order(20_000, 0, epoch) for epoch in range(epochs)]
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_dataset(shards or synthetic_shards(Path(folder) / "shards", 1024 if quick else 20_000))
        figures = [
            Figure(f"|correlation| of place with storage, most of {epochs} epochs", correlation(orders), 0.05),
            Figure(f"two samples share a batch again, times chance, worst of {epochs} epochs", meetings(orders), 1.5),
            Figure("bytes read from a cold cache over bytes used", cold_reads(dataset), 1.3),
        ]
    report_figures(figures, json_path)


if __name__ == "__main__":
    main()
