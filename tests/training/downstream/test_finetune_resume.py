"""A fine-tuning that is stopped, killed or shares its folder resumes to the bytes of one that was never stopped."""

import contextlib
import functools
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from shards.errors import ResumeError
from shards.format.dataset import Dataset, open_dataset
from tests.training.labelled_shards import BACKBONE, LABELS
from training.backbones.backbone import Backbone
from training.cli.main import main as cxr_train
from training.downstream.fine_tuning import FineTuning
from training.downstream.finetune import finetune
from training.downstream.options import FinetuneOptions
from training.downstream.start import Start
from training.errors import PreemptedError, RunError, TrainingError
from training.runs.backbone_from import load_backbone
from training.runs.checkpoints import checkpoint_path, checkpoint_steps, load_checkpoint
from training.runs.lock import RunLock
from training.runs.metrics_log import read_metrics

MADE = ("model.safetensors", "model.json", "metrics.jsonl", "patients.parquet")
HOW = FinetuneOptions(
    shards=Path("set by tune"),
    backbone_from="random",
    labels=LABELS,
    output=Path("set by tune"),
    epochs=4,
    batch_size=8,
    min_steps=3,
    lr=1e-3,
    device="cpu",
    threads=1,
    checkpoint_minutes=0,
)
"""Four epochs of four or five steps, Adam, a cosine: all that a checkpoint must hold changes at each step."""


@pytest.fixture(scope="module")
def dataset(labelled_root: Path) -> Dataset:
    return open_dataset(labelled_root)


@functools.cache
def random_backbone() -> Backbone:
    return load_backbone("random", image_size=32, mean=1.0, std=1.0)


def tune(dataset: Dataset, output: Path, **changed: Any) -> None:  # noqa: ANN401
    options = replace(HOW, shards=dataset.root, output=output, **changed)
    finetune(Start(dataset, replace(random_backbone(), mean=dataset.mean, std=dataset.std), options.labels), options)


def made(folder: Path) -> dict[str, bytes]:
    """The files of the model and the metrics, as bytes."""
    return {name: (folder / name).read_bytes() for name in MADE}


