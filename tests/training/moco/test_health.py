"""Figures of a run's health, against obvious ones, and on encoders that are as ill as can be."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from training.moco.health import RankWatch, gradient_norm, momentum_distance, of_logits, spread
from training.moco.queue import QueueOfKeys


@settings(max_examples=50, deadline=None)
@given(queries=st.integers(1, 6), negatives=st.integers(1, 12), seed=st.integers(0, 2**31), masked=st.booleans())
def test_figures_of_logits_are_those_counted_query_by_query(
    queries: int, negatives: int, seed: int, masked: bool
) -> None:
    rng = np.random.default_rng(seed)
    cosines = rng.integers(-4, 5, (queries, 1 + negatives)) / 4  # ties occur
    if masked:
        cosines[:, 1:][rng.random((queries, negatives)) < 0.4] = -np.inf
    found = of_logits(torch.from_numpy(cosines / 0.2), 0.2)
    ranks = [sum(other >= row[0] for other in row[1:]) for row in cosines]
    assert float(found["top1"]) == pytest.approx(np.mean([rank < 1 for rank in ranks]))
    assert float(found["top5"]) == pytest.approx(np.mean([rank < 5 for rank in ranks]))
    assert float(found["positive"]) == pytest.approx(np.mean([row[0] for row in cosines]), abs=1e-6)
    hardest = np.mean([max(-1.0, *row[1:]) for row in cosines])
    assert float(found["hardest_negative"]) == pytest.approx(hardest, abs=1e-6)


def test_a_collapsed_encoder_is_never_right_and_has_no_spread() -> None:
    found = of_logits(torch.full((3, 9), 5.0), 0.2)
    assert (float(found["top1"]), float(found["top5"])) == (0, 0)
    point = F.normalize(torch.ones(8, 1), dim=0).expand(8, 40)
    assert spread(point)["feature_std"] == pytest.approx(0, abs=1e-7)
    assert spread(point)["effective_rank"] == pytest.approx(1, abs=1e-4)


def test_features_all_over_the_sphere_have_full_rank_and_a_plane_has_two() -> None:
    generator = torch.Generator().manual_seed(0)
    sphere = F.normalize(torch.randn(16, 20_000, generator=generator), dim=0)
    assert spread(sphere)["feature_std"] == pytest.approx(1 / 4, rel=0.01)
    assert spread(sphere)["effective_rank"] == pytest.approx(16, rel=0.01)
    plane = torch.zeros(16, 20_000)
    plane[:2] = F.normalize(torch.randn(2, 20_000, generator=generator), dim=0)
    assert spread(plane)["effective_rank"] == pytest.approx(2, rel=0.01)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(1, 30), st.integers(0, 2**31))
def test_the_spread_is_that_of_numpy(dimension: int, count: int, seed: int) -> None:
    features = F.normalize(torch.randn(dimension, count, generator=torch.Generator().manual_seed(seed)), dim=0)
    values = features.double().numpy()
    shares = np.linalg.svd(values, compute_uv=False) ** 2
    shares = shares[shares > 1e-12] / shares.sum()
    found = spread(features)
    assert found["feature_std"] == pytest.approx(values.std(axis=1).mean(), rel=1e-6, abs=1e-9)
    assert found["effective_rank"] == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-6)


def test_norm_and_distance_are_over_all_parameters_together() -> None:
    one, other = torch.tensor([3.0, 0.0], requires_grad=True), torch.tensor([[4.0]], requires_grad=True)
    without = torch.ones(3, requires_grad=True)
    (one.square().sum() / 2 + other.square().sum() / 2).backward()  # type: ignore[no-untyped-call]
    assert float(gradient_norm([one, other, without])) == pytest.approx(5)
    assert momentum_distance([one, other], [one, other]) == 0
    assert momentum_distance([one.detach() * 0, other.detach()], [one, other]) == pytest.approx(3 / 5)


def test_the_newest_keys_are_the_last_ones_enqueued_and_random_ones_never() -> None:
    queue = QueueOfKeys(4, 10, seed=0)
    assert queue.newest(3).shape == (4, 0)
    keys = F.normalize(torch.randn(26, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    for start, stop in ((0, 6), (6, 12), (12, 26)):
        queue.enqueue(keys[start:stop], torch.arange(start, stop))
        for count in (1, 3, 20):
            expected = keys[max(0, stop - min(count, 10)) : stop]
            assert torch.equal(queue.newest(count), expected.flip(0).T)


def test_a_rank_under_a_fifth_of_the_starts_is_told_once() -> None:
    watch = RankWatch(keys_per_step=32)
    ranks = [8.0, 12.0, 15.0, 14.0, 9.0, 3.1, 2.9, 1.2, 1.1]  # 15 after 30 steps, 960 keys
    told = [watch.see(10 * number, rank) for number, rank in enumerate(ranks, start=1)]
    assert told == [None] * 6 + [15.0, None, None]


def test_a_start_of_few_keys_is_not_taken_for_a_fall_nor_a_later_peak_for_the_start() -> None:
    watch = RankWatch(keys_per_step=2048)
    told = [watch.see(step, rank) for step, rank in ((1, 4.0), (2, 90.0), (3, 5.0), (4, 0.7))]
    assert told == [None, None, None, 4.0]
