"""The trainer on batches made up here: no shards, no files but a checkpoint's."""

import math
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

from shards.loading.loaders import TwoViewBatch
from training.backbones.networks import build_backbone, images_to_input
from training.errors import TrainingError
from training.moco.model import MoCo, MoCoSettings, info_nce_logits, info_nce_loss
from training.pretraining.checkpoint_state import TrainerState
from training.pretraining.options import PretrainOptions
from training.pretraining.trainer import Trainer
from training.runs.checkpoints import load_checkpoint, save_checkpoint

OPTIONS = PretrainOptions(
    shards=(),
    output=Path("unused"),
    lr=1e-3,
    batch_size=6,
    queue_size=9,
    momentum=0.9,
    schedule="constant",
    device="cpu",
    threads=1,
)


def new_trainer(options: PretrainOptions = OPTIONS, bn_groups: int = 1) -> Trainer:
    moco = MoCo(
        build_backbone("resnet18", 0),
        "resnet18",
        MoCoSettings(
            queue_size=options.queue_size,
            momentum=options.momentum,
            temperature=options.temperature,
            mask_same_image=options.mask_same_image,
            bn_groups=bn_groups,
        ),
        seed=0,
    )
    return Trainer(moco, options, mean=127.0, std=64.0, steps_per_epoch=4)


