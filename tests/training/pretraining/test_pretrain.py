"""Whole runs in this process: real shards, real DALI, real signals."""

import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from shards.errors import ResumeError, SubsetError
from shards.format.dataset import open_dataset, open_datasets
from shards.format.quarantine import Quarantined, write_quarantine
from shards.loading.loaders import TwoViewBatch
from tests.training.small_shards import write_small_dataset
from training.errors import TrainingError
from training.pretraining.command import Outcome, pretrain
from training.pretraining.options import PretrainOptions
from training.pretraining.trainer import Trainer
from training.runs.backbone_from import load_backbone
from training.runs.checkpoints import checkpoint_path, checkpoint_steps, load_checkpoint
from training.runs.directory import read_last
from training.runs.metrics_log import read_metrics
from training.seen_patients import read_seen

HEALTH = {
    *("loss", "top1", "top5", "positive", "hardest_negative", "gradient_norm"),
    *("feature_std", "effective_rank", "momentum_distance"),
}
TIMES = {"images_per_second", "data_wait", "seconds"}

Stop = Callable[[int], None]


@pytest.fixture
def signal_after(monkeypatch: pytest.MonkeyPatch) -> Stop:
    """Have the process receive a real SIGUSR1 while it does the given step of the run."""
    plain = Trainer.step

    def arrange(step: int) -> None:
        def stepping(trainer: Trainer, batch: TwoViewBatch) -> None:
            plain(trainer, batch)
            if trainer.steps == step:
                signal.raise_signal(signal.SIGUSR1)

        monkeypatch.setattr(Trainer, "step", stepping)

    return arrange


def assert_equal(one: object, other: object, place: str = "state") -> None:
    """Equal types, values and tensors all the way down."""
    assert type(one) is type(other), place
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            assert_equal(one[key], other[key], f"{place}.{key}")
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other), place
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{place}[{number}]")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        assert torch.equal(one, other), place
    else:
        assert one == other, place


def final_state(run: Path) -> dict[str, object]:
    """Both encoders, queue, optimizer, loader and all else of the last checkpoint, and the metrics, without times."""
    last = read_last(run)
    assert last is not None
    assert last.finished
    state = load_checkpoint(run, last.step)
    del state["seconds"]
    lines = [{key: value for key, value in line.items() if key not in TIMES} for line in read_metrics(run)]
    return state | {"metrics": lines, "backbone_bytes": (run / "backbone.safetensors").read_bytes()}


def stop_and_go_on(options: PretrainOptions, signal_after: Stop, stops: Sequence[int]) -> None:
    """Stop the run at each of the steps, resume it each time, and finish it."""
    handlers = signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGTERM)
    for step in stops:
        signal_after(step)
        assert pretrain(options) is Outcome.PREEMPTED
        assert (signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGTERM)) == handlers
        last = read_last(options.output)
        assert last is not None
        assert (last.step, last.finished) == (step, False)
        torch.manual_seed(1234)
    signal_after(-1)
    assert pretrain(options) is Outcome.FINISHED


@pytest.mark.parametrize(
    "stops",
    [
        pytest.param([5], id="inside an epoch and a window, then over the epoch boundary"),
        pytest.param([2, 6, 11], id="three times, once at the epoch boundary"),
    ],
)
def test_a_run_stopped_and_gone_on_with_equals_one_never_stopped(
    options: PretrainOptions, finished: PretrainOptions, signal_after: Stop, stops: list[int]
) -> None:
    stop_and_go_on(options, signal_after, stops)
    assert [line["step"] for line in read_metrics(options.output)] == [4, 8, 12]
    assert_equal(final_state(options.output), final_state(finished.output))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"optimizer": "sgd", "schedule": "cosine", "threads": 2}, id="SGD, cosine, two threads"),
        pytest.param({"backbone": "densenet121"}, id="DenseNet-121"),
        pytest.param({"batch_norm": "none"}, id="BatchNorm over the whole batch"),
        pytest.param({"batch_norm": "ema"}, id="running statistics for the keys"),
        pytest.param(
            {"batch_norm": "ema", "batch_size": 8, "accumulate": 3, "gain": (0.8, 1.25)},
            id="the same, three batches a step, a tone curve",
        ),
        pytest.param({"backbone": "convnext_tiny", "stochastic_depth": 0.3}, id="branches dropped by chance"),
        pytest.param({"positives": "study", "mask": "patient"}, id="keys of another image of the study"),
        pytest.param({"gain": (0.8, 1.2), "offset": (-9, 9), "gamma": (0.7, 1.4)}, id="tone curves"),
        pytest.param({"crop_area": (0.4, 1.0), "scale": (1.0, 1.5)}, id="views cropped and zoomed, each resized"),
        pytest.param(
            {"batch_size": 8, "accumulate": 3, "warmup_epochs": 1, "epochs": 2, "decay_norms": False},
            id="three batches a step, a warm-up, two groups of parameters",
        ),
    ],
)
def test_other_networks_optimizers_and_threads_go_on_exactly_too(
    options: PretrainOptions, signal_after: Stop, tmp_path: Path, changes: dict[str, Any]
) -> None:
    options = replace(options, **{"batch_size": 24, "epochs": 1} | changes)
    undisturbed = replace(options, output=tmp_path / "undisturbed")
    pretrain(undisturbed)
    stop_and_go_on(options, signal_after, [1])
    assert_equal(final_state(options.output), final_state(undisturbed.output))


