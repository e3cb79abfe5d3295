"""Paired bootstrap: truth and the scores of one or two arms in, each arm's metric in every replicate out.

Units (patients, studies, rows) are drawn with replacement; every arm, draw and label sees the same replicates.
Knows nothing of files or JSON.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.metrics import Metric, ReplicatedMetric

CHUNK_ELEMENTS = 2**21  # rows x replicates held at once; about 20 bytes each, so some 40 MB whatever the size


@dataclass(frozen=True)
class Replicated:
    """A metric and its bootstrap replicates. value: [...]; replicates: [replicates, ...]; NaN where undefined."""

    value: NDArray[np.float64]
    replicates: NDArray[np.float64]

    def __sub__(self, other: "Replicated") -> "Replicated":
        """The difference, a replicate at a time: both sides must come from the same replicates."""
        return Replicated(self.value - other.value, self.replicates - other.replicates)

    def macro_average(self) -> "Replicated":
        """Mean over the last axis (labels). A label that is undefined in a replicate is left out of its mean."""
        return Replicated(_mean_of_defined(self.value), _mean_of_defined(self.replicates))

    def interval(self, level: float) -> tuple[float, float] | None:
        """Percentile interval of a scalar metric over its defined replicates; None where there is none."""
        defined = self.replicates[~np.isnan(self.replicates)]
        if not len(defined) or np.isnan(self.value):
            return None
        low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def p_value(self) -> float | None:
        """Two-sided p of no difference, of a scalar difference: how often replicates fall on either side of 0.

        min(1, 2 min(#(d <= 0) + 1, #(d >= 0) + 1) / (R + 1)), R the defined replicates.
        """
        defined = self.replicates[~np.isnan(self.replicates)]
        if not len(defined) or np.isnan(self.value):
            return None
        smaller_side = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
        return min(1.0, 2 * (int(smaller_side) + 1) / (len(defined) + 1))


def resampled_counts(units: int, replicates: int, seed: int, chunk: int) -> Iterator[NDArray[np.int32]]:
    """How often each unit is drawn, in chunks [units, k] with k <= chunk; `units` draws a replicate.

    Replicate r depends on (units, seed, r) only: not on the chunk, nor on what is computed with it.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    for start in range(0, replicates, chunk):
        counts = np.empty((min(chunk, replicates - start), units), np.int32)
        for row in counts:
            row[:] = np.bincount(generator.integers(0, units, size=units), minlength=units)
        yield np.ascontiguousarray(counts.T)


def replicate_arms(
    arms: list[NDArray[np.float64]],
    truth: NDArray[np.float64],
    unit: NDArray[np.int64],
    metric: Metric,
    replicates: int,
    seed: int,
    advance: Callable[[int], None] = lambda replicates_done: None,
) -> list[Replicated]:
    """Each arm's metric by label, averaged over the arm's draws, on the same replicates.

    arms: one [draws, rows, labels] an arm. truth: [rows, labels], 1, 0, or NaN where the row is left out of the
    label. unit: [rows], 0-based without gaps. Units are drawn from all rows, so that labels stay paired too: a row
    left out of a label is drawn like any other and carries no weight there.
    Returns one Replicated an arm: value [labels], replicates [replicates, labels].
    """
    units = int(unit.max()) + 1
    prepared = [_prepare(scores, truth, unit, units, metric) for scores in arms]
    chunk = max(1, min(replicates, CHUNK_ELEMENTS // max(len(unit), units)))
    once = np.ones((units, 1), np.int32)
    values = [_draw_average(arm, once)[0] for arm in prepared]
    drawn: list[list[NDArray[np.float64]]] = [[] for _ in arms]
    for counts in resampled_counts(units, replicates, seed, chunk):
        for arm, collected in zip(prepared, drawn, strict=True):
            collected.append(_draw_average(arm, counts))
        advance(counts.shape[1])
    return [Replicated(value, np.concatenate(collected)) for value, collected in zip(values, drawn, strict=True)]


def _prepare(
    scores: NDArray[np.float64],
    truth: NDArray[np.float64],
    unit: NDArray[np.int64],
    units: int,
    metric: Metric,
) -> list[list[ReplicatedMetric]]:
    """One prepared metric a draw and label: [draws][labels]."""
    known = ~np.isnan(truth)  # [rows, labels]
    return [
        [metric(draw[rows, label], truth[rows, label] == 1, unit[rows], units) for label, rows in enumerate(known.T)]
        for draw in scores
    ]


def _draw_average(arm: list[list[ReplicatedMetric]], counts: NDArray[np.int32]) -> NDArray[np.float64]:
    """Mean over draws, [replicates, labels]. Draws share truth and replicates: undefined in one is so in all."""
    by_draw = [np.stack([metric(counts) for metric in labels], axis=1) for labels in arm]
    return np.asarray(np.mean(by_draw, axis=0), np.float64)


def _mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    defined = ~np.isnan(values)
    count = defined.sum(axis=-1)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    mean = np.full(count.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
