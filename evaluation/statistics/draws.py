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
    return [component_of(_means(numbers, values)) for used, numbers in pairs if used]


def difference_components(
    arm: Design, values: NDArray[np.float64], other: Design, other_values: NDArray[np.float64]
) -> list[Component]:
    """The same of a difference between two arms; what both have is paired, all else is independent."""
    by_draw = _varying((arm.by_draw, arm.draws, values), (other.by_draw, other.draws, other_values))
    by_seed = seed_gains(arm, values, other, other_values)
    return [component_of(means) for means in [*by_draw.values(), *by_seed.values()]]


Source = tuple[str, tuple[int, ...]]
"""Whose levels vary: those of the arm, of the reference or of both, and their numbers."""


def seed_gains(
    arm: Design, values: NDArray[np.float64], other: Design, other_values: NDArray[np.float64]
) -> dict[Source, NDArray[np.float64]]:
    """The part of a difference that each pretraining seed brings, [seeds]; empty where seeds are not estimated.

    Arms that share their seeds have their difference by seed; the values of the other arm alone are negative.
    """
    return _varying((arm.by_seed, arm.seeds, values), (other.by_seed, other.seeds, other_values))


_Levels = tuple[bool, NDArray[np.int64], NDArray[np.float64]]
"""Whether the variation between levels is estimated, the level of each file, and its value."""


def _varying(arm: _Levels, other: _Levels) -> dict[Source, NDArray[np.float64]]:
    levels, other_levels = (tuple(map(int, np.unique(numbers))) for _, numbers, _ in (arm, other))
    means, other_means = _means(*arm[1:]), _means(*other[1:])
    if arm[0] and other[0] and levels == other_levels:
        return {("both", levels): means - other_means}
    found = {("arm", levels): means} if arm[0] else {}
    return found | ({("reference", other_levels): -other_means} if other[0] else {})


def _means(numbers: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean value of each level, in the order of their numbers."""
    _, place, count = np.unique(numbers, return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(place, weights=values) / count, np.float64)


def component_of(means: NDArray[np.float64]) -> Component:
    """The variance of the mean over levels, from the values of each."""
    return Component(float(means.var(ddof=1)) / len(means), len(means) - 1)
