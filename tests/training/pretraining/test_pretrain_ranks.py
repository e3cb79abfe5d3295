"""One run in several processes: the same method, the same promises as in one. Over gloo, on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from shards.loading.loaders import TwoViewBatch
from tests.training.pretraining.small_run import options_of
from tests.training.pretraining.test_pretrain import assert_equal, final_state
from tests.training.rank_processes import PATIENCE_S, as_rank, free_port, meet_elsewhere, on_ranks
from tests.training.small_shards import write_small_dataset
from training.backbones.networks import build_backbone
from training.moco.key_exchange import own_share
from training.moco.model import MoCo, MoCoSettings
from training.pretraining.command import Outcome, pretrain
from training.pretraining.options import PretrainOptions
from training.pretraining.trainer import Trainer
from training.processes.ranks import Ranks, joined
from training.runs.checkpoints import checkpoint_steps
from training.runs.directory import read_last
from training.runs.metrics_log import read_metrics

WORLD, BATCH = 2, 12
STEP = PretrainOptions(shards=(), output=Path("unused"), batch_size=BATCH, device="cpu", optimizer="sgd", lr=0.02)
CASES = {"frozen": 1, "split": 4, "accumulated": 4, "ema": 4, "toned": 1}
"""BatchNorm that no batch changes, BatchNorm in four groups of three, the latter in two batches a step, keys that are
normalised by statistics which were set before the step, and the first with a tone curve for each view."""


def gradients_of_a_step(case: str, ranks: Ranks) -> dict[str, torch.Tensor]:
    """Gradients, running statistics, queue and figures after one step on this rank's share of a batch."""
    options = replace(STEP, accumulate=2 if case == "accumulated" else 1)
    moco = MoCo(
        build_backbone("resnet18", 0),
        "resnet18",
        MoCoSettings(
            queue_size=30,
            momentum=0.9,
            temperature=0.2,
            bn_groups=CASES[case] // ranks.world_size if CASES[case] > 1 else 1,
            ema=case == "ema",
        ),
        seed=0,
    )
    trainer = Trainer(moco, options, mean=127.0, std=64.0, steps_per_epoch=4, ranks=ranks)
    if case in ("frozen", "toned"):
        for module in moco.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    generator = torch.Generator().manual_seed(5)
    count = BATCH * options.accumulate
    query, key = (torch.randint(0, 256, (count, 1, 96, 96), generator=generator, dtype=torch.uint8) for _ in range(2))
    whole = [query, key, torch.arange(count)]
    if case == "toned":
        whole += [255 * torch.rand(count, 256, generator=generator).sort(dim=1).values for _ in range(2)]
    share = [own_share(ranks, tensor) for tensor in whole]
    if case == "ema":
        trainer.set_statistics([TwoViewBatch(*share), TwoViewBatch(share[1], share[0], share[2])])
    trainer.step(TwoViewBatch(*share))
    figures = {name: torch.tensor(values) for name, values in trainer.window.state_dict().items()}
    found = {
        f"gradient {name}": value.grad
        for name, value in moco.query_encoder.named_parameters()
        if value.grad is not None
    }
    return {name: value.clone() for name, value in (found | dict(moco.state_dict()) | figures).items()}


