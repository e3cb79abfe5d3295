import copy
import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from training.backbones.architectures import ARCHITECTURES, TABLE
from training.backbones.networks import build_backbone, on_device
from training.moco.batch_norm import (
    SplitBatchNorm2d,
    default_groups,
    running_statistics,
    set_statistics,
    split_batch_norm,
    transposed,
)


def layer(channels: int, generator: torch.Generator) -> nn.BatchNorm2d:
    """A BatchNorm2d in the middle of its training."""
    norm = nn.BatchNorm2d(channels)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        assert tensor is not None
        tensor.copy_(torch.rand(channels, generator=generator) + 0.5)
    return norm


@given(
    groups=st.integers(1, 5),
    size=st.integers(1, 4),
    channels=st.integers(1, 6),
    side=st.integers(2, 5),
    channels_last=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_output_gradients_and_statistics_equal_those_of_each_group_run_by_itself(
    groups: int, size: int, channels: int, side: int, channels_last: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    plain = layer(channels, generator)
    split = split_batch_norm(copy.deepcopy(plain), groups)
    images = torch.randn(groups * size, channels, side, side, generator=generator)
    images = images.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    upstream = torch.randn(images.shape, generator=generator)
    ours = images.clone().requires_grad_()
    output = split(ours)
    output.backward(upstream)
    theirs = images.clone().requires_grad_()
    alone = [copy.deepcopy(plain) for _ in range(groups)]
    expected = torch.cat([norm(theirs[g * size : (g + 1) * size]) for g, norm in enumerate(alone)])
    expected.backward(upstream)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    for name in ("weight", "bias"):
        wanted = sum(getattr(norm, name).grad for norm in alone)
        torch.testing.assert_close(getattr(split, name).grad, wanted, rtol=1e-4, atol=1e-4)
    state = split.state_dict()
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(state[name], torch.stack([norm.state_dict()[name] for norm in alone]).mean(dim=0))
    assert int(state["num_batches_tracked"]) == 1
    split.eval()
    for name, value in state.items():
        plain.state_dict()[name].copy_(value)
    torch.testing.assert_close(split(images), plain.eval()(images))


def test_a_batch_that_does_not_divide_is_refused_in_training_only() -> None:
    split = split_batch_norm(nn.BatchNorm2d(2), 2)
    with pytest.raises(ValueError, match="a batch of 3 does not divide into 2 groups"):
        split(torch.randn(3, 2, 4, 4))
    assert split.eval()(torch.randn(3, 2, 4, 4)).shape == (3, 2, 4, 4)


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if TABLE[name].batch_norm])
def test_a_split_network_is_torchvisions_by_its_names_and_in_evaluation(architecture: str) -> None:
    plain = build_backbone(architecture, seed=0)
    split = split_batch_norm(copy.deepcopy(plain), 2)
    norms = [module for module in split.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) > 18
    assert all(isinstance(norm, SplitBatchNorm2d) and norm.groups == 2 for norm in norms)
    assert list(split.state_dict()) == list(plain.state_dict())
    images = torch.randn(4, 3, 64, 64)
    assert torch.equal(plain.eval()(images), split.eval()(images))


def test_a_split_network_in_training_gives_each_group_what_it_gives_it_alone() -> None:
    network = on_device(split_batch_norm(build_backbone("resnet18", seed=0), 2), torch.device("cpu"))
    images = torch.randn(6, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    together = network(images)
    alone = on_device(build_backbone("resnet18", seed=0), torch.device("cpu"))
    torch.testing.assert_close(together, torch.cat([alone(images[:3]), alone(images[3:])]), rtol=1e-3, atol=1e-4)


@given(groups=st.integers(1, 12), size=st.integers(1, 12))
def test_transposed_groups_have_as_few_images_in_common_with_the_others_as_can_be(groups: int, size: int) -> None:
    order = transposed(groups * size, groups).tolist()
    assert sorted(order) == list(range(groups * size))
    of_queries = [set(range(g * size, (g + 1) * size)) for g in range(groups)]
    of_keys = [set(order[g * size : (g + 1) * size]) for g in range(groups)]
    common = [len(queries & keys) for queries, keys in product(of_queries, of_keys)]
    # A group's images go to `groups` others, so one of these has at least so many of them.
    assert max(common) == math.ceil(size / groups)
    if size <= groups:
        assert max(common) == 1  # of an image's two groups: the image itself


@given(batch=st.integers(1, 400))
def test_the_default_groups_are_the_largest_whose_transposition_is_disjoint(batch: int) -> None:
    size = batch // default_groups(batch)
    assert size * default_groups(batch) == batch
    assert size <= default_groups(batch)
    assert not [larger for larger in range(size + 1, batch) if batch % larger == 0 and larger <= batch // larger]


@pytest.mark.parametrize(("batch", "groups"), [(16, 4), (64, 8), (256, 16), (24, 6), (32, 8), (7, 7)])
def test_the_groups_of_usual_batches(batch: int, groups: int) -> None:
    assert default_groups(batch) == groups


@given(count=st.integers(1, 5), groups=st.sampled_from([1, 2]), seed=st.integers(0, 2**31))
def test_statistics_are_set_to_the_mean_over_the_batches_whatever_they_were(count: int, groups: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    norm = split_batch_norm(nn.Sequential(layer(3, generator)), groups).train()
    before = {name: value.clone() for name, value in norm.named_parameters()}
    batches = [torch.randn(4, 3, 5, 5, generator=generator) * (number + 1) for number in range(count)]
    assert set_statistics(norm, iter(batches), norm) == count
    mean, variance = running_statistics(norm)
    parts = [part for batch in batches for part in batch.chunk(groups)]
    torch.testing.assert_close(mean, torch.stack([part.mean(dim=(0, 2, 3)) for part in parts]).mean(dim=0))
    torch.testing.assert_close(variance, torch.stack([part.var(dim=(0, 2, 3)) for part in parts]).mean(dim=0))
    assert all(torch.equal(value, before[name]) for name, value in norm.named_parameters())
    (only,) = (module for module in norm.modules() if isinstance(module, nn.BatchNorm2d))
    assert only.momentum == 0.1
    assert int(only.state_dict()["num_batches_tracked"]) == 0
