"""Kill builds at random moments until they are finished all the same, and compare each tree with an undisturbed one.

    python -m experiments.build_kill_campaign OUT [--kills 200] [--seed 0]

Writes a phantom dataset with broken, missing and equal images into OUT, and the builds. Two kinds of round alternate: a
build with two workers, in which the parent or a worker is killed; and an array of tasks at once, two of them with
the same shards, then finalize, in which a task or finalize is killed. The signal is always SIGKILL.

OUT/campaign.json keeps what is done: the same command resumes a campaign that was interrupted, at its last whole round.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from experiments.campaign_record import begin_or_resume, kills_of, save
from ingest.phantom import make_phantom
from ingest.workers import PROCESS_NAME
from tests.ingest.archives.layouts import tree

OPTIONS = (
    "--dataset", "chexpert", "--name", "phantom", "--short-side", "160", "--samples-per-shard", "16",
    "--max-rejected", "0.2", "--drop-duplicates",
)  # fmt: skip
TASKS = (0, 1, 2, 1)
"""Indices of the tasks of an array that run at once: two have the same shards."""

Process = subprocess.Popen[str]


@dataclass
class Campaign:
    """State of a campaign: the source, its undisturbed tree, and the kills so far, by victim and stage of the build."""

    source: Path
    out: Path
    dice: random.Random
    goal: int
    expected: dict[str, bytes] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    trees: int = 0

    def prepare(self) -> None:
        """Build undisturbed, in one process and as an array, and measure how long each takes."""
        for name, run in (("build", self._start_build(self.out, 2)), ("finalize", None)):
            start = time.monotonic()
            if run is None:
                undisturbed = self.out.with_name("array")
                for index in range(max(TASKS) + 1):
                    _expect_success(self._start_task(undisturbed, index))
                self.seconds["task"] = (time.monotonic() - start) / 2
                start = time.monotonic()
                run = self._start_finalize(undisturbed)
            _expect_success(run)
            self.seconds[name] = time.monotonic() - start
        self.expected = tree(self.out)
        self.compare(self.out.with_name("array"))
        shutil.rmtree(self.out)

    def round_of_a_build(self) -> None:
        """Kill the parent or a worker of a build, run it again, until it is finished."""
        while True:
            process = self._start_build(self.out, 2)
            if not self._survives(process, self.seconds["build"]):
                victim, target = "parent", process.pid
                workers = _workers(process.pid)
                if workers and self.dice.random() < 0.5:
                    victim, target = "worker", self.dice.choice(workers)
                self._kill(victim, target)
                _, complaint = process.communicate(timeout=60)
                _wait_for_the_end_of(workers)
                if "Traceback" in complaint and victim == "worker":
                    raise click.ClickException(f"a killed worker left a traceback:\n{complaint}")
            elif _succeeds(process):
                break
            if self.finished:
                _expect_success(self._start_build(self.out, 2))
                break
        self.compare(self.out)

    def round_of_an_array(self) -> None:
        """Kill one task of an array at once, run the unfinished again, until all are; then the same with finalize."""
        waiting = list(TASKS)
        while waiting:
            processes = [(index, self._start_task(self.out, index)) for index in waiting]
            if not self.finished and not self._survives(processes[0][1], self.seconds["task"]):
                self._kill("task", self.dice.choice([one.pid for _, one in processes if one.poll() is None] or [0]))
            waiting = [index for index, one in processes if not _succeeds(one)]
        process = self._start_finalize(self.out)
        if not self.finished and not self._survives(process, self.seconds["finalize"]):
            self._kill("finalize", process.pid)
        if not _succeeds(process):
            _expect_success(self._start_finalize(self.out))
        self.compare(self.out)

    @property
    def finished(self) -> bool:
        """Whether the number of kills is reached."""
        return self.kills.total() >= self.goal

    def compare(self, out: Path) -> None:
        """Raise unless a tree is that of the undisturbed build, and remove it."""
        found = tree(out)
        wrong = sorted(
            name for name in found.keys() | self.expected.keys() if found.get(name) != self.expected.get(name)
        )
        if wrong or (out / ".build").exists():
            raise click.ClickException(f"{out} is not what an undisturbed build makes: {', '.join(wrong[:9])}")
        self.trees += 1
        shutil.rmtree(out)

    def _survives(self, process: Process, seconds: float) -> bool:
        """Wait for a random moment of a run, mostly one when it has begun to write; whether it has ended before."""
        before = _names(self.out)
        if self.dice.random() < 0.8:
            while process.poll() is None and _names(self.out) == before:
                time.sleep(0.002)
            seconds /= 2
        try:
            process.wait(self.dice.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _kill(self, victim: str, target: int) -> None:
        moment = _moment(self.out)
        try:
            if target:
                os.kill(target, signal.SIGKILL)
                self.kills[victim, moment] += 1
        except ProcessLookupError:  # ended just now
            return

    def _start_build(self, out: Path, workers: int) -> Process:
        return _start("build-shards", self.source, out, *OPTIONS, "--workers", workers)

    def _start_task(self, out: Path, index: int) -> Process:
        part = ("--task-index", index, "--task-count", max(TASKS) + 1)
        return _start("build-shards", self.source, out, *OPTIONS, "--workers", 1, *part)

    def _start_finalize(self, out: Path) -> Process:
        return _start("finalize", out)


def make_source(folder: Path, patients: int) -> Path:
    """A phantom of CheXpert with what a build must also get right: bad images, and equal ones across splits."""
    root = make_phantom(folder, chexpert_patients=patients, shenzhen_images=0, seed=0, full_size=False).chexpert
    if root is None:
        raise click.ClickException(f"{folder} holds no phantom of CheXpert")
    train, valid = (sorted((root / split).rglob("*.jpg")) for split in ("train", "valid"))
    train[1].write_bytes(b"")
    train[2].write_bytes(train[2].read_bytes()[:500])
    train[3].unlink(missing_ok=True)
    os.mkfifo(train[3])
    train[4].unlink(missing_ok=True)
    train[4].symlink_to("/dev/zero")
    for number in range(5, 8):
        shutil.copy(train[number], train[-number])
    shutil.copy(valid[0], train[8])
    return root


def _start(*words: object) -> Process:
    command = [sys.executable, "-m", "ingest.cli.main", *(str(word) for word in words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _succeeds(process: Process) -> bool:
    """Wait for the end. A run must not fail unless it was killed itself; a killed worker is no reason."""
    _, complaint = process.communicate(timeout=300)
    if process.returncode not in (0, -signal.SIGKILL):
        raise click.ClickException(f"a run that nobody killed failed:\n{complaint}")
    return process.returncode == 0


def _expect_success(process: Process) -> None:
    if not _succeeds(process):
        raise click.ClickException(
            "a run was killed by another process, perhaps for lack of memory: free some and run it again"
        )


def _workers(parent: int) -> list[int]:
    """List the worker processes of a build."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(one) for one in children if PROCESS_NAME in Path(f"/proc/{one}/cmdline").read_text()]
    except FileNotFoundError:
        return []


