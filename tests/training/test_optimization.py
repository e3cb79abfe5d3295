import pytest
import torch
from torch import nn

from training.optimization import build_optimizer, learning_rate


def rate(step: int, schedule: str) -> float:
    return learning_rate(step, schedule=schedule, lr=1e-4, milestones=(12, 18, 24), epochs=20, steps_per_epoch=7)


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
