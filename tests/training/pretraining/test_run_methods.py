"""Whole runs with the choices of method: BatchNorm ema, positives, stochastic depth, more epochs, a falling rank."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torchvision.ops import StochasticDepth

from shards.errors import ResumeError
from shards.format.dataset import open_dataset
from shards.format.subsets import planned
from tests.training.pretraining.test_pretrain import Stop, assert_equal, final_state, signal_after
from training.backbones.weight_files import read_weights
from training.errors import RunError, TrainingError
from training.pretraining.build import build_trainer
from training.pretraining.command import Outcome, pretrain
from training.pretraining.options import PretrainOptions
from training.pretraining.trainer import Trainer
from training.processes.ranks import Ranks
from training.runs.backbone_from import load_backbone
from training.runs.checkpoints import load_checkpoint
from training.runs.directory import read_config
from training.runs.metrics_log import read_metrics

__all__ = ["signal_after"]


def test_a_run_with_ema_sets_its_statistics_once_from_batches_that_it_records(
    options: PretrainOptions, signal_after: Stop
) -> None:
    options = replace(options, batch_norm="ema", checkpoint_every=1)
    signal_after(1)
    assert pretrain(options) is Outcome.PREEMPTED
    state = load_checkpoint(options.output, 1)
    assert state["backbone"]["provenance"]["statistics_from_batches"] == 6
    query, key = (state["moco"][f"{side}_encoder.bn1.running_mean"] for side in ("query", "key"))
    assert not torch.equal(query, key)  # the query's have seen a batch more
    torch.testing.assert_close(query, key, rtol=0.2, atol=0.2)
    assert int(state["moco"]["query_encoder.bn1.num_batches_tracked"]) == 1
    signal_after(-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "set_statistics", None)
        assert pretrain(options) is Outcome.FINISHED
    start = read_weights(options.output / "start.safetensors")
    assert torch.equal(start["bn1.running_mean"], torch.zeros(64))  # as the weights were given


def test_branches_of_the_query_encoder_alone_are_dropped_and_only_if_asked(options: PretrainOptions) -> None:
    for probability in (0.0, 0.3):
        asked = replace(options, backbone="convnext_tiny", batch_norm="none", stochastic_depth=probability)
        moco = build_trainer(asked, "random", (100.0, 50.0), 6, Ranks.alone()).moco
        query, key = (
            max(module.p for module in encoder.modules() if isinstance(module, StochasticDepth))
            for encoder in (moco.query_encoder, moco.key_encoder)
        )
        assert (query, key) == (probability, 0.0)


def test_with_positives_the_queue_holds_the_ids_that_the_mask_is_about(
    options: PretrainOptions, tiny_shards: Path
) -> None:
    pretrain(replace(options, positives="patient", epochs=1))
    found = set(load_checkpoint(options.output, 6)["moco"]["queue.sample_ids"].tolist())
    rows = planned(open_dataset(tiny_shards), "train")
    assert found <= set(rows.groupby("patient_id")["sample_id"].min())
    assert len(found) > 10


def test_a_run_that_was_recorded_before_there_were_positives_goes_on(
    options: PretrainOptions, finished: PretrainOptions, signal_after: Stop
) -> None:
    signal_after(5)
    pretrain(options)
    path = options.output / "config.yaml"
    config = yaml.safe_load(path.read_text())
    for later in ("positives", "same_projection", "mask", "stochastic_depth"):
        del config[later]
    path.write_text(yaml.safe_dump(config))
    signal_after(-1)
    assert pretrain(options) is Outcome.FINISHED
    assert_equal(final_state(options.output), final_state(finished.output))


@pytest.mark.parametrize("killed", ["not", "before last.json says so", "while it trains"])
def test_a_finished_run_that_is_given_more_epochs_equals_one_that_had_them_from_the_start(
    options: PretrainOptions, finished: PretrainOptions, signal_after: Stop, killed: str
) -> None:
    assert pretrain(replace(options, epochs=1)) is Outcome.FINISHED
    if killed == "before last.json says so":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("training.pretraining.run_directory.prune_checkpoints", None)  # called between the two
            with pytest.raises(TypeError):
                pretrain(options)
        assert (read_config(options.output) or {})["epochs"] == 2
        assert load_backbone(str(options.output), mean=1.0, std=1.0).provenance["epochs"] == 1
    if killed == "while it trains":
        signal_after(8)
        assert pretrain(options) is Outcome.PREEMPTED
        with pytest.raises(RunError, match="it stands at step 8"):
            load_backbone(str(options.output), mean=1.0, std=1.0)
        signal_after(-1)
    assert pretrain(options) is Outcome.FINISHED
    found, expected = final_state(options.output), final_state(finished.output)
    assert [line["step"] for line in read_metrics(options.output)] == [4, 6, 8, 12]  # a run's last step has a line
    for state in (found, expected):
        del state["metrics"]
    assert_equal(found, expected)
    with pytest.raises(ResumeError, match="--epochs: the run has 2, asked for is 1"):
        pretrain(replace(options, epochs=1))


def test_a_finished_cosine_is_given_no_more_epochs_and_an_unfinished_run_neither(
    options: PretrainOptions, signal_after: Stop
) -> None:
    cosine = replace(options, schedule="cosine", epochs=1, batch_size=24)
    pretrain(cosine)
    advice = re.escape(f"another --output: --init {options.output / 'backbone.safetensors'}.")
    with pytest.raises(TrainingError, match=rf"with --epochs 2 every step of it would have had another rate.*{advice}"):
        pretrain(replace(cosine, epochs=2))
    following = replace(
        cosine, output=options.output.parent / "next", init=str(options.output / "backbone.safetensors")
    )
    assert pretrain(following) is Outcome.FINISHED
    stopped = replace(options, output=options.output.parent / "stopped")
    signal_after(1)
    pretrain(stopped)
    with pytest.raises(ResumeError, match="--epochs: the run has 2, asked for is 3"):
        pretrain(replace(stopped, epochs=3))


@pytest.mark.usefixtures("terminal_log")
def test_a_rank_that_falls_from_the_starts_is_warned_of_after_a_resume_too(
    options: PretrainOptions, signal_after: Stop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def health(trainer: Trainer) -> dict[str, float]:
        rank = 20.0 if trainer.steps < 6 else 3.9
        return {"feature_std": 0.05, "effective_rank": rank, "momentum_distance": 0.1}

    monkeypatch.setattr(Trainer, "health", health)
    options = replace(options, log_every=2, batch_size=24, epochs=5)  # 10 steps of 24 keys
    monkeypatch.setattr("training.moco.health.NEWEST", 48)
    signal_after(4)
    assert pretrain(options) is Outcome.PREEMPTED
    assert "effective rank" not in capsys.readouterr().err
    signal_after(-1)
    assert pretrain(options) is Outcome.FINISHED
    said = capsys.readouterr().err
    assert said.count("effective rank of the keys is 3.9 at step 6, under a fifth of the start's 20.0") == 1
