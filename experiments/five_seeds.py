"""Measure what a small MoCo run on a CPU is worth: random starts, our pretraining and lightly's from each, and probes.

    python -m experiments.five_seeds DATA OUT [--seed 0 --seed 1 ...]

DATA holds nih-as-chexpert/, kermany-as-chexpert/ and shenzhen/ (none of them part of the project). Each seed gives
initial weights, from which `cxr-train pretrain --config moco_small_cpu` and lightly's MoCo both start, over the same
images and equally many. Run it again after an interruption: what is finished is kept. So several calls with one --seed
each may use the same OUT, once the shards are there; a last call with all seeds then only compares.

Intervals are of the mean over draws and seeds. They resample patients, and include the variation between seeds, and
between draws, where there are three or more; the gains' standard deviation over the seeds stands beside.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from benchmarks.lightly_moco import LightlySettings, lightly_is_there
from experiments.commands import LIGHTLY, MOCO, RANDOM, Stopwatch, Study, Task, build_shards, compare, run
from shards.format.dataset import open_datasets

SHORT_SIDE = 80
IMAGE_SIZE = 64
DRAWS = 5
RECIPE = "moco_small_cpu"
PRETRAINED_ON = ("nih", "kermany")

LIGHTLY_SETTINGS = LightlySettings(lr=0.03)
"""The tutorial's, but for its rate, 0.06: the best that experiments.small_settings found, as the recipe is of ours."""

QUESTIONS = (
    ("kermany", ("Pneumonia",), (0.01, 0.1, 1.0)),
    ("nih", ("Pneumonia", "Edema"), (1.0,)),
    ("shenzhen", ("Tuberculosis",), (0.0625, 0.25, 1.0)),
)


@click.command(context_settings={"show_default": True})
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--seed", "seeds", multiple=True, type=int, default=(0, 1, 2, 3, 4), help="Seed of the initial weights; repeatable."
)
@click.option("--epochs", type=int, help="Number of epochs of both sides.  [default: the recipe's]")
@click.option("--threads", default=2, help="Number of CPU threads of training, on both sides.")
def main(data: Path, out: Path, seeds: tuple[int, ...], epochs: int | None, threads: int) -> None:
    """Pretrain, probe and compare from each seed's random start on the radiographs in DATA, writing into OUT."""
    watch = Stopwatch()
    shards = build_shards(data, out, SHORT_SIDE)
    watch.lap("shards")
    tasks = questions(out)
    studies = []
    for seed in seeds:
        study = seed_study(out, shards, seed, threads)
        pretrain_both(study, seed, epochs, threads)
        watch.lap(f"pretraining of seed {seed}")
        for task in tasks:
            study.answer(task)
        watch.lap(f"probes of seed {seed}")
        studies.append(study)
    lines = [line for task in tasks for line in gains(out, studies, task)]
    click.echo("\n" + "\n".join(lines) + f"\n\n{watch}")


def questions(out: Path) -> list[Task]:
    """List the tasks for a backbone. Embeddings are kept in OUT."""
    cache = ("--cache", str(out / "embeddings"))
    return [Task("probe", dataset, labels, fractions, DRAWS, cache) for dataset, labels, fractions in QUESTIONS]


def seed_study(out: Path, shards: dict[str, Path], seed: int, threads: int) -> Study:
    """Make the study of one random start. Its arms: the start itself, ours, and lightly's if lightly is installed."""
    folder = out / f"seed-{seed}"
    backbones = {RANDOM: RANDOM, MOCO: str(folder / MOCO)}
    if lightly_is_there() or (folder / LIGHTLY).is_dir():
        backbones[LIGHTLY] = str(folder / LIGHTLY)
    else:
        click.echo("lightly is not installed, so its column stays empty: pip install lightly==1.6.0", err=True)
    shared = ("--image-size", IMAGE_SIZE, "--seed", seed, "--device", "cpu", "--threads", threads)
    return Study(folder, shards, backbones, tuple(str(word) for word in shared))


