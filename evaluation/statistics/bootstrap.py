"""Resample units (patients, studies, rows) with replacement: every arm, draw and label sees the same replicates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.influence import Influence
from evaluation.metrics.metrics import Metric, ReplicatedMetric
from evaluation.metrics.ratio import RatioStack, WeightedRatio

CHUNK_ELEMENTS = 2**21  # rows x replicates held at once; about 20 bytes each, so some 40 MB whatever the size
_BLOCK_ELEMENTS = 2**14


@dataclass(frozen=True)
class ArmSample:
    """A metric of one arm by label. by_draw: [draws, labels], NaN where undefined.

    replicates: [replicates, labels], the mean over draws in each replicate. with_draws: the same with draws resampled
    too, equal to replicates where they are not. influence: by label, of the mean over draws.
    """

    by_draw: NDArray[np.float64]
    replicates: NDArray[np.float64]
    with_draws: NDArray[np.float64]
    influence: tuple[Influence, ...]

    @property
    def value(self) -> NDArray[np.float64]:
        """Mean over draws, [labels]; NaN where it is undefined in one of them."""
        return np.asarray(self.by_draw.mean(axis=0), np.float64)


@dataclass(frozen=True)
class Replicates:
    """How many replicates are drawn, and by which seed. advance is told of them as they are done.

    weights: by arm, the draws' weights in each replicate [draws, replicates]; None for equal ones.
    """

    number: int
    seed: int
    advance: Callable[[int], None] = lambda replicates_done: None
    weights: Sequence[NDArray[np.float64] | None] | None = None


def resampled_counts(units: int, replicates: int, seed: int, chunk: int) -> Iterator[NDArray[np.int32]]:
    """Yield how often each unit is drawn, in chunks [units, k] with k <= chunk; `units` draws a replicate.

    Replicate r depends on (units, seed, r) only: not on the chunk, nor on what is computed with it.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    block = max(1, _BLOCK_ELEMENTS // units)  # so many replicates are counted at once, as long as they fit the cache
    for start in range(0, replicates, chunk):
        counts = np.empty((units, min(chunk, replicates - start)), np.int32)
        for first in range(0, counts.shape[1], block):
            size = min(block, counts.shape[1] - first)
            drawn = generator.integers(0, units, size=(size, units))
            drawn += np.arange(size)[:, None] * units
            counts[:, first : first + size] = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units).T
        yield counts


def replicate_arms(
    arms: Sequence[NDArray[np.float64]],
    truth: NDArray[np.float64],
    unit: NDArray[np.int64],
    metric: Metric,
    replicates: Replicates,
    scored: Sequence[int] | None = None,
) -> list[ArmSample]:
    """Compute each arm's metric by label, averaged over the arm's draws, on the same replicates.

    arms: one [draws, rows, labels] an arm. truth: [rows, labels], 1, 0, or NaN where the row is left out of the
    label. unit: [rows], 0-based without gaps. Units are drawn from all rows, so that labels stay paired too: a row
    left out of a label is drawn like any other and carries no weight there.
    scored: the label of the scores that each column of truth judges, where columns are labels within subgroups; None
    for columns that are the labels.
    """
    units = int(unit.max()) + 1
    scored = range(truth.shape[1]) if scored is None else scored
    prepared = [[_Draw(_prepare(draw, truth, unit, metric, scored)) for draw in scores] for scores in arms]
    chunk = max(1, min(replicates.number, CHUNK_ELEMENTS // max(len(unit), units)))
    once = np.ones((units, 1), np.int32)
    weights = replicates.weights or [None] * len(arms)
    equal: list[list[NDArray[np.float64]]] = [[] for _ in arms]
    resampled: list[list[NDArray[np.float64]]] = [[] for _ in arms]
    done = 0
    for counts in resampled_counts(units, replicates.number, replicates.seed, chunk):
        end = done + counts.shape[1]
        for place, arm in enumerate(prepared):
            by_draw = _by_draw(arm, counts)
            equal[place].append(by_draw.mean(axis=0))
            of_draws = weights[place]
            if of_draws is not None:
                resampled[place].append(np.einsum("drl,dr->rl", by_draw, of_draws[:, done:end]))
        done = end
        replicates.advance(counts.shape[1])
    return [
        ArmSample(
            by_draw=_by_draw(arm, once)[:, 0],
            replicates=(mean := np.concatenate(of_arm)),
            with_draws=np.concatenate(of_draws) if of_draws else mean,
            influence=_mean_influence(arm),
        )
        for arm, of_arm, of_draws in zip(prepared, equal, resampled, strict=True)
    ]


class _Draw:
    """One draw's metrics by label. Those that are ratios are computed together, in one matrix product."""

    def __init__(self, metrics: list[ReplicatedMetric]) -> None:
        self.metrics = metrics
        ratios = [one for one in metrics if isinstance(one, WeightedRatio)]
        self._stack = RatioStack(ratios) if len(ratios) == len(metrics) else None

    def __call__(self, counts: NDArray[np.int32]) -> NDArray[np.float64]:
        """counts: [units, replicates] -> [replicates, labels]."""
        if self._stack is not None:
            return self._stack(counts)
        return np.stack([metric(counts) for metric in self.metrics], axis=1)


def _prepare(
    scores: NDArray[np.float64],
    truth: NDArray[np.float64],
    unit: NDArray[np.int64],
    metric: Metric,
    scored: Sequence[int],
) -> list[ReplicatedMetric]:
    """Prepare one metric for each column of truth. scores: [rows, labels] of one draw."""
    units = int(unit.max()) + 1
    known = ~np.isnan(truth)  # [rows, columns]
    return [
        metric(scores[rows, scored[column]], truth[rows, column] == 1, unit[rows], units)
        for column, rows in enumerate(known.T)
    ]


def _by_draw(arm: Sequence[_Draw], counts: NDArray[np.int32]) -> NDArray[np.float64]:
    """The metric of each draw, [draws, replicates, labels]."""
    return np.stack([draw(counts) for draw in arm])


def _mean_influence(arm: Sequence[_Draw]) -> tuple[Influence, ...]:
    """Influence on the mean over draws, by label: the mean of the draws' influence values, the fewest units of each."""
    found = []
    for draws in zip(*(draw.metrics for draw in arm), strict=True):
        of_draws = [metric.influence() for metric in draws]
        by_unit = np.mean([one.by_unit for one in of_draws], axis=0)
        rows = float(np.mean([one.row_variance for one in of_draws]))
        groups = tuple(min(units) for units in zip(*(one.groups for one in of_draws), strict=True))
        trials = float(np.mean([one.trials for one in of_draws]))
        found.append(Influence(np.asarray(by_unit, np.float64), rows, groups, trials))
    return tuple(found)
