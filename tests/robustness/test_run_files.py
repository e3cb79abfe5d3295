"""The small files of a run, each damaged in each way: the run resumes, or is refused with the file and what to do."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from click.testing import Result

from shards.loading.loaders import TwoViewBatch
from tests.robustness.commands import CPU, PRETRAINING, refused, run_eval, run_train
from tests.training.labelled_shards import BACKBONE, LABELS
from training.downstream.fine_tuning import FineTuning
from training.pretraining.trainer import Trainer
from training.processes.time_limit import SLURM_END, TimeLimit
from training.runs.checkpoints import (
    FORMAT_VERSION,
    checkpoint_path,
    checkpoint_steps,
    load_checkpoint,
    save_checkpoint,
)
from training.runs.directory import read_last
from training.runs.metrics_lines import read_metrics
from training.seen_patients import read_seen

STEPS = 5
"""Of an epoch, and of the whole pretraining."""
STOPPED = ("--time-limit", 30)
"""Less than the margin, so that each start takes one step."""


@dataclass(frozen=True)
class Kind:
    """A training with files. command: trains into a folder, the same command resumes. left: steps of the whole."""

    command: Callable[[Path, Path], tuple[object, ...]]
    done: str


KINDS: dict[str, Kind] = {
    "pretrain": Kind(
        lambda shards, out: (
            *("pretrain", "--shards", shards, "--output", out, *PRETRAINING, "--epochs", 1, "--checkpoint-every", 1),
            *CPU,
        ),
        "backbone.json",
    ),
    "finetune": Kind(
        lambda shards, out: (
            *("finetune", "--shards", shards, "--output", out, *BACKBONE, "--labels", LABELS[0], "--epochs", 2),
            *("--min-steps", 3, "--batch-size", 8, "--lr", 1e-3, "--optimizer", "sgd"),
        ),
        "model.json",
    ),
}


@pytest.fixture(scope="module")
def stopped(labelled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pretraining after two of five steps, and a fine-tuning in its second epoch. Do not change them: copy them."""
    found = {}
    for name, kind in KINDS.items():
        found[name] = tmp_path_factory.mktemp("stopped") / name
        while len(read_metrics(found[name])) < (2 if name == "pretrain" else 1):
            result = run_train(*kind.command(labelled_root, found[name]), *STOPPED)
            assert result.exit_code == 75, result.output
    return found


def copied(run: Path, to: Path) -> Path:
    """A copy of a run whose large files are the same ones."""
    shutil.copytree(
        run, to, copy_function=lambda a, b: os.link(a, b) if Path(a).suffix == ".pt" else shutil.copy2(a, b)
    )
    return to


def steps_of(kind: str, run: Path) -> int:
    """Steps of the whole training, of a run that is finished."""
    return STEPS if kind == "pretrain" else int(json.loads((run / "model.json").read_bytes())["steps"])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size or 100))


def replaced(content: bytes) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(content), None)[1]


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "mine.txt").write_text("mine")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut": cut,
    "zeros": zeros,
    "empty": replaced(b""),
    "text": replaced(b"<!DOCTYPE html>\n<title>404</title>\n" * 5),
    "not UTF-8": replaced(b"\xff\xfe\x00\x9f" * 40 + b"\n"),
    "a list": replaced(b"[1, 2, 3]\n"),
    "wrong types": replaced(
        b'{"step": "one", "epoch": [], "finished": "no", "checkpoint": 3, "threads": -1, "3": {}}\n'
    ),
    "deep": replaced(b"[" * 100_000 + b"\n"),
    "folder": folder,
    "pipe": pipe,
    "missing": lambda path: path.unlink(),
}
FILES: dict[str, tuple[str, ...]] = {
    "pretrain": (
        *("config.yaml", "metrics.jsonl", "last.json", "patients.parquet", "images.parquet", "start_patients.parquet"),
        *("two_views.png", ".lock", "tensorboard"),
    ),
    "finetune": ("metrics.jsonl", ".lock", ".cxr-model", "tensorboard"),
}
TRIED_IN_ALL_WAYS = {"config.yaml", "metrics.jsonl", "last.json", "patients.parquet"}
FEW = ("text", "folder", "pipe", "missing")
CASES = [
    (kind, file, damage)
    for kind, files in FILES.items()
    for file in files
    for damage in DAMAGES
    if damage in FEW or (file in TRIED_IN_ALL_WAYS and kind == "pretrain")
]
NEVER_THE_END = {"metrics.jsonl", "tensorboard", "two_views.png"}
"""Files of which nothing is needed: with a damaged one a run resumes, unless something else stands in its place."""