def pretrain_both(study: Study, seed: int, epochs: int | None, threads: int) -> None:
    """Train our run from the random start, then lightly's, with the same epochs, batch size and image size."""
    from experiments.lightly_run import (  # here, so that ingest's workers do not load torch
        LightlyRun,
        pretrain_with_lightly,
    )
    from training.runs.directory import read_config, whole_option

    roots = [study.shards[name] for name in PRETRAINED_ON]
    ours = Path(study.backbones[MOCO])
    run(
        "cxr-train", "pretrain", "--config", RECIPE, *(word for root in roots for word in ("--shards", root)),
        *(() if epochs is None else ("--epochs", epochs)),
        "--output", ours, "--seed", seed, "--device", "cpu", "--threads", threads,
    )  # fmt: skip
    config = read_config(ours)
    assert config is not None
    if LIGHTLY in study.backbones:
        pretrain_with_lightly(
            open_datasets(roots),
            Path(study.backbones[LIGHTLY]),
            LightlyRun(
                replace(LIGHTLY_SETTINGS, memory_bank=whole_option(ours, config, "queue_size")),
                seed=seed,
                epochs=whole_option(ours, config, "epochs"),
                batch_size=whole_option(ours, config, "batch_size"),
                image_size=whole_option(ours, config, "image_size"),
                threads=threads,
            ),
        )


def gains(out: Path, studies: Sequence[Study], task: Task) -> list[str]:
    """Compare the arms over all seeds: a line of text for each label, fraction and pair of arms."""
    pairs = [(MOCO, RANDOM)]
    if all(LIGHTLY in study.backbones for study in studies):
        pairs += [(LIGHTLY, RANDOM), (MOCO, LIGHTLY)]
    lines = []
    for fraction in task.fractions:
        for arm, baseline in pairs:
            path = out / "results" / f"{task.name}-{fraction:g}-{arm}-{baseline}.json"
            predictions, against = (
                [model / "test.csv" for study in studies for model in study.models(task, fraction, side)]
                for side in (arm, baseline)
            )
            compare(studies[0].shards[task.dataset], predictions, against, path)
            result = json.loads(path.read_text(encoding="utf-8"))["labels"]
            for label in task.labels:
                by_seed = [seed_gain(study, task, fraction, label, arm, baseline) for study in studies]
                lines.append(
                    f"{task.dataset:9} {label:12} {fraction * 100:>6g} %  {arm:>7} - {baseline:7} "
                    + described(result[label], by_seed)
                )
    return lines


def seed_gain(study: Study, task: Task, fraction: float, label: str, arm: str, baseline: str) -> float:
    """Compute the difference of two arms of one seed, from their gains over the random start."""
    found = [0.0, 0.0]
    for side, name in enumerate((arm, baseline)):
        if name != RANDOM:
            path = study.folder / "results" / f"{task.name}-{fraction:g}-{name}.json"
            found[side] = json.loads(path.read_text(encoding="utf-8"))["labels"][label]["differences"]["model"]["value"]
    return found[0] - found[1]


def described(result: dict[str, Any], by_seed: Sequence[float]) -> str:
    """Describe one label's comparison over all seeds: both arms, difference and interval, each seed and the spread."""
    difference = result["differences"]["model"]
    interval = "no interval" if difference["ci"] is None else "({:+.3f}, {:+.3f})".format(*difference["ci"])
    spread = f"{statistics.stdev(by_seed):.3f}" if len(by_seed) > 1 else "-"
    return (
        f"{result['arms']['model']['value']:.3f} {result['arms']['baseline']['value']:.3f}  {difference['value']:+.3f} "
        f"{interval}  sd {spread}  seeds " + " ".join(f"{value:+.3f}" for value in by_seed)
    )


if __name__ == "__main__":
    main()
