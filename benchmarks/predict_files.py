"""Compare `cxr-eval predict --files` with building shards of the same files and predicting those.

Both sides run as their own processes, as a person starts them, over 200 synthetic JPEGs of CheXpert's full size; wall
seconds, and CPU seconds of all processes, which a busy machine disturbs less.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.ingest import FULL_JPEGS, write_source
from benchmarks.pairs import Comparison, json_option, quick_option, report

PROGRAMS = {"cxr-ingest": "ingest", "cxr-train": "training", "cxr-eval": "evaluation"}


@dataclass(frozen=True)
class Cost:
    """What commands took: by the clock and on the CPUs, in seconds."""

    wall: float
    cpu: float


def run(*words: object) -> None:
    """Run one of the project's commands in a process of its own. Raises CalledProcessError with what it said."""
    package, *rest = map(str, words)
    code = f"from {PROGRAMS[package]}.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", code, *rest], check=True, capture_output=True)


def cost(commands: Sequence[Sequence[object]]) -> Cost:
    """What these commands take, one after the other, with the processes that they start."""
    before, start = os.times(), time.perf_counter()
    for words in commands:
        run(*words)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(time.perf_counter() - start, cpu)


def write_model(folder: Path) -> Path:
    """A probe of a random ResNet-18 at 320 px: what is measured does not depend on what it has learned."""
    run("cxr-ingest", "make-phantom", folder / "raw", "--chexpert-patients", 0, "--shenzhen-images", 40)
    source, shards = folder / "raw/ChinaSet_AllFiles", folder / "shards"
    run("cxr-ingest", "build-shards", source, shards, "--dataset", "shenzhen", "--name", "phantom")
    words = ("--labels", "Tuberculosis", "--backbone-from", "random", "--device", "cpu", "--cache", folder / "cache")
    run("cxr-train", "probe", "--shards", shards, *words, "--output", folder / "probe")
    return folder / "probe"


@click.command()
@quick_option
@json_option
def main(quick: bool, json_path: Path | None) -> None:
    """Predict 200 JPEG files as they are, against building shards of them first."""
    images, rounds = (40, 1) if quick else (200, 3)
    ours: list[Cost] = []
    theirs: list[Cost] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_model(folder)
        write_source(folder / "files", FULL_JPEGS[0], images)
        predict = ("cxr-eval", "predict", "--model", model, "--device", "cpu")
        for number in range(rounds + 1):
            shards = folder / f"of-files-{number}"
            build = ("cxr-ingest", "build-shards", folder / "files", shards, "--dataset", "folder", "--name", "f")
            of_shards = (*predict, "--shards", shards, "--split", "train", "--output", folder / "b.csv")
            of_files = (*predict, "--output", folder / "a.csv", "--files", folder / "files")
            sides: dict[str, list[tuple[object, ...]]] = {"files": [of_files], "shards": [build, of_shards]}
            order = list(sides) if number % 2 else list(sides)[::-1]
            found = {side: cost(sides[side]) for side in order}
            if number:  # the first round warms the caches
                ours.append(found["files"])
                theirs.append(found["shards"])
    kind = f"predict {images} JPEG files, shards and predict"
    report(
        [
            Comparison(f"{kind}: wall", [c.wall for c in ours], [c.wall for c in theirs], "s", False, 1.0),
            Comparison(f"{kind}: CPU", [c.cpu for c in ours], [c.cpu for c in theirs], "s", False, 1.0),
        ],
        json_path,
    )


if __name__ == "__main__":
    main()