@pytest.fixture(scope="module")
def undisturbed(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    tune(dataset, output)
    assert not (output / "checkpoints").exists()
    return made(output)


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the process receive a real signal while it takes a step, or the n-th time that it computes scores."""
    step, scores = FineTuning._step, FineTuning.scores
    calls = {"steps": 0, "scores": 0}

    def arrange(what: str, number: int, sent: signal.Signals = signal.SIGUSR1) -> None:
        calls.update(steps=0, scores=0)

        def counted(name: str, plain: Any) -> Any:  # noqa: ANN401
            def called(self: FineTuning, *args: Any) -> Any:  # noqa: ANN401
                calls[name] += 1
                if (name, calls[name]) == (what, number):
                    signal.raise_signal(sent)
                return plain(self, *args)

            return called

        monkeypatch.setattr(FineTuning, "_step", counted("steps", step))
        monkeypatch.setattr(FineTuning, "scores", counted("scores", scores))

    return arrange


@pytest.fixture
def stopped_after(dataset: Dataset, signal_at: Callable[..., None]) -> Callable[..., None]:
    """Fine-tune into a folder and stop after so many steps; what runs next is not stopped."""

    def stop(steps: int, output: Path, **changed: Any) -> None:  # noqa: ANN401
        signal_at("steps", steps)
        with pytest.raises(PreemptedError):
            tune(dataset, output, **changed)
        signal_at("steps", 0)

    return stop


# Stopped and resumed.


@pytest.mark.parametrize("stops", [(1,), (4,), (2, 1, 3), (7, 5)])
def test_stopped_in_steps_it_resumes_to_the_same_bytes(
    stops: tuple[int, ...],
    dataset: Dataset,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    signal_at: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A stop counts the steps since the last one."""
    caplog.set_level("INFO")
    done = 0
    for stop in stops:
        signal_at("steps", stop)
        done += stop
        torch.rand(3)  # the process' own random numbers have no say
        with pytest.raises(
            PreemptedError, match=f"^Stopped by SIGUSR1 after step {done} of .* is written. Run the same"
        ):
            tune(dataset, tmp_path / "out")
        assert checkpoint_steps(tmp_path / "out")[-1] == done
        assert not (tmp_path / "out" / "model.json").exists()
    signal_at("steps", 0)
    tune(dataset, tmp_path / "out")
    assert f"resumes after step {done} of" in caplog.text
    assert made(tmp_path / "out") == undisturbed
    assert not (tmp_path / "out" / "checkpoints").exists()


@pytest.mark.parametrize("which", [1, 3, 4, 5, 6])
def test_stopped_in_a_validation_or_in_the_last_scores_it_resumes_to_the_same_bytes(
    which: int, dataset: Dataset, tmp_path: Path, undisturbed: dict[str, bytes], signal_at: Callable[..., None]
) -> None:
    """Scores are computed once after each of four epochs, then of valid and of test."""
    signal_at("scores", which, signal.SIGTERM)
    with pytest.raises(PreemptedError, match="Stopped by SIGTERM"):
        tune(dataset, tmp_path / "out")
    signal_at("scores", 0)
    tune(dataset, tmp_path / "out")
    assert made(tmp_path / "out") == undisturbed


def test_checkpoints_by_the_clock_change_no_bit_and_the_newest_two_are_kept(
    dataset: Dataset, tmp_path: Path, undisturbed: dict[str, bytes], stopped_after: Callable[..., None]
) -> None:
    stopped_after(9, tmp_path / "out", checkpoint_minutes=1e-9)
    assert checkpoint_steps(tmp_path / "out") == [8, 9]
    tune(dataset, tmp_path / "out", checkpoint_minutes=1e-9)
    assert made(tmp_path / "out") == undisturbed


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_resumed_from(
    dataset: Dataset,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    stopped_after: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    output = tmp_path / "out"
    stopped_after(9, output, checkpoint_minutes=1e-9)
    path = checkpoint_path(output, 9)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    tune(dataset, output)
    assert "It is kept as step-00000009.pt.damaged" in caplog.text
    assert made(output) == undisturbed


def test_it_resumes_with_the_samples_on_another_disk(
    dataset: Dataset, tmp_path: Path, undisturbed: dict[str, bytes], stopped_after: Callable[..., None]
) -> None:
    stopped_after(6, tmp_path / "out")
    tune(dataset, tmp_path / "out", stage_to=tmp_path / "node")
    assert made(tmp_path / "out") == undisturbed


def test_a_resumed_one_keeps_its_number_of_threads(
    dataset: Dataset, tmp_path: Path, undisturbed: dict[str, bytes], stopped_after: Callable[..., None]
) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        stopped_after(6, tmp_path / "out")
        torch.set_num_threads(2)
        tune(dataset, tmp_path / "out", threads=2)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert made(tmp_path / "out") == undisturbed


def test_a_checkpoint_holds_the_whole_state_and_nothing_that_runs_code(
    dataset: Dataset, tmp_path: Path, stopped_after: Callable[..., None]
) -> None:
    stopped_after(6, tmp_path / "out")
    state = load_checkpoint(tmp_path / "out", 6)
    assert {"network", "optimizer", "scaler", "best", "losses", "rng", "loader", "threads", "options"} <= set(state)
    assert (state["step"], state["epoch"], state["best"]["epoch"]) == (6, 1, 1)


def test_the_time_limit_stops_it_after_a_step(dataset: Dataset, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    with pytest.raises(PreemptedError, match="Stopped by --time-limit of 30 s after step 1 of"):
        tune(dataset, tmp_path / "out", time_limit=30.0)
    tune(dataset, tmp_path / "out", time_limit=36000.0)
    assert made(tmp_path / "out") == undisturbed


# What is refused.


def test_other_options_are_refused_by_name_and_the_advice_works(
    dataset: Dataset, tmp_path: Path, stopped_after: Callable[..., None]
) -> None:
    stopped_after(2, tmp_path / "out")
    with pytest.raises(ResumeError, match=r"other options \(lr: 0.001 there, 0.002 here\).*or remove .*checkpoints"):
        tune(dataset, tmp_path / "out", lr=2e-3)
    shutil.rmtree(tmp_path / "out" / "checkpoints")
    tune(dataset, tmp_path / "out", lr=2e-3)
    assert json.loads((tmp_path / "out" / "model.json").read_text())["options"]["lr"] == 2e-3


def test_two_processes_do_not_train_in_one_folder(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with contextlib.closing(RunLock()) as lock:
        lock.acquire(tmp_path / "out")
        with pytest.raises(RunError, match="is being trained by process"):
            tune(dataset, tmp_path / "out")


def test_one_that_diverges_leaves_no_checkpoint_so_that_a_smaller_rate_can_be_tried_there(
    dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"the loss is not a number\. Try a smaller --lr"):
        tune(dataset, tmp_path / "out", lr=1e30, optimizer="sgd", checkpoint_minutes=1e-9)
    assert not (tmp_path / "out" / "checkpoints").exists()
    tune(dataset, tmp_path / "out")


# The command, in processes of its own.


def words(shards: Path, output: Path, *more: object) -> list[str]:
    given = ("--labels", ",".join(LABELS), "--epochs", 30, "--batch-size", 8, "--min-steps", 3, "--lr", 1e-3, *more)
    return [str(word) for word in ("finetune", "--shards", shards, "--output", output, *BACKBONE, *given)]


def started(shards: Path, output: Path, *more: object) -> "subprocess.Popen[str]":
    program = [sys.executable, "-c", "from training.cli.main import main; main()", *words(shards, output, *more)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while len(read_metrics(output)) < 2:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.fixture(scope="module")
def long_one(labelled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("long") / "out"
    result = CliRunner().invoke(cxr_train, words(labelled_root, output))
    assert result.exit_code == 0, result.output
    return made(output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_command_with_75_and_the_same_command_resumes(
    number: signal.Signals, labelled_root: Path, tmp_path: Path, long_one: dict[str, bytes]
) -> None:
    process = started(labelled_root, tmp_path / "out")
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 75, said
    assert f"Stopped by {number.name} after step" in said
    assert "Run the same command again to resume." in said
    again = CliRunner().invoke(cxr_train, words(labelled_root, tmp_path / "out"))
    assert again.exit_code == 0, again.output
    assert "resumes after step" in again.output
    assert made(tmp_path / "out") == long_one


def test_a_killed_command_resumes_from_its_checkpoint(
    labelled_root: Path, tmp_path: Path, long_one: dict[str, bytes]
) -> None:
    process = started(labelled_root, tmp_path / "out", "--checkpoint-minutes", 1e-6)
    process.kill()
    process.communicate()
    assert checkpoint_steps(tmp_path / "out")
    again = CliRunner().invoke(cxr_train, words(labelled_root, tmp_path / "out"))
    assert "resumes after step" in again.output
    assert made(tmp_path / "out") == long_one


def test_a_second_ctrl_c_ends_the_command_at_once(labelled_root: Path, tmp_path: Path) -> None:
    process = started(labelled_root, tmp_path / "out", "--image-size", 128)
    for _ in range(200):
        process.send_signal(signal.SIGINT)
        time.sleep(0.005)
        if process.poll() is not None:
            break
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert not (tmp_path / "out" / "model.json").exists()
