import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.training.plain_torchvision import last_linear
from training.backbones.architectures import ARCHITECTURES
from training.backbones.networks import build_backbone
from training.moco.batch_norm import running_statistics
from training.moco.model import MoCo, MoCoSettings, info_nce_logits, info_nce_loss, momentum_update


def small_moco(
    architecture: str = "resnet18",
    *,
    momentum: float = 0.9,
    mask_same_image: bool = True,
    bn_groups: int = 1,
    ema: bool = False,
) -> MoCo:
    return MoCo(
        build_backbone(architecture, seed=0),
        architecture,
        MoCoSettings(
            queue_size=10,
            momentum=momentum,
            temperature=0.2,
            mask_same_image=mask_same_image,
            bn_groups=bn_groups,
            ema=ema,
        ),
        seed=0,
    )


def contrast(moco: MoCo, query: Tensor, key: Tensor) -> Tensor:
    return info_nce_loss(moco.logits(moco.queries(query), moco.keys(key), torch.arange(len(query))))


@given(
    samples=st.integers(1, 9),
    dimension=st.integers(1, 12),
    size=st.integers(1, 17),
    temperature=st.floats(0.05, 2.0),
    masked=st.none() | st.floats(0.0, 1.0),
    seed=st.integers(0, 2**31),
)
def test_logits_and_loss_equal_equation_1_computed_pair_by_pair(
    samples: int, dimension: int, size: int, temperature: float, masked: float | None, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    query, key, queue = (
        F.normalize(torch.randn(count, dimension, generator=generator, dtype=torch.float64), dim=1)
        for count in (samples, samples, size)
    )
    same_image = None if masked is None else torch.rand(samples, size, generator=generator) < masked
    logits = info_nce_logits(query, key, queue.T, temperature, same_image)
    losses = []
    for n in range(samples):
        similarities = [float(query[n] @ key[n]) / temperature]
        for k in range(size):
            left_out = same_image is not None and bool(same_image[n, k])
            similarities.append(-math.inf if left_out else float(query[n] @ queue[k]) / temperature)
        assert logits[n].tolist() == pytest.approx(similarities)
        losses.append(-math.log(math.exp(similarities[0]) / sum(map(math.exp, similarities))))
    assert float(info_nce_loss(logits)) == pytest.approx(sum(losses) / samples, abs=1e-12)


@given(size=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_a_masked_key_gives_the_gradient_of_a_queue_without_it(size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    query, key = (F.normalize(torch.randn(1, 6, generator=generator, dtype=torch.float64), dim=1) for _ in range(2))
    queue = F.normalize(torch.randn(size, 6, generator=generator, dtype=torch.float64), dim=1)
    masked = torch.rand(1, size, generator=generator) < 0.5
    gradients: list[Tensor] = []
    for negatives, same_image in ((queue, masked), (queue[~masked[0]], None)):
        leaf = query.clone().requires_grad_()
        loss = info_nce_loss(info_nce_logits(leaf, key, negatives.T, 0.2, same_image))
        gradients += torch.autograd.grad(loss, leaf)
    torch.testing.assert_close(*gradients)


def test_only_keys_of_other_images_are_negatives_unless_told_otherwise() -> None:
    keys = F.normalize(torch.randn(3, 128), dim=1)
    for mask_same_image in (True, False):
        moco = small_moco(mask_same_image=mask_same_image)
        moco.queue.enqueue(keys, torch.tensor([7, 5, 7]))
        logits = moco.logits(keys[:2], keys[:2], torch.tensor([7, 6]))
        assert torch.isinf(logits[:, 1:]).tolist() == [
            [mask_same_image, False, mask_same_image, *[False] * 7],
            [False] * 10,
        ]


@given(momentum=st.floats(0.0, 1.0), seed=st.integers(0, 2**31))
def test_momentum_update_is_equation_2_for_every_tensor(momentum: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    slow, fast = ([torch.randn(3, 4, generator=generator), torch.randn(5, generator=generator)] for _ in range(2))
    expected = [momentum * s + (1 - momentum) * f for s, f in zip(slow, fast, strict=True)]
    untouched = [tensor.clone() for tensor in fast]
    momentum_update(iter(slow), iter(fast), momentum)
    for result, wanted in zip(slow, expected, strict=True):
        torch.testing.assert_close(result, wanted)
    assert all(torch.equal(a, b) for a, b in zip(fast, untouched, strict=True))


@torch.no_grad()
def test_an_image_is_normalised_with_other_images_as_a_query_than_as_a_key() -> None:
    moco, plain = small_moco(bn_groups=2), small_moco()
    images = torch.randn(4, 3, 64, 64)
    queries, keys = moco.queries(images), moco.keys(images)
    torch.testing.assert_close(queries[1::2], plain.queries(images[1::2]), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(keys[:2], plain.keys(images[:2]), rtol=1e-3, atol=1e-4)
    for changed in range(4):
        others = images.clone()
        others[changed] += 1.0 + torch.randn(3, 64, 64)
        query_moves = (moco.queries(others) - queries).abs().amax(dim=1) > 1e-4
        key_moves = (moco.keys(others) - keys).abs().amax(dim=1) > 1e-4
        assert (query_moves & key_moves).nonzero().ravel().tolist() == [changed]
        assert query_moves.sum() == key_moves.sum() == 2


@torch.no_grad()
def test_with_ema_a_key_depends_on_its_own_image_alone_and_a_query_on_its_batch() -> None:
    moco = small_moco(ema=True).train()
    images = torch.randn(4, 3, 64, 64)
    queries, keys = moco.queries(images), moco.keys(images)
    statistics = {name: value.clone() for name, value in moco.key_encoder.state_dict().items()}
    for changed in range(4):
        others = images.clone()
        others[changed] += 1.0 + torch.randn(3, 64, 64)
        key_moves = (moco.keys(others) - keys).abs().amax(dim=1) > 1e-5
        assert key_moves.nonzero().ravel().tolist() == [changed]
        assert ((moco.queries(others) - queries).abs().amax(dim=1) > 1e-4).all()
    torch.testing.assert_close(moco.keys(images[:1]), keys[:1])
    assert all(torch.equal(value, statistics[name]) for name, value in moco.key_encoder.state_dict().items())


def test_with_ema_the_statistics_follow_as_the_parameters_do() -> None:
    moco = small_moco(momentum=0.75, ema=True)
    with torch.no_grad():
        for value in running_statistics(moco.query_encoder):
            value.add_(4.0)
    before = [value.clone() for value in running_statistics(moco.key_encoder)]
    moco.update_key_encoder()
    for value, start in zip(running_statistics(moco.key_encoder), before, strict=True):
        torch.testing.assert_close(value, start + 1.0)
    plain = small_moco(momentum=0.75)
    with torch.no_grad():
        for value in running_statistics(plain.query_encoder):
            value.add_(4.0)
    plain.update_key_encoder()
    assert all(map(torch.equal, running_statistics(plain.key_encoder), before))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_only_the_query_encoder_receives_a_gradient(architecture: str) -> None:
    moco = small_moco(architecture)
    contrast(moco, torch.randn(3, 3, 32, 32), torch.randn(3, 3, 32, 32)).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in moco.query_encoder.parameters())
    assert all(p.grad is None and not p.requires_grad for p in moco.key_encoder.parameters())
    assert not moco.queue.keys.requires_grad


def test_the_key_encoder_starts_as_a_copy_and_follows_by_momentum() -> None:
    moco = small_moco(momentum=0.75)
    start = [p.detach().clone() for p in moco.key_encoder.parameters()]
    assert all(torch.equal(k, q) for k, q in zip(start, moco.query_encoder.parameters(), strict=True))
    with torch.no_grad():
        for parameter in moco.query_encoder.parameters():
            parameter.add_(4.0)
    moco.update_key_encoder()
    for parameter, before in zip(moco.key_encoder.parameters(), start, strict=True):
        torch.testing.assert_close(parameter, before + 1.0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_head_has_a_hidden_layer_as_wide_as_the_features_and_gives_128_numbers(architecture: str) -> None:
    head, layer = last_linear(architecture)
    features, state = layer.in_features, small_moco(architecture).query_encoder.state_dict()
    weights = {name: tuple(value.shape) for name, value in state.items() if name.startswith(f"{head}.")}
    assert weights == {
        f"{head}.0.weight": (features, features),
        f"{head}.0.bias": (features,),
        f"{head}.2.weight": (128, features),
        f"{head}.2.bias": (128,),
    }


def test_queries_and_keys_are_unit_vectors_in_float32_also_under_autocast() -> None:
    moco = small_moco()
    images = torch.randn(3, 3, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        queries, keys = moco.queries(images), moco.keys(images)
        logits = moco.logits(queries, keys, torch.arange(3))
    assert queries.dtype == keys.dtype == logits.dtype == torch.float32
    torch.testing.assert_close(queries.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(keys.norm(dim=1), torch.ones(3))


def test_head_and_queue_are_functions_of_the_seed() -> None:
    first, again = small_moco().state_dict(), small_moco().state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
