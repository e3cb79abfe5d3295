"""Time `sweep --dry-run` of the paper's study, and its preflight, over shards of as many images as the paper has.

    python -m experiments.study_dry_run OUT

Writes data/chexpert (223,414 training images of 8 pixels, each its own patient) and data/shenzhen below OUT. The
preflight ends with what is missing on the machine, such as ImageNet weights.
"""

import subprocess
import sys
import time
from pathlib import Path

import click

from benchmarks.study import labelled_shards
from recipes import shipped_recipes
from training.studies.study_file import read_study

SHENZHEN = {"train": 430, "valid": 100, "test": 132}
"""65 / 15 / 20 % of 662."""


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
def main(out: Path) -> None:
    """Write the shards into OUT, unless they are there, and time both commands."""
    study = read_study(shipped_recipes()["study_moco_cxr"])
    counts = {split: count or 0 for split, count in study.datasets["chexpert"].splits.items()}
    for name, splits, label in (("chexpert", counts, "Pleural Effusion"), ("shenzhen", SHENZHEN, "Tuberculosis")):
        if not (out / "data" / name / "dataset.json").is_file():
            labelled_shards(out / "data" / name, splits, label, side=8)
    for words in (("--dry-run",), ()):
        command = ["sweep", "study_moco_cxr", "--output", out / "study", "--data", out, *words]
        program = [sys.executable, "-c", "from training.cli.main import main; main()", *map(str, command)]
        began = time.monotonic()
        done = subprocess.run(program, capture_output=True, text=True)
        click.echo(f"$ cxr-train {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
        click.echo(f"{time.monotonic() - began:.1f} s, exit status {done.returncode}\n")


if __name__ == "__main__":
    main()
