"""Measure how planning, filling and finalizing grow with the number of rows, and the memory of each process.

Makes a source in CheXpert's layout: the table as long as asked for, the images links to a few tiny files, so that
everything but decoding is measured. Prints a table, and writes a file with --json.

    python -m benchmarks.ingest_scale [--rows 10000 --rows 223414] [--workers 2]
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import simplejpeg

from benchmarks.pairs import json_option, quick_option
from ingest.archives.chexpert import LABELS
from ingest.workers import PROCESS_NAME

FULL = 223_414
"""Rows of CheXpert's train.csv."""
ROWS = (10_000, 50_000, FULL)
MOST_GB, MOST_PLANNING_S = 1.5, 20.0
_HEADER = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS)
_IMAGES = 16
_SAMPLE_S = 0.05

_STAGES = """
import json, os, sys, time
from pathlib import Path
from ingest.build.dataset_build import fill, ensure_plan, finish
from ingest.build.header import Options, plan_header
from ingest.archives.source import open_source

def now():
    return time.perf_counter(), sum(os.times()[:4])  # of this process and of the workers that have ended

def main():
    source, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    moments = [now()]
    reader = open_source("chexpert", source)
    options = Options("scale", 320, 1024, 0, 0.0, 0.0)
    plan = ensure_plan(out, reader, options, plan_header(reader, options))
    moments.append(now())
    fill(out, plan, reader, plan.shards, workers)
    moments.append(now())
    finished = finish(out, 0)
    moments.append(now())
    assert finished.samples == plan.samples
    print(json.dumps([[b - a for a, b in zip(*pair)] for pair in zip(moments, moments[1:])]))

if __name__ == "__main__":
    main()
"""


@dataclass(frozen=True)
class Figures:
    """One build. Seconds on the wall and of CPU, workers included; peaks of resident memory in MB: of the parent, of
    the largest worker, and of that in the first and the last quarter of the filling, to see whether it grows."""

    rows: int
    plan_s: float
    plan_cpu_s: float
    fill_s: float
    fill_cpu_s: float
    finalize_s: float
    finalize_cpu_s: float
    parent_mb: float
    worker_mb: float
    worker_early_mb: float
    worker_late_mb: float


def write_source(folder: Path, rows: int) -> None:
    """train.csv of so many rows, three images a patient in two studies, labels of every value."""
    generator = np.random.default_rng(0)
    contents = folder / "contents"
    contents.mkdir(parents=True)
    for number in range(_IMAGES):
        pixels = cv2.resize(generator.integers(0, 255, (4, 4), dtype=np.uint8), (40, 36))
        jpeg = simplejpeg.encode_jpeg(pixels[:, :, None], quality=90, colorspace="GRAY", colorsubsampling="Gray")
        (contents / f"{number}.jpg").write_bytes(jpeg)
    values = np.array(["", "1.0", "0.0", "-1.0"])[generator.choice(4, (rows, len(LABELS)), p=[0.6, 0.2, 0.12, 0.08])]
    with (folder / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_HEADER)
        for row in range(rows):
            study = f"train/patient{row // 3 + 1:05d}/study{row % 3 // 2 + 1}"
            name = ("view1_frontal", "view2_lateral", "view1_frontal")[row % 3]
            lateral = name.endswith("lateral")
            path = folder / study / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(contents / f"{row % _IMAGES}.jpg", path)
            who = ("Female" if row % 2 else "Male", 20 + row % 70, *(("Lateral", "") if lateral else ("Frontal", "AP")))
            writer.writerow([f"CheXpert-v1.0/{study}/{name}.jpg", *who, *values[row]])


