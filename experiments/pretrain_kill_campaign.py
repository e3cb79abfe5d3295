"""Kill a pretraining run again and again until it is finished all the same, and compare it with an undisturbed one.

    python -m experiments.pretrain_kill_campaign OUT [--kills 50] [--seed 0]

Writes a small dataset and the runs into OUT. Each start of `cxr-train pretrain` is killed with SIGKILL: while it
starts, in a step, or when a random fraction of a checkpoint's bytes is in its temporary file. A run that is finished
is compared with the undisturbed one: both encoders, queue, optimizer, scaler, random state, the loader's position,
lines of metrics (without the times in them) and the backbone, all bit for bit.

OUT/campaign.json keeps what is done: the same command resumes a campaign that was interrupted, in the run it was at.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch

from experiments.campaign_record import begin_or_resume, kills_of, save
from tests.training.small_shards import write_small_dataset
from training.runs.checkpoints import checkpoint_steps, load_checkpoint
from training.runs.directory import read_last
from training.runs.files import BACKBONE_WEIGHTS, CHECKPOINTS
from training.runs.metrics_log import read_metrics

OPTIONS = (
    "--init", "random", "--image-size", "32", "--batch-size", "8", "--queue-size", "40", "--momentum", "0.9",
    "--optimizer", "sgd", "--lr", "0.03", "--log-every", "5", "--threads", "1", "--device", "cpu",
)  # fmt: skip
CHECKPOINT_EVERY = 4
"""Steps; beside the checkpoints after epochs, of 10 steps."""
TIMES = ("images_per_second", "data_wait", "seconds")

Process = subprocess.Popen[bytes]


@dataclass
class Campaign:
    """State of a campaign: the runs and the kills so far, by moment. expected: the content of the undisturbed run."""

    shards: Path
    folder: Path
    dice: random.Random
    goal: int
    epochs: int
    expected: dict[str, Any] = field(default_factory=dict)
    checkpoint_bytes: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    kills_of_runs: list[int] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    def prepare(self) -> None:
        """Train undisturbed."""
        run = self.folder / "undisturbed"
        log = self.folder / "undisturbed.log"
        _expect_success(self._start(run, log), log)
        self.expected = content(run)
        self.checkpoint_bytes = max(path.stat().st_size for path in (run / CHECKPOINTS).iterdir())

    def round(self) -> None:
        """Kill one run until it is finished, or has been killed often enough and finishes undisturbed; compare it."""
        number = len(self.kills_of_runs)
        run, log = self.folder / f"killed-{number}", self.folder / f"killed-{number}.log"
        while not self.finished:
            process = self._start(run, log)
            if not self._reaches_its_moment(process, run, log):
                _expect_success(process, log)
                break
            process.kill()
            if process.wait(60) != -signal.SIGKILL:
                break  # it ended just now
            self.kills[_moment(run, log)] += 1
            self.save()
            click.echo(f"kill {self.kills.total()}: checkpoints of steps {checkpoint_steps(run)}", err=True)
        _expect_success(self._start(run, log), log)
        wrong = sorted(differences(content(run), self.expected))
        if wrong:
            raise click.ClickException(f"{run} is not what an undisturbed run makes: {', '.join(wrong[:9])}")
        self.kills_of_runs.append(self.kills.total() - sum(self.kills_of_runs))
        self.save()
        shutil.rmtree(run)

    def save(self) -> None:
        """Write what is done to the folder's campaign.json."""
        save(self.folder, self.options, self.kills, {"kills_of_runs": self.kills_of_runs})

    @property
    def finished(self) -> bool:
        """Whether the number of kills is reached."""
        return self.kills.total() >= self.goal

    def _reaches_its_moment(self, process: Process, run: Path, log: Path) -> bool:
        """Wait for a random moment; whether the process still runs then."""
        aim = self.dice.random()
        if aim < 0.1:
            return _runs_for(process, self.dice.uniform(0, 6))
        while process.poll() is None and not _trains(log):
            time.sleep(0.005)
        if aim < 0.4:
            return _runs_for(process, self.dice.expovariate(1.5))
        return self._writes(process, run, number=self.dice.choice((1, 2, 3)), fraction=self.dice.random())

    def _writes(self, process: Process, run: Path, *, number: int, fraction: float) -> bool:
        """Wait until a fraction of the number-th checkpoint (or of a later one) is in its temporary file."""
        seen: set[str] = set()
        while process.poll() is None:
            for path in _temporary(run):
                seen.add(path.name)
                if len(seen) >= number and _bytes(path) >= fraction * self.checkpoint_bytes:
                    return True
            time.sleep(0.0005)
        return False

    def _start(self, run: Path, log: Path) -> Process:
        program = "from training.cli.main import main; main()"
        command = [sys.executable, "-c", program, "pretrain", "--shards", self.shards, "--output", run]
        words = (*OPTIONS, "--epochs", self.epochs, "--checkpoint-every", CHECKPOINT_EVERY)
        with log.open("wb") as file:
            return subprocess.Popen([str(word) for word in (*command, *words)], stdout=file, stderr=subprocess.STDOUT)


