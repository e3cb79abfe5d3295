"""MoCo's step in float64 against a slow reference written out here, with the paper's options and each of ours."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from shards.loading.loaders import TwoViewBatch
from training.backbones.networks import build_backbone, images_to_input
from training.moco.model import MoCo, MoCoSettings
from training.pretraining import trainer as trainer_module
from training.pretraining.options import PretrainOptions
from training.pretraining.trainer import Trainer

PAPER = PretrainOptions(
    shards=(), output=Path("unused"), batch_size=6, queue_size=16, momentum=0.999, temperature=0.2,
    mask_same_image=False, batch_norm="none", optimizer="adam", lr=1e-4, weight_decay=1e-4, decay_norms=True,
    schedule="step", milestones=(1, 2, 24), epochs=20, device="cpu", threads=1,
)  # fmt: skip
"""As the recipe moco_cxr_resnet18, but for what a test cannot have: 24,576 keys, and 12 epochs to a lower rate."""
BATCHES, SIDE, MEAN, STD = 3, 64, 127.0, 64.0


class Reference:
    """Algorithm 1 of He et al. 2020, query by query and tensor by tensor. State: encoders, queue as columns, Adam's."""

    def __init__(self, moco: MoCo, options: PretrainOptions) -> None:
        self.query, self.key = copy.deepcopy(moco.query_encoder), copy.deepcopy(moco.key_encoder)
        self.columns = [column.clone() for column in moco.queue.keys.T]
        self.of_image: list[int | None] = [None] * len(self.columns)
        self.place, self.options = 0, options
        self.moments = [[torch.zeros_like(p), torch.zeros_like(p)] for p in self.query.parameters()]

    def step(self, number: int, batch: TwoViewBatch) -> float:
        """One step, an epoch long. Returns the loss."""
        how = self.options
        rate = how.lr * 0.1 ** sum(number >= milestone for milestone in how.milestones)
        with torch.no_grad():
            for slow, fast in zip(self.key.parameters(), self.query.parameters(), strict=True):
                slow.copy_(how.momentum * slow + (1 - how.momentum) * fast)
            keys = [vector / vector.norm() for vector in self.key(pixels(batch.key))]
        queries = [vector / vector.norm() for vector in self.query(pixels(batch.query))]
        losses = []
        for query, key, image in zip(queries, keys, batch.sample_id.tolist(), strict=True):
            negatives = [
                column
                for column, of in zip(self.columns, self.of_image, strict=True)
                if not (how.mask_same_image and of == image)
            ]
            positive = torch.exp((query * key).sum() / how.temperature)
            others = [torch.exp((query * column).sum() / how.temperature) for column in negatives]
            losses.append(-torch.log(positive / (positive + torch.stack(others).sum())))
        loss = torch.stack(losses).sum() / len(losses)
        gradients = torch.autograd.grad(loss, list(self.query.parameters()))
        with torch.no_grad():
            for parameter, gradient, moments in zip(self.query.parameters(), gradients, self.moments, strict=True):
                self.adam(number, rate, parameter, gradient, moments)
        for key, image in zip(keys, batch.sample_id.tolist(), strict=True):
            self.columns[self.place], self.of_image[self.place] = key, image
            self.place = (self.place + 1) % len(self.columns)
        return float(loss.detach())

    def adam(self, number: int, rate: float, parameter: Tensor, gradient: Tensor, moments: list[Tensor]) -> None:
        """Kingma and Ba 2015, algorithm 1, with weight decay added to the gradient."""
        gradient = gradient + self.options.weight_decay * parameter
        moments[0] = 0.9 * moments[0] + 0.1 * gradient
        moments[1] = 0.999 * moments[1] + 0.001 * gradient**2
        first, second = moments[0] / (1 - 0.9 ** (number + 1)), moments[1] / (1 - 0.999 ** (number + 1))
        parameter -= rate * first / (second.sqrt() + 1e-8)


def pixels(images: Tensor) -> Tensor:
    """uint8 [N, 1, H, W] to float64 [N, 3, H, W]."""
    return ((images.double() - MEAN) / STD).expand(-1, 3, -1, -1)


def batch_of(seed: int) -> TwoViewBatch:
    """Two noisy versions of six patterns, the same images in each batch."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(30, 220, (6, 1, SIDE // 8, SIDE // 8), generator=torch.Generator().manual_seed(99)).float()
    images = nn.functional.interpolate(images, size=SIDE, mode="bilinear")
    noisy = [(images + 20 * torch.randn(images.shape, generator=generator)).clamp(0, 255).byte() for _ in range(2)]
    return TwoViewBatch(noisy[0], noisy[1], torch.arange(6))


@pytest.fixture(autouse=True)
def _float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images reach the networks in float64: normalised here, since the trainer's own would round to float32."""

    def exact(images: Tensor, *_: Any) -> Tensor:  # noqa: ANN401 - whatever else the trainer gives
        return pixels(images)

    monkeypatch.setattr(trainer_module, "images_to_input", exact)


@pytest.mark.parametrize(
    "changes",
    [{}, {"mask_same_image": True}, {"weight_decay": 0.0, "temperature": 0.07}],
    ids=["paper", "mask", "other"],
)
@pytest.mark.parametrize("architecture", ["resnet18"])
def test_steps_equal_a_slow_reference_in_float64(architecture: str, changes: dict[str, Any]) -> None:
    options = replace(PAPER, **changes)
    settings = MoCoSettings(
        queue_size=options.queue_size,
        momentum=options.momentum,
        temperature=options.temperature,
        mask_same_image=options.mask_same_image,
    )
    moco = MoCo(build_backbone(architecture, 0), architecture, settings, seed=0).double()
    reference = Reference(moco, options)
    trainer = Trainer(moco, options, mean=MEAN, std=STD, steps_per_epoch=1)
    losses = []
    for number in range(BATCHES):  # 18 keys in a queue of 16: the third batch wraps
        trainer.step(batch_of(number))
        losses.append(reference.step(number, batch_of(number)))
    assert trainer.window.losses() == pytest.approx(losses, abs=1e-6)  # metrics are kept in float32
    compared = [
        (moco.queue.keys, torch.stack(reference.columns, dim=1)),
        *zip(moco.query_encoder.state_dict().values(), reference.query.state_dict().values(), strict=True),
        *zip(moco.key_encoder.state_dict().values(), reference.key.state_dict().values(), strict=True),
    ]
    for ours, theirs in compared:
        assert float((ours - theirs).abs().max()) < 1e-10
    assert min(losses) > 1e-5  # something is left to learn
    before = build_backbone(architecture, 0).double().state_dict()["conv1.weight"]
    assert not torch.allclose(moco.query_encoder.state_dict()["conv1.weight"], before, atol=1e-6)  # it has moved


def test_the_references_pixels_are_the_trainers() -> None:
    images = batch_of(0).query
    torch.testing.assert_close(images_to_input(images, MEAN, STD).double(), pixels(images), rtol=1e-6, atol=1e-6)