def measure(folder: Path, rows: int, workers: int) -> Figures:
    """Build once in a process of its own and watch its memory and that of its children."""
    source, out, script = folder / "source", folder / "out", folder / "stages.py"
    write_source(source, rows)
    script.write_text(_STAGES)
    command = [sys.executable, str(script), str(source), str(out), str(workers)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    watched = _Watch(process.pid)
    printed, _ = process.communicate()
    watched.join()
    if process.returncode:
        raise click.ClickException(f"the build of {rows:,} rows ended with exit status {process.returncode}")
    (plan_s, plan_cpu_s), (fill_s, fill_cpu_s), (finalize_s, finalize_cpu_s) = json.loads(printed)
    history = watched.workers or [0.0]  # a single shard is filled without a worker
    quarter = max(len(history) // 4, 1)
    return Figures(
        rows=rows,
        plan_s=plan_s,
        plan_cpu_s=plan_cpu_s,
        fill_s=fill_s,
        fill_cpu_s=fill_cpu_s,
        finalize_s=finalize_s,
        finalize_cpu_s=finalize_cpu_s,
        parent_mb=watched.parent,
        worker_mb=max(history),
        worker_early_mb=max(history[:quarter]),
        worker_late_mb=max(history[-quarter:]),
    )


class _Watch(threading.Thread):
    """Samples resident memory until the process ends. parent: its peak, MB; workers: the largest one's, in time."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self._process = process
        self.parent = 0.0
        self.workers: list[float] = []
        self.start()

    def run(self) -> None:
        """Run the thread."""
        while (peak := _memory(self._process, "VmHWM")) is not None:
            self.parent = max(self.parent, peak)
            there = [_memory(child, "VmRSS") for child in _children(self._process)]
            if any(there):
                self.workers.append(max(size for size in there if size is not None))
            time.sleep(_SAMPLE_S)


def _memory(process: int, field: str) -> float | None:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = [line.split()[1] for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(found[0]) / 1024 if found else None  # a zombie has no memory left


def _children(process: int) -> list[int]:
    try:
        found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        # Not what is between fork and exec: for that moment it has the memory of its parent.
        return [int(one) for one in found if PROCESS_NAME in Path(f"/proc/{one}/cmdline").read_text()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def as_table(figures: Sequence[Figures]) -> str:
    """Figures under each other, in microseconds a row too: what is linear does not grow from line to line."""
    columns: dict[str, Callable[[Figures], str]] = {
        "rows": lambda one: f"{one.rows:,}",
        "plan s (CPU)": lambda one: f"{one.plan_s:.1f} ({one.plan_cpu_s:.1f})",
        "fill s (CPU)": lambda one: f"{one.fill_s:.1f} ({one.fill_cpu_s:.1f})",
        "finalize s (CPU)": lambda one: f"{one.finalize_s:.1f} ({one.finalize_cpu_s:.1f})",
        "CPU µs/row: plan": lambda one: f"{one.plan_cpu_s / one.rows * 1e6:.0f}",
        "fill": lambda one: f"{one.fill_cpu_s / one.rows * 1e6:.0f}",
        "finalize": lambda one: f"{one.finalize_cpu_s / one.rows * 1e6:.0f}",
        "parent MB": lambda one: f"{one.parent_mb:.0f}",
        "worker MB": lambda one: f"{one.worker_mb:.0f}",
        "worker early": lambda one: f"{one.worker_early_mb:.0f}",
        "worker late": lambda one: f"{one.worker_late_mb:.0f}",
    }
    lines = ["| " + " | ".join(columns) + " |", "|" + "---:|" * len(columns)]
    lines += ["| " + " | ".join(cell(one) for cell in columns.values()) + " |" for one in figures]
    return "\n".join(lines)


@click.command()
@click.option(
    "--rows", "counts", type=click.IntRange(1), multiple=True, help=f"Number of rows of the table.  [default: {ROWS}]"
)
@click.option("--workers", type=click.IntRange(2), default=2, show_default=True)
@quick_option
@json_option
def main(counts: tuple[int, ...], workers: int, quick: bool, json_path: Path | None) -> None:
    """Seconds and memory of builds of ever longer tables of tiny images."""
    figures = []
    for rows in counts or ((2_000, 10_000) if quick else ROWS):
        with tempfile.TemporaryDirectory() as folder:
            figures.append(measure(Path(folder), rows, workers))
        click.echo(as_table(figures[-1:]).splitlines()[-1], err=True)
    click.echo(as_table(figures))
    largest = figures[-1]
    click.echo(
        f"Goals at {FULL:,} rows: planning under {MOST_PLANNING_S:.0f} s, each process under {MOST_GB} GB. Found at "
        f"{largest.rows:,}: {largest.plan_s:.1f} s, {max(largest.parent_mb, largest.worker_mb) / 1024:.2f} GB."
    )
    if json_path is not None:
        json_path.write_text(json.dumps([asdict(one) for one in figures], indent=2) + "\n")


if __name__ == "__main__":
    main()
