"""The whole path on phantoms, in minutes on two cores, with nothing but this project: `make demo`.

    python -m examples.demo OUT

Phantom, shards, sweep, study: the protocol is recipes/study_demo.yaml, whose settings were chosen on phantoms of
another seed. OUT takes the phantom, the shards and the study with its report.html. Run it again after an interruption:
what is finished is kept.
"""

import csv
from pathlib import Path

import click

from experiments.commands import Stopwatch, run

SHORT_SIDE = 80
"""Pixels of the shards' shorter side: the study's images have 32, cut out of windows of 0.6 of the area and more."""


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--chexpert-patients", default=3000, show_default=True)
@click.option("--shenzhen-images", default=300, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Seed of the phantoms.")
def main(out: Path, chexpert_patients: int, shenzhen_images: int, seed: int) -> None:
    """Walk the whole path on phantom radiographs, writing into OUT."""
    watch = Stopwatch()
    phantom, shards = out / "phantom", out / "shards"
    sizes = ("--chexpert-patients", chexpert_patients, "--shenzhen-images", shenzhen_images, "--seed", seed)
    run("cxr-ingest", "make-phantom", phantom, *sizes)
    watch.lap("phantom")
    built = ("--short-side", SHORT_SIDE, "--samples-per-shard", 1024, "--name")
    run(
        "cxr-ingest", "build-shards", phantom / "CheXpert-v1.0-small", shards / "chexpert", "--dataset", "chexpert",
        "--test-source", phantom / "CheXpert-test", *built, "chexpert-phantom",
    )  # fmt: skip
    run(
        "cxr-ingest", "build-shards", phantom / "ChinaSet_AllFiles", shards / "shenzhen", "--dataset", "shenzhen",
        *built, "shenzhen-phantom",
    )  # fmt: skip
    for name in ("chexpert", "shenzhen"):
        run("cxr-ingest", "verify", shards / name)
        run("cxr-ingest", "preview", shards / name, out / f"{name}.png")
    watch.lap("shards")
    study = out / "study"
    where = ("--data", out, "--device", "cpu")
    run("cxr-train", "sweep", "study_demo", "--output", study, *where, "--workers", 2)  # for the cells
    watch.lap("sweep")
    run("cxr-eval", "study", study, *where, "--with-images")
    watch.lap("study")
    click.echo("\nWhat pretraining bought over its random start, AUROC on the test split of phantoms:\n")
    click.echo("\n".join(gains(study / "tables" / "gains.csv")))
    click.echo(
        "\nPhantoms show that the path works, not what MoCo is worth on patients (docs/experiments/demo-gain.md)."
    )
    click.echo(f"\n{watch}")
    click.echo(
        f"Look at {study / 'report.html'}, {out / 'chexpert.png'}, {study / 'runs/resnet18-seed0/two_views.png'}"
    )


def gains(table: Path) -> list[str]:
    """Lines of a table of gains, for a terminal."""
    lines = [f"{'method':9} {'target':15} {'label':18} {'fraction':>8}  gain (95 % interval)"]
    for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines()):
        interval = f" ({float(row['ci_low']):+.3f}, {float(row['ci_high']):+.3f})" if row["ci_low"] else ""
        gain = f"{float(row['value']):+.3f}{interval}" if row["value"] else "undefined"
        lines.append(f"{row['method']:9} {row['target']:15} {row['label']:18} {row['fraction']:>8}  {gain}")
    return lines


if __name__ == "__main__":
    main()
