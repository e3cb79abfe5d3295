import pytest
import torch
from torch import nn

from training.backbones.architectures import ARCHITECTURES
from training.backbones.networks import build_backbone
from training.choices import SCHEDULES
from training.optimizers import build_optimizer
from training.schedules import learning_rate


def rate(step: int, schedule: str, warmup_epochs: int = 0) -> float:
    return learning_rate(
        step,
        schedule=schedule,
        lr=1e-4,
        milestones=(12, 18, 24),
        epochs=20,
        steps_per_epoch=7,
        warmup_epochs=warmup_epochs,
    )


@pytest.mark.parametrize(("epoch", "expected"), [(0, 1e-4), (11, 1e-4), (12, 1e-5), (17, 1e-5), (18, 1e-6), (19, 1e-6)])
def test_the_published_schedule_divides_by_ten_from_the_first_step_of_epochs_12_and_18(
    epoch: int, expected: float
) -> None:
    assert rate(epoch * 7, "step") == pytest.approx(expected)
    assert rate(epoch * 7 + 6, "step") == pytest.approx(expected)


def test_a_cosine_begins_at_the_rate_passes_its_half_and_ends_just_above_zero() -> None:
    assert rate(0, "cosine") == pytest.approx(1e-4)
    assert rate(70, "cosine") == pytest.approx(5e-5)
    assert 0 < rate(139, "cosine") < 2e-8
    assert all(rate(step, "cosine") > rate(step + 1, "cosine") for step in range(139))


def test_a_constant_rate_stays() -> None:
    assert {rate(step, "constant") for step in range(140)} == {1e-4}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_warm_up_rises_in_equal_parts_to_the_rate_that_it_is_for(schedule: str) -> None:
    assert [rate(step, schedule, 2) for step in range(14)] == pytest.approx([1e-4 * n / 14 for n in range(1, 15)])
    assert rate(14, schedule, 2) == pytest.approx(1e-4)


def test_after_a_warm_up_a_cosine_ends_where_it_would_and_milestones_stay_where_they_are() -> None:
    assert rate(14 + 63, "cosine", 2) == pytest.approx(5e-5)  # half of the 126 steps that are left
    assert 0 < rate(139, "cosine", 2) < 2e-8
    assert [rate(step, "step", 2) for step in range(14, 140)] == [rate(step, "step") for step in range(14, 140)]


@pytest.mark.parametrize("name", ["adam", "sgd"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weight_decay_leaves_out_norms_and_biases_and_nothing_else_where_it_is_told_to(
    name: str, architecture: str
) -> None:
    head = nn.Linear(3, 2)
    network = nn.Sequential(build_backbone(architecture, 0), head)
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    decayed = {id(module.weight) for module in layers}
    optimizer = build_optimizer(name, network.parameters(), lr=1e-4, weight_decay=0.01, decay_norms=False)
    first, second = optimizer.param_groups
    assert (first["weight_decay"], second["weight_decay"]) == (0.01, 0.0)
    assert {id(parameter) for parameter in first["params"]} == decayed
    assert len(first["params"]) + len(second["params"]) == len(list(network.parameters()))
    weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert (head.weight.abs() < weight.abs()).all()
    assert torch.equal(head.bias, bias)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_an_optimizer_trains_only_what_has_a_gradient_with_the_given_decay(name: str) -> None:
    trained, frozen = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2), requires_grad=False)
    optimizer = build_optimizer(name, [trained, frozen], lr=0.1, weight_decay=0.01)
    (group,) = optimizer.param_groups
    assert group["params"] == [trained]
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.01)
    trained.grad = torch.tensor([1.0, -1.0])
    optimizer.step()
    assert trained[0] < 1 < trained[1]