def take_steps(folder: Path) -> None:
    with joined("cpu") as ranks:
        for case in CASES:
            torch.save(gradients_of_a_step(case, ranks), folder / f"{case}-{ranks.rank}.pt")


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with what each of two processes had after a step of each case."""
    folder = tmp_path_factory.mktemp("steps")
    assert on_ranks(WORLD, take_steps, folder) == [""] * WORLD
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_of_half_a_batch_take_the_step_of_one_with_the_whole(steps: Path, case: str) -> None:
    """With BatchNorm in groups too: its groups are the same images, in whichever process."""
    expected = gradients_of_a_step(case, Ranks.alone())
    both = [torch.load(steps / f"{case}-{rank}.pt", weights_only=True) for rank in range(WORLD)]
    assert_equal(both[0], both[1])
    assert both[0].keys() == expected.keys()
    largest = max(float(value.abs().max()) for name, value in expected.items() if name.startswith("gradient "))
    tolerance = 1e-6 if case in ("frozen", "toned") else 2e-5  # statistics of few values enlarge rounding
    for name, wanted in expected.items():
        scale = largest if name.startswith("gradient ") else max(1.0, float(wanted.float().abs().max()))
        torch.testing.assert_close(both[0][name].float(), wanted.float(), rtol=0, atol=tolerance * scale, msg=name)


def stop_and_go_on(folder: Path) -> None:
    """A run that is not stopped; then one whose last process is asked to stop, twice, and which is finished."""
    plain = Trainer.step
    asked: list[int] = []

    def stepping(trainer: Trainer, batch: TwoViewBatch) -> None:
        plain(trainer, batch)
        if asked and trainer.steps == asked[0] and os.environ["RANK"] != "0":
            signal.raise_signal(signal.SIGUSR1)

    Trainer.step = stepping  # type: ignore[assignment,method-assign]
    for name, changes in json.loads((folder / "cases.json").read_text()).items():
        changes = {key: tuple(value) if isinstance(value, list) else value for key, value in changes.items()}
        options = replace(options_of(folder / "tiny", folder / name), batch_size=12, **changes)
        meet_elsewhere()
        assert pretrain(replace(options, output=folder / f"{name}-undisturbed")) is Outcome.FINISHED
        for step, stopped in ((1, 4), (6, None)):  # agreed on every four steps: the second wish comes too late
            asked[:] = [step]
            meet_elsewhere()
            outcome = pretrain(replace(options, checkpoint_minutes=1e-9))  # a checkpoint every four steps
            assert outcome is (Outcome.PREEMPTED if stopped else Outcome.FINISHED)
            if stopped:
                assert checkpoint_steps(options.output)[-1] == stopped
                torch.manual_seed(1234)


STOPPED: dict[str, dict[str, Any]] = {
    "resnet18": {"bn_groups": 6},
    "densenet121": {"bn_groups": 6, "backbone": "densenet121"},
    "ema": {"batch_norm": "ema", "positives": "patient", "gain": (0.8, 1.25)},
    "views": {"bn_groups": 6, "crop_area": (0.4, 1.0), "scale": (1.0, 1.5), "offset": (-9.0, 9.0), "gamma": (0.7, 1.4)},
}


@pytest.mark.parametrize(
    ("world_size", "names"), [(2, ["resnet18", "densenet121", "ema", "views"]), (3, ["resnet18", "ema", "views"])]
)
def test_a_run_of_several_processes_stopped_and_gone_on_with_equals_one_never_stopped(
    world_size: int, names: list[str], tmp_path: Path
) -> None:
    write_small_dataset(tmp_path / "tiny")
    (tmp_path / "cases.json").write_text(json.dumps({name: STOPPED[name] for name in names}))
    assert on_ranks(world_size, stop_and_go_on, tmp_path) == [""] * world_size
    for name in names:
        assert_equal(final_state(tmp_path / name), final_state(tmp_path / f"{name}-undisturbed"))


OPTIONS = (
    *("--init=random", "--image-size=32", "--batch-size=12", "--bn-groups=6", "--epochs=4", "--queue-size=20"),
    *("--device=cpu", "--threads=1", "--log-every=1"),
)
COMMAND = "from training.cli.main import main; main()"


def start(world_size: int, shards: Path, run: Path, *more: str, cwd: Path | None = None) -> list[subprocess.Popen[str]]:
    """The command in so many processes."""
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, "-c", COMMAND, "pretrain", f"--shards={shards}", f"--output={run}", *OPTIONS, *more],
            env=os.environ | as_rank(rank, world_size, port) | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd / str(rank) if cwd else None,
        )
        for rank in range(world_size)
    ]


def ends(processes: list[subprocess.Popen[str]]) -> tuple[list[int], list[str]]:
    said = [process.communicate(timeout=PATIENCE_S)[0] for process in processes]
    return [process.returncode for process in processes], said


def test_all_end_with_75_once_one_is_asked_to_and_another_number_of_processes_goes_on(
    tiny_shards: Path, tmp_path: Path
) -> None:
    run, long = tmp_path / "run", "--epochs=40"
    processes = start(2, tiny_shards, run, long)
    deadline = time.monotonic() + PATIENCE_S
    while not read_metrics(run):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), ends(processes)
        time.sleep(0.01)
    statuses, said = ends(start(2, tiny_shards, run, long))  # a second run in the same folder, while the first is alive
    assert statuses == [1, 1]
    assert "is being trained by process" in said[0]
    assert said[1].strip() == ""
    processes[1].send_signal(signal.SIGTERM)
    statuses, said = ends(processes)
    assert statuses == [75, 75]
    assert "Stopped by SIGTERM after step" in said[0]
    assert said[1].strip() == ""
    last = read_last(run)
    assert last is not None
    assert last.step % 4 == 0
    assert not last.finished
    (status,), (told,) = ends(start(1, tiny_shards, run, long, "--time-limit=1"))
    assert status == 75, told
    assert f"resumes after step {last.step} of 160" in told
    assert "It was trained in 2 processes so far" in told
    assert [line["step"] for line in read_metrics(run)] == list(range(1, last.step + 2))


def test_a_killed_process_ends_the_run_and_it_can_be_gone_on_with(tiny_shards: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    processes = start(2, tiny_shards, run)
    deadline = time.monotonic() + PATIENCE_S
    while len(read_metrics(run)) < 5:  # an epoch is four steps, and ends with a checkpoint
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), ends(processes)
        time.sleep(0.01)
    processes[1].kill()
    statuses, said = ends(processes)
    assert statuses == [1, -signal.SIGKILL]
    assert "Another process of this run has ended" in said[0]
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python", sys.executable)
    done = subprocess.run(
        [sys.executable, *torchrun, "-c", COMMAND, "pretrain", f"--shards={tiny_shards}", f"--output={run}", *OPTIONS],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("resumes after step") == 1
    assert "in each of 2 processes" in done.stdout
    last = read_last(run)
    assert last is not None
    assert last.finished


def test_processes_that_do_not_have_the_same_images_do_not_begin(tmp_path: Path) -> None:
    """As with a copy of an earlier release on one node's own disk."""
    for rank, train in enumerate((50, 70)):
        (tmp_path / str(rank)).mkdir()
        write_small_dataset(tmp_path / str(rank) / "tiny", train=train)
    statuses, said = ends(start(2, Path("tiny"), tmp_path / "run", cwd=tmp_path))
    assert statuses == [1, 1]
    assert "do not have the same images: 50, 0 of them left out in 0; 70, 0 of them left out in 1." in said[0]
    assert said[1].strip() == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "what"),
    [
        pytest.param(["--batch-norm=none"], "which none of 2 processes has. Give --batch-norm split", id="none"),
        pytest.param(["--batch-size=15", "--bn-groups=5"], "does not divide by the 2 processes", id="batch"),
        pytest.param(["--bn-groups=3"], "3 groups of BatchNorm cannot be dealt out to 2 processes", id="groups"),
    ],
)
def test_what_several_processes_cannot_share_is_refused_once(
    tiny_shards: Path, tmp_path: Path, more: list[str], what: str
) -> None:
    statuses, said = ends(start(2, tiny_shards, tmp_path / "run", *more))
    assert statuses == [1, 1]
    assert what in said[0]
    assert said[1].strip() == ""
    assert not (tmp_path / "run").exists()