def content(run: Path) -> dict[str, Any]:
    """Read what a finished run holds, without times."""
    last = read_last(run)
    if last is None or not last.finished:
        raise click.ClickException(f"{run} is not finished: {last}")
    state = load_checkpoint(run, last.step)
    del state["seconds"]
    return {
        "checkpoint": state,
        "metrics": [{key: value for key, value in line.items() if key not in TIMES} for line in read_metrics(run)],
        "backbone": (run / BACKBONE_WEIGHTS).read_bytes(),
    }


def differences(one: object, other: object, place: str = "") -> Iterator[str]:
    """List where two nested values differ in a bit or a type."""
    if type(one) is not type(other):
        yield place
    elif isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if key in one and key in other:
                yield from differences(one[key], other[key], f"{place}/{key}")
            else:
                yield f"{place}/{key}"
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            yield f"{place} (length)"
        for number, (left, right) in enumerate(zip(one, other, strict=False)):
            yield from differences(left, right, f"{place}/{number}")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.dtype != other.dtype or not torch.equal(one, other):
            yield place
    elif one != other:
        yield place


def _expect_success(process: Process, log: Path) -> None:
    if process.wait(1200) != 0:
        raise click.ClickException(f"a run that nobody killed ended with {process.returncode}:\n{log.read_text()}")


def _runs_for(process: Process, seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _trains(log: Path) -> bool:
    """Whether the process has built everything and logged where it starts to train."""
    said = log.read_text()
    return "resumes after step" in said or " weights, " in said


def _temporary(run: Path) -> list[Path]:
    """List the files of a checkpoint that is being written, or whose writing was killed."""
    return list((run / CHECKPOINTS).glob(".step-*.tmp"))


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # it has its name now
        return 0


def _moment(run: Path, log: Path) -> str:
    """Name the moment at which a process was killed, from the files it left."""
    if not _trains(log):
        return "while it started"
    if _temporary(run):
        return "while a checkpoint was written" + ("" if checkpoint_steps(run) else ", the first")
    last = read_last(run)
    if last is None:
        return "in a step, before the first checkpoint"
    return "between a checkpoint and last.json" if last.step < checkpoint_steps(run)[-1] else "in a step"


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--kills", default=50, show_default=True, help="Number of kills.")
@click.option("--seed", default=0, show_default=True, help="Seed of the moments; they depend on the clock, too.")
@click.option(
    "--epochs",
    default=24,
    show_default=True,
    help="Number of epochs, of 10 steps each; a longer run takes more of the kills.",
)
def main(out: Path, kills: int, seed: int, epochs: int) -> None:
    """Kill a pretraining run in OUT at random moments and compare what it ends with."""
    options = {"seed": seed, "epochs": epochs}
    try:
        record = begin_or_resume(out, options)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if not (out / "shards" / "dataset.json").is_file():
        write_small_dataset(out / "shards", train=85)
    done, runs = kills_of(record), record.get("kills_of_runs", [])
    dice = random.Random(f"{seed}/{done.total()}" if done else seed)
    campaign = Campaign(out / "shards", out, dice, kills, epochs, kills=done, kills_of_runs=runs, options=options)
    start = time.monotonic()
    campaign.prepare()
    click.echo(f"undisturbed: {epochs} epochs in {time.monotonic() - start:.0f} s")
    while not campaign.finished:
        campaign.round()
    for moment, count in sorted(campaign.kills.items()):
        click.echo(f"{count:5}  {moment}")
    counts = ", ".join(map(str, campaign.kills_of_runs))
    click.echo(
        f"{campaign.kills.total()} kills (seed {seed}) in {time.monotonic() - start:.0f} s; runs with so many each, "
        f"all equal bit for bit to the undisturbed one: {counts}"
    )


if __name__ == "__main__":
    main()
