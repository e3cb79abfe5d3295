"""Compare `verify --decode` with reading and decoding alone, on one thread and on two.

Makes synthetic shards, with images as large as those of CheXpert's small release; prints images/s of each side by the
clock, and with --memory the peak memory of verifying few shards and many.
"""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click
import pyarrow as pa
import simplejpeg

from benchmarks.ingest import SMALL_JPEG, encoded, radiograph
from benchmarks.pairs import Comparison, alternate, json_option, own_megabytes, quick_option, report, seconds
from benchmarks.synthetic import finished
from shards.format.dataset import Dataset
from shards.format.description import ShardSummary
from shards.format.schema import COLUMNS, WRITER_COLUMNS, schema
from shards.format.shard_writer import ShardWriter
from shards.format.verify import verify

GOAL = 0.8


def write_shards(root: Path, shards: int, images: int) -> Dataset:
    """A dataset of `shards` shards with `images` samples each; three different pictures are enough."""
    pictures = [encoded(radiograph(seed, *SMALL_JPEG.size, SMALL_JPEG.grain), SMALL_JPEG.quality) for seed in range(3)]
    height, width = SMALL_JPEG.size
    summaries, rows = [], []
    root.mkdir()
    for shard in (f"train-{number:06d}" for number in range(shards)):
        with ShardWriter(root, shard, "synthetic", ()) as writer:
            for number in range(images):
                row = dict.fromkeys(set(COLUMNS) - WRITER_COLUMNS)
                row |= {"key": f"{shard}-{number}", "patient_id": f"{shard}-{number}", "split": "train"}
                row |= {"width": width, "height": height, "source_path": f"{number}.jpg"}
                writer.add(row, pictures[number % len(pictures)])
        summaries.append(writer.summary)
        rows += writer.rows
    return finished(root, summaries, pa.Table.from_pylist(rows, schema=schema(())))


def read_and_decode(dataset: Dataset, threads: int) -> None:
    """Each sample read at its place and decoded, nothing compared."""
    by_shard = dict(list(dataset.samples.groupby("shard")))

    def one_shard(shard: ShardSummary) -> None:
        rows = by_shard[shard.name]
        with dataset.shard_path(shard.name).open("rb") as file:
            for offset, length in zip(rows["offset"].tolist(), rows["bytes"].tolist(), strict=True):
                file.seek(offset)
                simplejpeg.decode_jpeg(file.read(length), colorspace="GRAY")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one_shard, dataset.shards))


def check(root: Path, threads: int) -> None:
    """Ours; what is compared must also agree."""
    findings = verify(root, decode=True, threads=threads)
    if findings:
        raise RuntimeError(f"{len(findings)} findings in a dataset that was just written: {findings[0].message}")


def peak_megabytes(root: Path) -> float:
    """Most memory that a process of its own had while it verified `root` with two threads."""
    code = f"from benchmarks.verify import peak; peak({str(root)!r})"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(shown.stdout)


def peak(root: str) -> None:
    """Verify and print the peak of this process in MB."""
    check(Path(root), 2)
    click.echo(own_megabytes("VmHWM"))


@click.command()
@quick_option
@json_option
@click.option("--memory", is_flag=True, help="Measure the peak memory of verifying 4 and 32 shards, too.")
def main(quick: bool, json_path: Path | None, memory: bool) -> None:
    """Images/s of verifying with a full decode, against reading and decoding alone, from a warm page cache."""
    images, rounds = (250, 3) if quick else (1000, 7)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        dataset = write_shards(Path(folder) / "dataset", 8, images)
        samples = 8 * images
        for threads in (1, 2):
            sides = {
                "ours": partial(check, dataset.root, threads),
                "theirs": partial(read_and_decode, dataset, threads),
            }
            rates = {name: lambda work=work: samples / seconds(work) for name, work in sides.items()}
            figures = alternate(rates, rounds)
            name = f"verify --decode, {threads} thread{'s' * (threads > 1)}, read and decode alone"
            found.append(Comparison(name, figures["ours"], figures["theirs"], "images/s", True, GOAL))
        if memory:
            for shards in (4, 32):
                root = Path(folder) / f"of {shards}"
                write_shards(root, shards, images)
                click.echo(f"peak memory, {shards} shards of {images} images: {peak_megabytes(root):.0f} MB")
    report(found, json_path)


if __name__ == "__main__":
    main()
