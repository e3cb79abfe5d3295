"""Run the project's own commands one after the other in this process, so that torch and DALI are imported once.

Shared by the experiments and the demo. Each command is printed as a person would type it.
"""

import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from evaluation.cli.main import main as cxr_eval
from ingest.cli.main import main as cxr_ingest
from training.cli.main import main as cxr_train

COMMANDS: dict[str, click.Group] = {"cxr-ingest": cxr_ingest, "cxr-train": cxr_train, "cxr-eval": cxr_eval}

MOCO, RANDOM, LIGHTLY = "moco", "random", "lightly"


def run(program: str, *words: object) -> None:
    """Run one command in this process. Exits with its message if it fails."""
    line = [str(word) for word in words]
    click.echo(click.style(f"\n$ {shlex.join([program, *line])}", bold=True))
    try:
        status = COMMANDS[program].main(line, prog_name=program, standalone_mode=False)
    except click.ClickException as error:
        raise SystemExit(f"{program} {line[0]} failed: {error.format_message()}") from error
    if isinstance(status, int) and status:
        raise SystemExit(status)


def build_shards(data: Path, out: Path, short_side: int) -> dict[str, Path]:
    """Build shards of the radiographs in `data` (nih-as-chexpert/, kermany-as-chexpert/, shenzhen/), by name.

    Those that are in `out` are kept.
    """
    shards = {name: out / "shards" / name for name in ("nih", "kermany", "shenzhen")}
    for name in ("nih", "kermany"):
        run(
            "cxr-ingest", "build-shards", data / f"{name}-as-chexpert", shards[name], "--dataset", "chexpert",
            "--name", name, "--short-side", short_side, "--test-fraction", 0.2,
        )  # fmt: skip
    run(
        "cxr-ingest", "build-shards", data / "shenzhen", shards["shenzhen"], "--dataset", "shenzhen",
        "--name", "shenzhen", "--short-side", short_side,
    )  # fmt: skip
    return shards


@dataclass(frozen=True)
class Task:
    """A task for a backbone: labels of a dataset, by a method, at label fractions, with a number of draws each."""

    method: str
    dataset: str
    labels: tuple[str, ...]
    fractions: tuple[float, ...]
    draws: int = 1
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the task's folders and results."""
        return f"{self.method}-{self.dataset}-{'+'.join(self.labels)}".replace(" ", "_")


@dataclass(frozen=True)
class Study:
    """A study of some backbones whose weights another program may have made, lightly's of each seed: no study file has
    such an arm. Predictions that are there are kept: a folder belongs to one set of backbones.

    folder: where everything is written. shards: folder of each dataset, by name. backbones: by arm, for
    `--backbone-from`. shared: options of every probe and fine-tuning (image size, threads, ...).
    """

    folder: Path
    shards: dict[str, Path]
    backbones: dict[str, str]
    shared: tuple[str, ...]

    def answer(self, task: Task) -> None:
        """Train, predict and compare every arm with the random start, at each fraction."""
        for fraction in task.fractions:
            predictions = {arm: list(self._predictions(task, fraction, arm)) for arm in self.backbones}
            for arm in self.backbones:
                if arm != RANDOM:
                    result = self.folder / "results" / f"{task.name}-{fraction:g}-{arm}.json"
                    compare(self.shards[task.dataset], predictions[arm], predictions[RANDOM], result)

    def models(self, task: Task, fraction: float, arm: str) -> list[Path]:
        """List the model directories of an arm, one a draw; the whole set has draw 0 only."""
        folder = self.folder / "models" / task.name / f"{fraction:g}"
        return [folder / f"{arm}-{draw}" for draw in range(task.draws if fraction < 1 else 1)]

    def fit(self, task: Task, fraction: float, arm: str) -> list[Path]:
        """Train the models of an arm, and return their directories."""
        source = self.source(arm)
        # A pretraining run has its own size, and so has what is prepared like it.
        shared = _without(self.shared, "--image-size") if any(Path(word).is_dir() for word in source) else self.shared
        models = self.models(task, fraction, arm)
        for draw, model in enumerate(models):
            run(
                "cxr-train", task.method, "--shards", self.shards[task.dataset],
                *source, "--labels", ",".join(task.labels),
                "--label-fraction", f"{fraction:g}", "--draw", draw, *shared, *task.options, "--output", model,
            )  # fmt: skip
        return models

    def source(self, arm: str) -> tuple[str, ...]:
        """Options that name an arm's backbone. Arms differ in their weights only: where there is a run of ours, the
        random arm is what that run began with."""
        pretrained = self.backbones.get(MOCO)
        if pretrained is not None and arm == RANDOM:
            return ("--backbone-from", pretrained, "--at", "start")
        return ("--backbone-from", self.backbones[arm])

    def _predictions(self, task: Task, fraction: float, arm: str) -> Iterator[Path]:
        for model in self.fit(task, fraction, arm):
            table = model / "test.csv"
            if not table.with_name("test.csv.json").is_file():  # written after the table
                run(
                    "cxr-eval", "predict", "--shards", self.shards[task.dataset], "--model", model,
                    "--output", table, *_given(self.shared, "--threads"),
                )  # fmt: skip
            yield table


def compare(truth: Path, predictions: Sequence[Path], baseline: Sequence[Path], result: Path) -> None:
    """Write a bootstrap comparison of two arms, each averaged over its tables of predictions."""
    given = [word for path in predictions for word in ("--model", path)]
    against = [word for path in baseline for word in ("--baseline", path)]
    run("cxr-eval", "bootstrap", "--labels", truth, *given, *against, "--output", result)


class Stopwatch:
    """Measure seconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """Record the time since the last lap under `name`."""
        now = time.monotonic()
        self.laps[name] = now - self._last
        self._last = now

    def __str__(self) -> str:
        parts = [f"{name} {seconds:.0f} s" for name, seconds in self.laps.items()]
        return ", ".join([*parts, f"in all {sum(self.laps.values()):.0f} s"])


def _given(words: Sequence[str], option: str) -> tuple[str, ...]:
    """Keep the option with its value, if it is among the words."""
    place = words.index(option) if option in words else len(words)
    return tuple(words[place : place + 2])


def _without(words: Sequence[str], option: str) -> tuple[str, ...]:
    """Leave the option and its value out of the words."""
    place = words.index(option) if option in words else len(words)
    return (*words[:place], *words[place + 2 :])
