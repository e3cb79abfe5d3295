"""Kill a sweep of a study again and again until it is finished all the same, and compare its tables.

    python -m experiments.sweep_kill_campaign OUT [--kills 20] [--seed 0]

Builds phantoms and trains a small study twice below OUT. The second time `cxr-train sweep` is stopped by SIGKILL,
SIGTERM or SIGINT at random moments: in pretraining, in a fine-tuning, and while a cell is written; the same command is
run after each until nothing is left to do, and a sweep that is finished before the last kill is followed by another.
Then `cxr-eval study` judges them, and tables/ is compared byte for byte, the weights of each cell by their digest.

OUT/campaign.json keeps what is done: the same command resumes a campaign that was interrupted.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click
import yaml

from experiments.campaign_record import begin_or_resume, kills_of, save
from experiments.commands import run
from training.runs.files import CONFIG, METRICS, MODEL

PRETRAINING, TUNING, WRITING = "in pretraining", "in a fine-tuning", "while a cell is written"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PATIENCE_S = 1800
RUN = "tiny-seed0"

STUDY = {
    "study_version": 1,
    "name": "killed",
    "datasets": {"phantom": {"shards": "shards", "splits": {"train": None, "valid": None, "test": None}}},
    "pretraining": {
        "tiny": {
            **{"recipe": "moco_small_cpu", "shards": ["phantom"], "image_size": 48, "epochs": 6, "batch_size": 8},
            **{"queue_size": 12, "log_every": 1},
        }
    },
    "arms": {"start": {"at": "start"}, "moco": {"at": "end"}},
    "reference": "start",
    "methods": {"probe": {}, "finetune": {"epochs": 6, "min_steps": 8, "batch_size": 8, "lr": 1e-3}},
    "targets": [
        {
            **{"name": "effusion", "dataset": "phantom", "labels": ["Pleural Effusion"], "missing": "zeros"},
            **{"uncertain": "ones", "fractions": [0.5, 1.0], "draws": 3},
        }
    ],
    "evaluation": {"replicates": 400, "family": ["method"]},
}
"""16 cells."""


@dataclass
class Campaign:
    """State of a campaign. kills: so far, by moment and signal."""

    folder: Path
    dice: random.Random
    kills: Counter[str] = field(default_factory=Counter)

    @property
    def output(self) -> Path:
        """Folder of the study that is killed."""
        return self.folder / "killed"

    def kill(self) -> bool:
        """Start the sweep and stop it at a moment that is still to come; False where the study is finished first."""
        number = self.dice.choice(SIGNALS)
        begun = (self.output / "runs" / RUN / CONFIG).is_file()  # a pretraining keeps the threads that it began with
        workers = self.dice.choice((1, 1, 2)) if begun else 1
        moment = self._moment()
        process = sweep_process(self.folder, self.output, workers, "--checkpoint-minutes", 0.02)
        reached = _watch(process, moment[1])
        if reached:
            process.send_signal(number)
        status = process.wait(PATIENCE_S)
        if not reached or status == 0:
            _expect(status, {0}, self.folder)
            return False
        # by the signal itself where it comes while the program still loads: a cell may stand half-done from before
        _expect(status, {-number} if number == signal.SIGKILL else {75, -number}, self.folder)
        self.kills[f"{number.name:8} {moment[0]}"] += 1
        done = len(list(self.output.glob("cells/*/done.json")))
        click.echo(
            f"kill {self.kills.total()}: {number.name} {moment[0]}, {workers} workers, {done} cells done", err=True
        )
        return True

    def _moment(self) -> tuple[str, Callable[[], bool]]:
        """A moment that the sweep can still reach, and how it is recognised."""
        metrics = self.output / "runs" / RUN / METRICS
        if not (metrics.parent / "backbone.safetensors").is_file():
            last = _lines(self.folder / "undisturbed" / "runs" / RUN / METRICS)
            after = min(_lines(metrics) + self.dice.randint(1, 6), last)  # or a sweep would go on to its end from here
            return PRETRAINING, lambda: _lines(metrics) >= after
        if self.dice.random() < 0.5:
            delay, began = self.dice.random() * 2, time.monotonic() + 3600

            def tuning() -> bool:
                nonlocal began
                if self._tuned():
                    began = min(began, time.monotonic())
                return time.monotonic() >= began + delay and self._tuned()

            return TUNING, tuning
        return WRITING, self._is_written

    def _tuned(self) -> bool:
        return any(
            not (path.parent / MODEL).is_file() and time.time() - path.stat().st_mtime < 60
            for path in self.output.glob(f"cells/*finetune*/{METRICS}")
        )

    def _is_written(self) -> bool:
        """Whether a file of a cell is being written just now, or the model is there and its done-record is not."""
        for folder in self.output.glob("cells/*"):
            if (folder / "done.json").is_file():
                continue
            for path in (*folder.glob(".model*.tmp"), folder / "model.safetensors"):
                with contextlib.suppress(OSError):  # what an earlier kill left is older
                    if time.time() - path.stat().st_mtime < 1:
                        return True
        return False


def sweep_process(folder: Path, output: Path, workers: int = 1, *words: object) -> "subprocess.Popen[bytes]":
    """`cxr-train sweep` in a process of its own; what it says goes to OUT/sweep.log.

    Each worker has one thread: sums of another number of threads are rounded otherwise.
    """
    shared = ("sweep", folder / "study.yaml", "--output", output, "--data", folder, "--device", "cpu")
    words = ("--threads", workers, "--workers", workers, *words)
    program = "from training.cli.main import main; main()"
    with (folder / "sweep.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", program, *map(str, (*shared, *words))], stdout=log, stderr=subprocess.STDOUT
        )


def finished(folder: Path, output: Path) -> None:
    """Run the sweep until nothing is left to do: a worker of a killed one may still have a cell."""
    deadline = time.monotonic() + PATIENCE_S
    cells = 0
    while not cells or len(list(output.glob("cells/*/done.json"))) < cells:
        _expect(sweep_process(folder, output).wait(PATIENCE_S), {0}, folder)
        cells = len(list(output.glob("cells/*/cell.json")))
        if time.monotonic() > deadline:
            raise click.ClickException(f"{output} is not finished: see {folder / 'sweep.log'}")


def differences(one: Path, other: Path) -> list[str]:
    """Files of two studies that differ: tables as bytes, the models of cells by their digest."""
    names = {
        path.relative_to(folder)
        for folder in (one, other)
        for pattern in ("tables/*", f"cells/*/{MODEL}")
        for path in folder.glob(pattern)
    }
    return sorted(str(name) for name in names if _content(one / name) != _content(other / name))


def _content(path: Path) -> object:
    if not path.is_file():
        return None
    return json.loads(path.read_bytes())["digest"] if path.name == MODEL else path.read_bytes()


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _watch(process: "subprocess.Popen[bytes]", reached: Callable[[], bool]) -> bool:
    """Wait for a moment; False where the process ends before it."""
    while process.poll() is None:
        if reached():
            return True
        time.sleep(0.001)
    return False


def _expect(status: int, wanted: set[int], folder: Path) -> None:
    if status not in wanted:
        raise click.ClickException(f"a sweep ended with {status}: see {folder / 'sweep.log'}")


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--kills", default=20, show_default=True, help="Number of kills.")
@click.option("--seed", default=0, show_default=True, help="Seed of the moments; they depend on the clock, too.")
@click.option("--patients", default=60, show_default=True, help="Number of phantom patients.")
@click.option("--fine-tunings", default=6, show_default=True, help="Number of epochs of a fine-tuning.")
@click.option("--draws", default=3, show_default=True, help="Number of draws at half of the labels.")
def main(out: Path, kills: int, seed: int, patients: int, fine_tunings: int, draws: int) -> None:
    """Kill a sweep in OUT at random moments and compare the tables that it ends with."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    start = time.monotonic()
    options = {"seed": seed, "patients": patients, "fine_tunings": fine_tunings, "draws": draws}
    try:
        done = kills_of(begin_or_resume(out, options))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    run("cxr-ingest", "make-phantom", out / "phantom", "--chexpert-patients", patients, "--shenzhen-images", 0)
    built = ("--dataset", "chexpert", "--name", "phantom", "--short-side", 64, "--samples-per-shard", 32)
    split = ("--valid-fraction", 0.2, "--test-fraction", 0.3)
    run("cxr-ingest", "build-shards", out / "phantom" / "CheXpert-v1.0-small", out / "shards", *built, *split)
    STUDY["targets"][0]["draws"] = draws  # type: ignore[index]
    STUDY["methods"]["finetune"]["epochs"] = fine_tunings  # type: ignore[index]
    (out / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False), encoding="utf-8")
    finished(out, out / "undisturbed")
    click.echo(f"undisturbed: {time.monotonic() - start:.0f} s")
    campaign = Campaign(out, random.Random(f"{seed}/{done.total()}" if done else seed), done)
    run("cxr-eval", "study", out / "undisturbed", "--data", out, "--device", "cpu")
    sweeps = 0
    while campaign.kills.total() < kills:
        if sweeps:
            shutil.rmtree(campaign.output)
        before, sweeps = campaign.kills.total(), sweeps + 1
        while campaign.kills.total() < kills and campaign.kill():
            save(out, options, campaign.kills, {})
        finished(out, campaign.output)
        run("cxr-eval", "study", campaign.output, "--data", out, "--device", "cpu")
        wrong = differences(out / "undisturbed", campaign.output)
        if wrong:
            raise click.ClickException(f"these differ: {', '.join(wrong)}")
        if campaign.kills.total() == before:
            raise click.ClickException("a whole sweep met no moment to be killed at")
    for moment, count in sorted(campaign.kills.items()):
        click.echo(f"{count:5}  {moment}")
    click.echo(
        f"{campaign.kills.total()} kills (seed {seed}) of {sweeps} sweeps in {time.monotonic() - start:.0f} s; tables "
        "byte for byte those of the undisturbed study, the models of all cells too"
    )


if __name__ == "__main__":
    main()
