"""Compare settings of a small MoCo run on a CPU: one change at a time, judged on validation patients.

    python -m experiments.small_settings DATA OUT [--setting base --setting zoom ...]

DATA and OUT are as for experiments.five_seeds, with the same shards. The initial weights have a seed that five_seeds
does not use, and only the probes' results on the valid splits are read. What is finished is kept, so several calls
with one --setting each may use the same OUT; a call with all of them prints the table.
"""

import json
import time
from pathlib import Path

import click

from benchmarks.lightly_moco import LightlySettings
from experiments.commands import RANDOM, Study, Task, build_shards, run
from experiments.five_seeds import PRETRAINED_ON, SHORT_SIDE, questions
from shards.format.dataset import open_datasets

SEED = 100
EPOCHS = 2

BASE = {
    "init": "random", "image-size": 64, "batch-size": 64, "epochs": EPOCHS, "optimizer": "sgd", "lr": 0.03,
    "weight-decay": 1e-4, "schedule": "cosine", "queue-size": 2048, "momentum": 0.99, "batch-norm": "none",
}  # fmt: skip

CHANGES: dict[str, dict[str, object]] = {
    "base": {},
    "split": {"batch-norm": "split"},
    "zoom": {"scale": (1.0, 1.5), "translate": 0.1},
    "adam": {"optimizer": "adam", "lr": 1e-3},
    "slow": {"momentum": 0.996},
    "queue": {"queue-size": 1024},
    "batch": {"batch-size": 32},
    "batch-slow": {"batch-size": 32, "momentum": 0.996},
    "batch-split": {"batch-size": 32, "batch-norm": "split"},
    "batch-queue": {"batch-size": 32, "queue-size": 1024},
    "turn": {"degrees": 20},
    "rate": {"lr": 0.06},
    "small": {"image-size": 48, "epochs": 3},  # about as much time
}
"""Changes of each of our settings against BASE."""

LIGHTLY = {
    "lightly": (LightlySettings(memory_bank=2048), 64),
    "lightly-rate": (LightlySettings(memory_bank=2048, lr=0.03), 64),
    "lightly-batch": (LightlySettings(memory_bank=2048, lr=0.03), 32),
    "lightly-ours": (LightlySettings(memory_bank=2048, lr=0.03, weight_decay=1e-4, temperature=0.2), 64),
}
"""lightly's settings and batch size: the tutorial's, except for the memory bank, which is as long as our queue; then
with more and more of our settings."""

JUDGED = (("kermany", 0.01), ("kermany", 1.0), ("nih", 1.0), ("shenzhen", 0.0625), ("shenzhen", 1.0))


@click.command(context_settings={"show_default": True})
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--setting",
    "settings",
    multiple=True,
    type=click.Choice([RANDOM, *CHANGES, *LIGHTLY]),
    default=(RANDOM, *CHANGES, *LIGHTLY),
)
@click.option("--threads", default=2, help="Number of CPU threads of training.")
def main(data: Path, out: Path, settings: tuple[str, ...], threads: int) -> None:
    """Pretrain with each setting on the radiographs in DATA, probe, and print AUROCs of the valid splits."""
    shards = build_shards(data, out, SHORT_SIDE)
    lines = []
    for name in settings:
        began = time.monotonic()
        size = int(str((BASE | CHANGES.get(name, {}))["image-size"]))
        folder = out / "settings" / name
        if name != RANDOM:
            pretrain(name, shards, folder / "run", threads)
        shared = ("--image-size", size, "--seed", SEED, "--device", "cpu", "--threads", threads)
        backbones = {name: RANDOM if name == RANDOM else str(folder / "run")}
        study = Study(folder, shards, backbones, tuple(str(word) for word in shared))
        found = [
            valid_auroc(study, task, fraction, name)
            for task in questions(out)
            for fraction in task.fractions
            if (task.dataset, fraction) in JUDGED
        ]
        figures = " ".join(f"{value:.3f}" for value in found)
        lines.append(f"{name:13} {sum(found) / len(found):.4f}   {figures}   {time.monotonic() - began:.0f} s")
    judged = ", ".join(f"{dataset} {fraction * 100:g} %" for dataset, fraction in JUDGED)
    click.echo(f"\nAUROC on valid: setting, mean; {judged}\n" + "\n".join(lines))


def pretrain(name: str, shards: dict[str, Path], output: Path, threads: int) -> None:
    """Train our run or lightly's with a setting, from the random weights of SEED."""
    roots = [shards[dataset] for dataset in PRETRAINED_ON]
    if name in CHANGES:
        options = [
            word
            for key, value in (BASE | CHANGES[name]).items()
            for word in (f"--{key}", *(value if isinstance(value, tuple) else (value,)))
        ]
        run(
            "cxr-train", "pretrain", *(word for root in roots for word in ("--shards", root)), "--output", output,
            *options, "--seed", SEED, "--device", "cpu", "--threads", threads,
        )  # fmt: skip
        return
    from experiments.lightly_run import LightlyRun, pretrain_with_lightly

    settings, batch_size = LIGHTLY[name]
    pretrain_with_lightly(
        open_datasets(roots),
        output,
        LightlyRun(settings, seed=SEED, epochs=EPOCHS, batch_size=batch_size, image_size=64, threads=threads),
    )


def valid_auroc(study: Study, task: Task, fraction: float, arm: str) -> float:
    """Average the AUROC of a task's first label on the valid split over its draws."""
    found = []
    for model in study.fit(task, fraction, arm):
        results = json.loads((model / "model.json").read_text(encoding="utf-8"))["results"]
        found.append(float(results[task.labels[0]]["valid"]["auroc"]))
    return sum(found) / len(found)


if __name__ == "__main__":
    main()