def test_training_changes_the_weights_and_hands_on_those_of_the_query_encoder(finished: PretrainOptions) -> None:
    state = load_checkpoint(finished.output, 12)["moco"]
    backbone = load_backbone(str(finished.output), mean=1.0, std=1.0)
    start = load_backbone("random", seed=finished.seed, mean=1.0, std=1.0)
    for name, value in backbone.network.state_dict().items():
        assert torch.equal(value, state[f"query_encoder.{name}"])
    assert not torch.equal(backbone.network.state_dict()["conv1.weight"], start.network.state_dict()["conv1.weight"])
    assert not torch.equal(state["key_encoder.conv1.weight"], state["query_encoder.conv1.weight"])
    assert int(state["queue.pointer"]) == 12 * 8 % 20
    (dataset,) = open_datasets(finished.shards)
    assert set(state["queue.sample_ids"].tolist()) <= set(dataset.samples["sample_id"])


def test_a_run_directory_holds_what_is_promised(finished: PretrainOptions) -> None:
    found = {path.name for path in finished.output.iterdir()}
    promised = "config.yaml metrics.jsonl tensorboard checkpoints last.json patients.parquet backbone.safetensors"
    start = {"start.safetensors", "start_patients.parquet", "images.parquet"}
    assert found == {*promised.split(), *start, "backbone.json", "two_views.png", ".lock"}
    assert checkpoint_steps(finished.output) == [6, 12]
    lines = read_metrics(finished.output)
    assert all(set(line) == {"step", "epoch", "lr"} | HEALTH | TIMES for line in lines)
    assert [line["epoch"] for line in lines] == [0, 1, 1]
    assert [line["lr"] for line in lines] == pytest.approx([1e-3, 1e-4, 1e-4])
    assert all(0 <= line["data_wait"] <= 1 for line in lines)
    backbone = load_backbone(str(finished.output), mean=1.0, std=1.0)
    assert (backbone.image_size, backbone.provenance["steps"], backbone.provenance["epochs"]) == (32, 12, 2)
    with Image.open(finished.output / "two_views.png") as sheet:
        assert sheet.width > 4 * 64


def test_only_patients_of_the_train_split_are_seen_and_all_are_recorded(finished: PretrainOptions) -> None:
    patients = read_seen(finished.output).patients
    assert patients["patient_id"].tolist() == [f"patient{number:05d}" for number in range(25)]
    assert set(patients["dataset"]) == {"tiny"}


@pytest.mark.usefixtures("terminal_log")
def test_a_finished_run_is_left_as_it_is(finished: PretrainOptions, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.output.rglob("*") if path.is_file()}
    assert pretrain(finished) is Outcome.FINISHED
    assert "is finished: 12 steps, 2 epochs" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in finished.output.rglob("*") if path.is_file()} == before


def test_checkpoints_come_also_every_so_many_steps(options: PretrainOptions, finished: PretrainOptions) -> None:
    pretrain(replace(options, checkpoint_every=5))
    assert checkpoint_steps(options.output) == [10, 12]
    assert_equal(final_state(options.output), final_state(finished.output))