def spoil(run: Path, file: str, damage: str) -> None:
    path = run / file
    if file == "tensorboard":
        (events, *_) = sorted(path.iterdir())
        if damage in ("folder", "pipe", "missing"):
            shutil.rmtree(path)
            path.write_text("a file in its place")
            return
        path = events
    DAMAGES[damage](path)


@pytest.mark.parametrize(("kind", "file", "damage"), CASES)
def test_a_run_with_a_damaged_file_resumes_or_is_refused_in_words(
    kind: str, file: str, damage: str, stopped: dict[str, Path], labelled_root: Path, tmp_path: Path
) -> None:
    run = copied(stopped[kind], tmp_path / "run")
    spoil(run, file, damage)
    began = time.monotonic()
    result = run_train(*KINDS[kind].command(labelled_root, run))
    if result.exit_code == 0:
        assert (run / KINDS[kind].done).is_file()
        assert read_metrics(run)[-1]["step"] == steps_of(kind, run)
        read_seen(run)
    else:
        refused(result)
        assert time.monotonic() - began < 60
        said = " ".join(result.output.split())
        assert file in said or "holds no config.yaml" in said or "and no model of ours" in said, said
        assert file not in NEVER_THE_END or damage in ("folder", "pipe"), result.output
        if damage == "folder":
            assert (run / file / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", KINDS)
def test_spoiled_lines_of_metrics_are_kept_aside_and_said_and_the_others_stay(
    kind: str, stopped: dict[str, Path], labelled_root: Path, tmp_path: Path
) -> None:
    run = copied(stopped[kind], tmp_path / "run")
    path = run / "metrics.jsonl"
    whole = path.read_bytes()
    spoiled = [
        b"{",
        b'{"step": 1, "loss": NaN}',
        b'{"loss": 1}',
        b'{"step": true}',
        b'{"step": 1, "loss": "x"}',
        b"\xff",
    ]
    path.write_bytes(b"\n".join([spoiled[0], whole.rstrip(b"\n"), *spoiled[1:], b""]))
    result = run_train(*KINDS[kind].command(labelled_root, run))
    assert result.exit_code == 0, result.output
    assert f"Warning: {path} has 6 spoiled lines: they are kept in metrics.jsonl.damaged" in result.output
    assert (run / "metrics.jsonl.damaged").read_bytes().splitlines() == spoiled
    steps = [line["step"] for line in read_metrics(run)]
    assert steps == sorted(set(steps))
    assert steps[-1] == steps_of(kind, run)
    assert path.read_bytes().startswith(whole.splitlines()[0])


def test_what_a_refusal_of_last_json_advises_helps(
    stopped: dict[str, Path], labelled_root: Path, tmp_path: Path
) -> None:
    run = copied(stopped["pretrain"], tmp_path / "run")
    (run / "last.json").write_text('{"checkpoint": "x", "step": 2}')
    command = KINDS["pretrain"].command(labelled_root, run)
    refused(run_train(*command), "last.json", "remove it: the same command then resumes from the newest checkpoint")
    (run / "last.json").unlink()
    result = run_train(*command)
    assert result.exit_code == 0
    assert "resumes after step 2 of 5" in result.output
    last = read_last(run)
    assert last is not None
    assert last.finished


@pytest.mark.parametrize("threads", [0, -1, True, "many", 10**9, 1.5])
def test_a_number_of_threads_that_is_none_is_refused(
    threads: object, stopped: dict[str, Path], labelled_root: Path, tmp_path: Path
) -> None:
    run = copied(stopped["pretrain"], tmp_path / "run")
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("threads: 1\n", f"threads: {json.dumps(threads)}\n"))
    command = list(KINDS["pretrain"].command(labelled_root, run))
    del command[command.index("--threads") : command.index("--threads") + 2]
    refused(run_train(*command), "config.yaml: threads is", "not a number of threads")


def test_lists_that_were_lost_are_written_again_as_they_were(
    stopped: dict[str, Path], labelled_root: Path, tmp_path: Path
) -> None:
    for number, file in enumerate(("patients.parquet", "images.parquet")):
        run = copied(stopped["pretrain"], tmp_path / f"run{number}")
        whole = (run / file).read_bytes()
        (run / file).write_bytes(whole[:-9] if number else b"")
        result = run_train(*KINDS["pretrain"].command(labelled_root, run), *STOPPED)
        assert result.exit_code == 75, result.output
        assert f"Warning: {run / file} cannot be read" in result.output
        assert "It is written again from the datasets of the run." in result.output
        assert (run / file).read_bytes() == whole