def views(seed: int) -> TwoViewBatch:
    """Six coarse random patterns, of samples 0 to 5; the views are two noisy versions of each."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.randint(30, 220, (6, 1, 4, 4), generator=generator).float()
    images = torch.nn.functional.interpolate(patterns, size=32, mode="bilinear")
    noisy = [(images + 8 * torch.randn(images.shape, generator=generator)).clamp(0, 255).byte() for _ in range(2)]
    return TwoViewBatch(noisy[0], noisy[1], torch.arange(6))


@pytest.mark.parametrize("mask_same_image", [True, False])
def test_a_step_is_algorithm_1_written_out(mask_same_image: bool) -> None:
    # SGD: Adam's first steps are as large for a gradient of rounding errors as for any other.
    options = replace(OPTIONS, optimizer="sgd", lr=0.02, mask_same_image=mask_same_image)
    trainer, by_hand = new_trainer(options), new_trainer().moco
    optimizer = torch.optim.SGD(by_hand.query_encoder.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    # Two steps: at 32 pixels BatchNorm makes rounding grow so fast that a third differs in its second digit.
    for seed in range(2):
        batch = views(seed)
        trainer.step(batch)
        for key_p, query_p in zip(by_hand.key_encoder.parameters(), by_hand.query_encoder.parameters(), strict=True):
            key_p.data = key_p.data * 0.9 + query_p.data * 0.1
        query = by_hand.query_encoder(images_to_input(batch.query, 127.0, 64.0))
        key = by_hand.key_encoder(images_to_input(batch.key, 127.0, 64.0)).detach()
        query, key = query / query.norm(dim=1, keepdim=True), key / key.norm(dim=1, keepdim=True)
        own = torch.zeros(6, 9, dtype=torch.bool)
        if mask_same_image and seed == 1:  # in the second step the queue holds the first six keys, of the same images
            own[range(6), range(6)] = True
        loss = info_nce_loss(info_nce_logits(query, key, by_hand.queue.keys.clone(), 0.2, own))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        columns = torch.arange(seed * 6, seed * 6 + 6) % 9
        by_hand.queue.keys[:, columns] = key.T
        assert trainer.window.losses()[-1] == pytest.approx(float(loss.detach()), rel=1e-4)
    torch.testing.assert_close(trainer.moco.queue.keys, by_hand.queue.keys, rtol=1e-3, atol=1e-4)
    for ours, theirs in zip(trainer.moco.key_encoder.parameters(), by_hand.key_encoder.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_sees_each_view_through_its_own_tone_curve(accumulate: int) -> None:
    """Curves of whole gray levels, so that the same views can be made of pixels alone."""
    options = replace(OPTIONS, optimizer="sgd", lr=0.02, accumulate=accumulate)
    batch = views(0)
    generator = torch.Generator().manual_seed(7)
    curves = [torch.randint(0, 256, (6, 256), generator=generator).float() for _ in range(2)]
    query, key = (
        torch.stack([curve[pixels.long()] for curve, pixels in zip(tables, images, strict=True)]).byte()
        for tables, images in zip(curves, (batch.query, batch.key), strict=True)
    )
    of_pixels, of_curves = new_trainer(options), new_trainer(options)
    of_pixels.step(TwoViewBatch(query, key, batch.sample_id))
    of_curves.step(replace(batch, query_tones=curves[0], key_tones=curves[1]))
    assert of_curves.checksum() == of_pixels.checksum()
    of_neither = new_trainer(options)
    of_neither.step(batch)
    assert of_neither.checksum() != of_curves.checksum()


def freeze_statistics(trainer: Trainer) -> Trainer:
    """Both encoders normalise by what they have seen so far, which no batch changes any more."""
    trainer.moco.eval()
    return trainer


@pytest.mark.parametrize("accumulate", [2, 3, 6])
def test_without_batch_statistics_an_accumulated_step_is_that_of_one_batch(accumulate: int) -> None:
    options = replace(OPTIONS, optimizer="sgd", lr=0.02)
    whole = freeze_statistics(new_trainer(options))
    parts = freeze_statistics(new_trainer(replace(options, accumulate=accumulate)))
    for seed in range(2):
        for trainer in (whole, parts):
            trainer.step(views(seed))
    assert parts.window.losses() == pytest.approx(whole.window.losses(), rel=1e-5)
    assert parts.steps == whole.steps == 2
    assert torch.equal(parts.moco.queue.sample_ids, whole.moco.queue.sample_ids)
    torch.testing.assert_close(parts.moco.queue.keys, whole.moco.queue.keys, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(parts.moco.parameters(), whole.moco.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_batch_statistics_and_negatives_of_an_accumulated_step_are_those_of_its_parts() -> None:
    options = replace(OPTIONS, optimizer="sgd", lr=0.02, accumulate=2, mask_same_image=False)
    trainer, by_hand = new_trainer(options), new_trainer(options).moco
    batch = views(0)
    trainer.step(batch)
    losses = []
    for part in (slice(0, 3), slice(3, 6)):  # the second part's negatives hold no key of the first
        query = by_hand.queries(images_to_input(batch.query[part], 127.0, 64.0))
        key = by_hand.keys(images_to_input(batch.key[part], 127.0, 64.0))
        losses.append(float(info_nce_loss(info_nce_logits(query, key, by_hand.queue.keys, 0.2)).detach()))
    assert trainer.window.losses() == pytest.approx([sum(losses) / 2], rel=1e-4)
    statistics, by_parts = trainer.moco.query_encoder.state_dict(), by_hand.query_encoder.state_dict()
    torch.testing.assert_close(statistics["bn1.running_mean"], by_parts["bn1.running_mean"])
    assert int(statistics["bn1.num_batches_tracked"]) == 2


def test_the_contrastive_task_is_learned() -> None:
    trainer = new_trainer()
    for step in range(24):
        trainer.step(views(step % 3))
    losses = trainer.window.losses()
    assert sum(losses[-3:]) < 0.6 * max(sum(losses[i : i + 3]) for i in range(21))
    assert trainer.window.state_dict()["top1"][-1] > 0.8


def test_the_learning_rate_of_the_schedule_reaches_the_optimizer() -> None:
    trainer = new_trainer(replace(OPTIONS, schedule="step", milestones=(1,)))
    rates = []
    for step in range(6):
        trainer.step(views(step))
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3] * 4 + [1e-4] * 2)


def test_bfloat16_gives_about_the_losses_of_float32() -> None:
    exact, rounded = new_trainer(), new_trainer(replace(OPTIONS, precision="bf16"))
    for trainer in (exact, rounded):
        trainer.step(views(0))
    assert rounded.window.losses() == pytest.approx(exact.window.losses(), rel=0.05)
    assert rounded.window.losses() != exact.window.losses()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_trainer_from_a_checkpoint_goes_on_to_the_same_bits(tmp_path: Path, precision: str) -> None:
    options = replace(OPTIONS, precision=precision)
    first, second = new_trainer(options), new_trainer(options)
    first.step(views(0))
    save_checkpoint(tmp_path, 1, first.state_dict())
    second.load_state_dict(cast(TrainerState, load_checkpoint(tmp_path, 1)))
    for trainer in (first, second):
        trainer.step(views(1))
    one, other = first.state_dict(), second.state_dict()
    assert all(torch.equal(one["moco"][name], other["moco"][name]) for name in one["moco"])
    assert (one["window"], one["scaler"], one["step"]) == (other["window"], other["scaler"], other["step"])
    assert bool(one["scaler"]) == (precision == "fp16")


def test_encoders_are_compiled_whole_and_under_their_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def captured(module: nn.Module) -> None:  # without the compiler behind it, which takes minutes
        module._compiled_call_impl = torch.compile(module._call_impl, backend="eager", fullgraph=True)

    monkeypatch.setattr(nn.Module, "compile", captured)
    options = replace(OPTIONS, optimizer="sgd")
    plain, compiled = (new_trainer(each, bn_groups=3) for each in (options, replace(options, compile=True)))
    for trainer in (plain, compiled):
        trainer.step(views(0))
    one, other = plain.moco.state_dict(), compiled.moco.state_dict()
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-5)


def test_a_loss_that_is_not_a_number_is_named_with_its_step() -> None:
    trainer = new_trainer()
    trainer.steps = 20
    for loss in (1.0, 2.0, math.inf, math.nan):
        trainer.window.add({"loss": torch.tensor(loss)})
        trainer.steps += 1
    with pytest.raises(TrainingError, match="The loss is inf at step 23"):
        trainer.refuse_lost_loss()


def test_a_weight_that_is_not_a_number_is_refused() -> None:
    trainer = new_trainer()
    trainer.refuse_lost_weights()
    next(trainer.moco.key_encoder.parameters()).data[0] = torch.inf
    with pytest.raises(TrainingError, match="A weight is not a finite number after step 0"):
        trainer.refuse_lost_weights()