def test_checkpoints_by_the_clock_change_no_bit_and_are_no_part_of_the_config(
    options: PretrainOptions, finished: PretrainOptions
) -> None:
    pretrain(replace(options, checkpoint_minutes=1e-9))
    assert checkpoint_steps(options.output) == [11, 12]
    assert_equal(final_state(options.output), final_state(finished.output))
    assert "checkpoint_minutes" not in (options.output / "config.yaml").read_text()
    assert PretrainOptions(shards=options.shards, output=options.output).checkpoint_minutes == 15


def test_two_datasets_are_one_population_whatever_the_order_they_are_named_in(
    options: PretrainOptions, tiny_shards: Path, tmp_path: Path
) -> None:
    other = write_small_dataset(tmp_path / "bright", name="bright", train=14, brightness=140, seed=1)
    one = replace(options, shards=(tiny_shards, other.root), epochs=1)
    two = replace(options, shards=(other.root, tiny_shards), epochs=1, output=tmp_path / "swapped")
    pretrain(one)
    pretrain(two)
    assert_equal(final_state(one.output), final_state(two.output))
    assert set(read_seen(one.output).patients["dataset"]) == {"tiny", "bright"}
    backbone = load_backbone(str(one.output), mean=1.0, std=1.0)
    assert [dataset["name"] for dataset in backbone.provenance["datasets"]] == ["bright", "tiny"]
    assert backbone.provenance["steps"] == (50 + 14) // 8