def _wait_for_the_end_of(workers: Sequence[int]) -> None:
    """Wait until the workers of a killed parent have ended by themselves."""
    deadline = time.monotonic() + 20
    while any(_is_alive(one) for one in workers):
        if time.monotonic() > deadline:
            raise click.ClickException(f"workers {workers} outlived their parent by 20 s")
        time.sleep(0.005)


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _names(out: Path) -> set[str]:
    return {path.name for folder in (out, out / ".build", out / ".build" / "done") for path in folder.glob("*")}


def _moment(out: Path) -> str:
    """Name the stage of the build in `out`."""
    if (out / "dataset.json").is_file():
        return "after dataset.json"
    if not (out / ".build" / "plan.parquet").is_file():
        return "before the plan"
    return "while filling" if any((out / ".build" / "done").glob("*.json")) else "before the first shard"


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--kills", default=200, show_default=True, help="Number of kills.")
@click.option(
    "--seed", default=0, show_default=True, help="Seed of the moments and victims; they depend on the clock, too."
)
@click.option(
    "--patients", default=250, show_default=True, help="Number of patients of the phantom; more make longer builds."
)
def main(out: Path, kills: int, seed: int, patients: int) -> None:
    """Kill builds of a phantom in OUT at random moments and compare what they end with."""
    options = {"seed": seed, "patients": patients}
    try:
        record = begin_or_resume(out, options)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    for unfinished in (out / "phantom", out / "built", out / "array"):  # the phantom would be damaged twice
        shutil.rmtree(unfinished, ignore_errors=True)
    done = kills_of(record)
    dice = random.Random(f"{seed}/{done.total()}" if done else seed)
    campaign = Campaign(make_source(out / "phantom", patients), out / "built", dice, kills, kills=done)
    campaign.prepare()
    campaign.trees += record.get("trees", 0)
    click.echo(f"{len(campaign.expected)} files; undisturbed: {campaign.seconds}")
    while not campaign.finished:
        campaign.round_of_a_build()
        campaign.round_of_an_array()
        save(out, options, campaign.kills, {"trees": campaign.trees})
        click.echo(f"{campaign.kills.total()} kills, {campaign.trees} trees equal byte for byte", err=True)
    for (victim, moment), count in sorted(campaign.kills.items()):
        click.echo(f"{count:5}  {victim:9} {moment}")
    click.echo(
        f"{campaign.kills.total()} kills (seed {seed}); {campaign.trees} finished trees, all equal byte for byte"
    )


if __name__ == "__main__":
    main()