STATES: dict[str, Callable[[dict[str, object]], object]] = {
    "nothing but a version": lambda state: {"format_version": FORMAT_VERSION},
    "numbers as text": lambda state: {**state, "step": "two"},
    "no numbers": lambda state: {**state, "step": None, "threads": None},
    "another network": lambda state: {**state, "moco": {}, "network": {}},
    "another optimizer": lambda state: {**state, "optimizer": {"state": 3, "param_groups": []}},
    "another loader": lambda state: {**state, "loader": {}},
    "a list for a loader": lambda state: {**state, "loader": [1]},
    "no random state": lambda state: {**state, "rng": {"cpu": torch.zeros(3), "cuda": []}},
    "options of another kind": lambda state: {**state, "options": [1], "backbone": 3},
    "negative threads": lambda state: {**state, "threads": -3},
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_checkpoint_of_something_else_is_refused(
    kind: str, name: str, stopped: dict[str, Path], labelled_root: Path, tmp_path: Path
) -> None:
    run = copied(stopped[kind], tmp_path / "run")
    step = checkpoint_steps(run)[-1]
    content = STATES[name](load_checkpoint(run, step))
    for older in checkpoint_steps(run):
        checkpoint_path(run, older).unlink()
    save_checkpoint(run, step, content)  # type: ignore[arg-type]
    before = torch.get_num_threads()
    result = run_train(*KINDS[kind].command(labelled_root, run))
    torch.set_num_threads(before)
    if result.exit_code == 0:  # the key is not of this kind of training
        assert name in ("another network", "options of another kind")
    else:
        refused(result)


@pytest.fixture
def removing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """Remove a folder after a step of a training."""

    def after(folder: Path, steps: int) -> None:
        plain, tuned, count = Trainer.step, FineTuning._step, [0]

        def removed() -> None:
            count[0] += 1
            if count[0] == steps:
                shutil.rmtree(folder)

        def step(trainer: Trainer, batch: TwoViewBatch) -> None:
            plain(trainer, batch)
            removed()

        def tuning_step(tuning: FineTuning, *batch: object) -> None:
            tuned(tuning, *batch)  # type: ignore[arg-type]
            removed()

        monkeypatch.setattr(Trainer, "step", step)
        monkeypatch.setattr(FineTuning, "_step", tuning_step)

    return after


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_is_removed_while_it_is_trained_is_said(
    kind: str, removing: Callable[[Path, int], None], labelled_root: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    removing(run, 2)
    result = run_train(*KINDS[kind].command(labelled_root, run))
    refused(result, f"{run} was removed while it was trained", "Run the same command again to start at step 0")
    assert not run.exists()
    again = run_train(*KINDS[kind].command(labelled_root, run))
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize("hours", [-48, -1, 1, 48])
def test_a_clock_that_jumps_moves_no_time_limit(hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0, 1_700_000_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: now[1])
    limits = [TimeLimit(900.0, {}), TimeLimit(None, {SLURM_END: str(now[1] + 900)})]
    now[1] += 3600 * hours
    assert not any(limit.is_near() for limit in limits)
    now[0] += 829.0
    assert not any(limit.is_near() for limit in limits)
    now[0] += 2.0
    assert all(limit.is_near() for limit in limits)


@pytest.mark.parametrize("damage", [*(name for name in DAMAGES if name != "missing")])
def test_a_report_and_a_comparison_of_runs_leave_out_what_is_damaged(
    damage: str, stopped: dict[str, Path], tmp_path: Path
) -> None:
    study = tmp_path / "study"
    copied(stopped["pretrain"], study / "whole")
    for file in ("config.yaml", "metrics.jsonl", "last.json"):
        spoil(copied(stopped["pretrain"], study / file.partition(".")[0]), file, damage)
    results: list[Result] = [
        run_eval("report", study, "--output", tmp_path / "report.html"),
        run_eval(
            "compare-runs", study / "whole", study / "metrics", study / "last", "--output", tmp_path / "curves.svg"
        ),
    ]
    for result in results:
        if result.exit_code:
            refused(result)
    assert results[0].exit_code == 0, results[0].output