def test_another_config_is_refused_and_the_same_with_threads_left_open_goes_on(
    options: PretrainOptions, signal_after: Stop
) -> None:
    options = replace(options, epochs=1)
    signal_after(2)
    pretrain(options)
    with pytest.raises(ResumeError, match=r"--lr: the run has 0.001, asked for is 0.5; --threads: the run has 1, ask"):
        pretrain(replace(options, lr=0.5, threads=2))
    assert checkpoint_steps(options.output) == [2]
    signal_after(-1)
    torch.set_num_threads(2)
    assert pretrain(replace(options, threads=None)) is Outcome.FINISHED
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("terminal_log")
def test_a_run_that_broke_off_before_its_first_checkpoint_says_that_it_begins(
    options: PretrainOptions,
    finished: PretrainOptions,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = Trainer.step

    def break_off(trainer: Trainer, batch: TwoViewBatch) -> None:
        if trainer.steps == 5:
            raise KeyboardInterrupt
        plain(trainer, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", break_off)
        with pytest.raises(KeyboardInterrupt):
            pretrain(options)
    assert [line["step"] for line in read_metrics(options.output)] == [4]
    assert pretrain(options) is Outcome.FINISHED
    assert "no checkpoint yet: starting at step 0" in capsys.readouterr().out
    assert_equal(final_state(options.output), final_state(finished.output))


def test_other_shards_under_the_same_path_are_refused(
    options: PretrainOptions, signal_after: Stop, tmp_path: Path
) -> None:
    signal_after(2)
    pretrain(options)
    other = write_small_dataset(tmp_path / "other", name="tiny", seed=5)
    with pytest.raises(ResumeError, match="digests"):
        pretrain(replace(options, shards=(other.root,)))


def test_a_run_from_a_file_names_it_keeps_its_patients_and_no_longer_needs_it_to_go_on(
    options: PretrainOptions, finished: PretrainOptions, signal_after: Stop, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    shutil.copytree(finished.output, start, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    pd.DataFrame({"dataset": ["older"], "patient_id": ["p9"]}).to_parquet(start / "patients.parquet")
    options = replace(options, init=str(start / "backbone.safetensors"), epochs=1)
    signal_after(2)
    pretrain(options)
    shutil.rmtree(start)
    signal_after(-1)
    assert pretrain(options) is Outcome.FINISHED
    assert load_backbone(str(options.output), mean=1.0, std=1.0).provenance["init"] == "backbone.safetensors"
    assert set(read_seen(options.output).patients["dataset"]) == {"older", "tiny"}


def test_a_loss_that_is_not_a_number_stops_the_run_and_no_checkpoint_has_any(
    options: PretrainOptions,
) -> None:
    options = replace(options, optimizer="sgd", lr=1e30, log_every=100, checkpoint_every=1)
    with pytest.raises(
        TrainingError, match=r"(The loss is (nan|inf) at step \d|A weight is not a finite number)"
    ) as sentence:
        pretrain(options)
    steps = checkpoint_steps(options.output)
    newest = f"from before that: {checkpoint_path(options.output, steps[-1])}." if steps else "There is no checkpoint"
    assert newest in str(sentence.value)
    for step in checkpoint_steps(options.output):
        weights = load_checkpoint(options.output, step)["moco"]
        assert all(value.isfinite().all() for value in weights.values())
    assert not (options.output / "backbone.safetensors").exists()


def test_weights_that_are_not_numbers_are_never_saved_though_the_loss_was_one(
    options: PretrainOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Trainer.step

    def poison(trainer: Trainer, batch: TwoViewBatch) -> None:
        plain(trainer, batch)
        if trainer.steps == 6:
            next(trainer.moco.query_encoder.parameters()).data[0] = torch.nan

    monkeypatch.setattr(Trainer, "step", poison)
    with pytest.raises(TrainingError, match=r"A weight is not a finite number after step 6.*There is no checkpoint"):
        pretrain(options)
    assert checkpoint_steps(options.output) == []


def test_the_sentence_of_a_lost_loss_names_the_last_checkpoint_from_before_it(
    options: PretrainOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Trainer.step

    def poison(trainer: Trainer, batch: TwoViewBatch) -> None:
        if trainer.steps == 8:
            next(trainer.moco.query_encoder.parameters()).data.fill_(torch.nan)
        plain(trainer, batch)

    monkeypatch.setattr(Trainer, "step", poison)
    good = checkpoint_path(options.output, 8)
    with pytest.raises(TrainingError, match=rf"The loss is nan at step 9: .* from before that: {good}\.$"):
        pretrain(replace(options, checkpoint_every=4, log_every=100))
    assert checkpoint_steps(options.output) == [6, 8]
    state = load_checkpoint(options.output, 8)
    assert all(value.isfinite().all() for value in state["moco"].values())


def test_a_queue_of_more_than_half_the_images_is_refused_unless_forced_and_then_goes_on(
    options: PretrainOptions, signal_after: Stop
) -> None:
    with pytest.raises(TrainingError, match=r"26 keys, more than half of the 50 .* Give --queue-size 25 or fewer, or"):
        pretrain(replace(options, queue_size=26))
    assert not options.output.exists()
    signal_after(1)
    assert pretrain(replace(options, queue_size=26, force_queue=True, epochs=1)) is Outcome.PREEMPTED
    signal_after(-1)
    assert pretrain(replace(options, queue_size=26, epochs=1)) is Outcome.FINISHED


def test_a_batch_larger_than_the_train_split_is_refused_before_anything_is_written(options: PretrainOptions) -> None:
    with pytest.raises(SubsetError, match=r"50 samples .*fewer than a batch of 64"):
        pretrain(replace(options, batch_size=64))
    assert not options.output.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_said_before_anything_is_written(options: PretrainOptions) -> None:
    with pytest.raises(TrainingError, match="torch sees no GPU here"):
        pretrain(replace(options, device="gpu"))
    assert not options.output.exists()


def test_a_run_from_staged_shards_is_the_same_run(
    options: PretrainOptions, finished: PretrainOptions, signal_after: Stop, tmp_path: Path
) -> None:
    signal_after(7)
    assert pretrain(replace(options, stage_to=tmp_path / "one node")) is Outcome.PREEMPTED
    signal_after(-1)
    assert pretrain(replace(options, stage_to=tmp_path / "another")) is Outcome.FINISHED
    assert_equal(final_state(options.output), final_state(finished.output))


def test_a_run_goes_on_without_what_was_quarantined_and_says_so(
    options: PretrainOptions, signal_after: Stop, tiny_shards: Path, tmp_path: Path
) -> None:
    shards = tmp_path / "shards"
    shutil.copytree(tiny_shards, shards)
    options = replace(options, shards=(shards,), log_every=1)
    signal_after(2)
    assert pretrain(options) is Outcome.PREEMPTED
    signal_after(-1)
    dataset = open_dataset(shards)
    keys = dataset.samples.loc[dataset.samples["split"] == "train", "key"].iloc[:3]
    write_quarantine(shards, dataset.name, dataset.digest, [Quarantined(key, "train-000000", "x") for key in keys])
    assert pretrain(options) is Outcome.FINISHED
    lines = read_metrics(options.output)
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert [line.get("quarantined", 0) for line in lines] == [0, 0] + [3] * (len(lines) - 2)
