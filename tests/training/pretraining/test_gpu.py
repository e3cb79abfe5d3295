"""Pretraining on NVIDIA GPUs: precision, compilation, resume, speed, memory. Skipped with a message where none is."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from shards.loading.loaders import TwoViewBatch
from tests.shards.small_datasets import write_small_dataset as write_jpegs
from tests.training.pretraining.small_run import options_of
from tests.training.pretraining.test_pretrain import assert_equal, final_state
from tests.training.rank_processes import meet_elsewhere, on_ranks
from tests.training.small_shards import write_small_dataset
from training.backbones.architectures import ARCHITECTURES
from training.pretraining.command import Outcome, pretrain
from training.pretraining.options import PretrainOptions
from training.pretraining.trainer import Trainer
from training.runs.metrics_log import read_metrics

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU: pretraining on one is not tested here")


def on_gpu(shards: Path, output: Path, **more: object) -> PretrainOptions:
    return replace(options_of(shards, output), device="gpu", **more)  # type: ignore[arg-type]


def losses(options: PretrainOptions) -> list[float]:
    assert pretrain(options) is Outcome.FINISHED
    return [line["loss"] for line in read_metrics(options.output)]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_losses_on_a_gpu_begin_as_those_of_the_cpu(tiny_shards: Path, tmp_path: Path, precision: str) -> None:
    """Then they part: another decoder, another order of sums, and BatchNorm over few values."""
    ours = losses(on_gpu(tiny_shards, tmp_path / "gpu", precision=precision, log_every=1))
    theirs = losses(replace(options_of(tiny_shards, tmp_path / "cpu"), log_every=1))
    assert ours[0] == pytest.approx(theirs[0], rel=0.05 if precision == "fp32" else 0.1)
    assert len(ours) == len(theirs)


def test_losses_with_ema_and_positives_begin_as_those_of_the_cpu(tiny_shards: Path, tmp_path: Path) -> None:
    changes = {"batch_norm": "ema", "positives": "patient", "gain": (0.8, 1.25), "log_every": 1}
    ours = losses(on_gpu(tiny_shards, tmp_path / "gpu", **changes))
    theirs = losses(replace(options_of(tiny_shards, tmp_path / "cpu"), **changes))  # type: ignore[arg-type]
    assert ours[0] == pytest.approx(theirs[0], rel=0.05)
    assert len(ours) == len(theirs)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_compiled_run_begins_with_the_loss_of_one_that_is_not(
    tiny_shards: Path, tmp_path: Path, architecture: str
) -> None:
    found = [
        losses(on_gpu(tiny_shards, tmp_path / name, backbone=architecture, compile=compiled, log_every=1))[0]
        for name, compiled in (("plain", False), ("compiled", True))
    ]
    assert found[0] == pytest.approx(found[1], rel=0.02)


def test_a_run_on_a_gpu_goes_on_from_its_checkpoint(tiny_shards: Path, tmp_path: Path) -> None:
    """To equal bits only where the kernels are deterministic; ids, draws, steps and schedule are the same anywhere."""
    options = on_gpu(tiny_shards, tmp_path / "run", log_every=1)
    undisturbed = losses(replace(options, output=tmp_path / "undisturbed"))
    assert pretrain(replace(options, time_limit=1.0)) is Outcome.PREEMPTED
    assert losses(options) == pytest.approx(undisturbed, rel=0.2)
    one, other = final_state(options.output), final_state(tmp_path / "undisturbed")
    assert one["loader"] == other["loader"]
    assert torch.equal(one["moco"]["queue.sample_ids"], other["moco"]["queue.sample_ids"])  # type: ignore[index]


def test_a_step_does_not_wait_for_the_gpu(tiny_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch warns of each synchronisation in a step; metrics and checkpoints, outside of it, may have theirs."""
    plain = Trainer.step

    def watched(trainer: Trainer, batch: TwoViewBatch) -> None:
        torch.cuda.set_sync_debug_mode("error" if trainer.steps else "default")
        plain(trainer, batch)
        torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Trainer, "step", watched)
    for precision in ("fp32", "bf16"):
        assert pretrain(on_gpu(tiny_shards, tmp_path / precision, precision=precision)) is Outcome.FINISHED


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_speed_memory_and_wait_for_data_at_320_pixels(tmp_path: Path, architecture: str) -> None:
    """The figures are printed (-s); what is asserted is that the network, not the loader, is what takes the time."""
    root = write_jpegs(tmp_path / "large", shards={"train-000000": 2048}, sizes=[(390, 320), (320, 390)])
    options = replace(
        PretrainOptions(shards=(root,), output=tmp_path / "run", init="random", backbone=architecture),
        batch_size=64, epochs=2, queue_size=1024, device="gpu", precision="bf16", threads=4, log_every=8,
    )  # fmt: skip
    torch.cuda.reset_peak_memory_stats()
    assert pretrain(options) is Outcome.FINISHED
    last = read_metrics(options.output)[-1]
    gigabytes = torch.cuda.max_memory_allocated() / 2**30
    print(json.dumps({"backbone": architecture, **last, "GiB": gigabytes}))
    assert last["data_wait"] < 0.5
    assert gigabytes < 0.8 * torch.cuda.get_device_properties(0).total_memory / 2**30


def train_on_both(folder: Path) -> None:
    options = on_gpu(folder / "tiny", folder / "run", batch_size=12, bn_groups=6, log_every=1)
    assert pretrain(replace(options, time_limit=1.0)) is Outcome.PREEMPTED
    meet_elsewhere()
    assert pretrain(options) is Outcome.FINISHED
    assert torch.cuda.current_device() == int(os.environ["LOCAL_RANK"])


def test_two_gpus_train_one_run(tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU only: several are not tested here")
    write_small_dataset(tmp_path / "tiny")
    assert on_ranks(2, train_on_both, tmp_path) == ["", ""]
    alone = losses(on_gpu(tmp_path / "tiny", tmp_path / "alone", batch_size=12, bn_groups=6, log_every=1))
    together = [line["loss"] for line in read_metrics(tmp_path / "run")]
    assert together[0] == pytest.approx(alone[0], rel=0.02)
    assert len(together) == len(alone)
    assert_equal(final_state(tmp_path / "run")["loader"], final_state(tmp_path / "alone")["loader"])
