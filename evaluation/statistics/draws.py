"""Variation between training subsets (draws) and pretraining seeds: which of an arm's files differ in which, and how
much of an estimate's variance that is.

The variance of the mean over D draws is the variance between the draws' values / D. It is counted from three draws on;
two give no useful estimate. Arms with the same draws are paired by the number of the draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.influence import Component
from evaluation.tables.comparison import Draw

FEWEST = 3
"""Draws, or seeds, from which on their variation is estimated."""


@dataclass(frozen=True)
class Design:
    """The files of an arm as a grid. draws, seeds: [files], the number of each; seeds -1 where it is not known.

    by_draw, by_seed: whether the variation between draws, between seeds, is estimated.
    """

    draws: NDArray[np.int64]
    seeds: NDArray[np.int64]
    by_draw: bool
    by_seed: bool

    @property
    def levels(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The distinct draws and the distinct seeds, sorted."""
        return tuple(map(int, np.unique(self.draws))), tuple(map(int, np.unique(self.seeds)))


def design(files: Sequence[Draw]) -> Design:
    """Find in what the files of an arm differ.

    Where each seed has draws of its own (or each draw seeds of its own), the values of one hold the variation of the
    other, which is then not counted twice: draws count where there are three of them, else seeds.
    """
    draws = np.array([file.number for file in files], np.int64)
    seeds = np.array([-1 if file.pretraining_seed is None else file.pretraining_seed for file in files], np.int64)
    of_draw, of_seed = len(np.unique(draws)), len(np.unique(seeds))
    by_draw, by_seed = of_draw >= FEWEST, of_seed >= FEWEST
    pairs = len({(int(d), int(s)) for d, s in zip(draws, seeds, strict=True)})
    if by_draw and by_seed and pairs == max(of_draw, of_seed):
        by_draw, by_seed = of_draw <= of_seed, of_seed < of_draw
    return Design(draws, seeds, by_draw, by_seed)


def resampling_weights(arm: Design, replicates: int, seed: int) -> NDArray[np.float64] | None:
    """Weight of each file in each replicate [files, replicates], draws and seeds resampled; None where neither is.

    Arms with the same draws (or seeds) get the same resamples of them. A replicate without any file is NaN.
    """
    if not (arm.by_draw or arm.by_seed):
        return None
    weights = np.ones((len(arm.draws), replicates))
    for stream, (used, numbers) in enumerate(((arm.by_draw, arm.draws), (arm.by_seed, arm.seeds)), start=1):
        if used:
            levels, place = np.unique(numbers, return_inverse=True)
            generator = np.random.Generator(np.random.PCG64([seed, stream, *(int(level) + 1 for level in levels)]))
            counts = generator.multinomial(len(levels), np.full(len(levels), 1 / len(levels)), size=replicates)
            weights *= counts.T[place]
    total = weights.sum(axis=0)
    shares = np.full_like(weights, np.nan)
    np.divide(weights, total, out=shares, where=total > 0)
    return shares


def components(arm: Design, values: NDArray[np.float64]) -> list[Component]:
    """Variance of the mean over an arm's files that draws and seeds bring. values: [files]."""
    pairs = ((arm.by_draw, arm.draws), (arm.by_seed, arm.seeds))
    return [_component(_means(numbers, values)) for used, numbers in pairs if used]


def difference_components(
    arm: Design, values: NDArray[np.float64], other: Design, other_values: NDArray[np.float64]
) -> list[Component]:
    """The same of a difference between two arms; what both have is paired, all else is independent."""
    found = []
    for used, other_used, numbers, other_numbers in (
        (arm.by_draw, other.by_draw, arm.draws, other.draws),
        (arm.by_seed, other.by_seed, arm.seeds, other.seeds),
    ):
        means, other_means = _means(numbers, values), _means(other_numbers, other_values)
        if used and other_used and np.array_equal(np.unique(numbers), np.unique(other_numbers)):
            found.append(_component(means - other_means))
            continue
        found += [_component(means)] if used else []
        found += [_component(other_means)] if other_used else []
    return found


def _means(numbers: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean value of each level, in the order of their numbers."""
    _, place, count = np.unique(numbers, return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(place, weights=values) / count, np.float64)


def _component(means: NDArray[np.float64]) -> Component:
    return Component(float(means.var(ddof=1)) / len(means), len(means) - 1)
