"""Influence values: what each resampled unit adds to an estimate, and the variances that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Influence:
    """Influence of the units on one estimate.

    by_unit: [units], sums to about zero; the sum of squares is the estimate's variance; NaN where it has none.
    row_variance: the variance if the rows were independent. groups: how many units have a positive, a negative row, or
    the units that a metric of one group of rows is of. trials: rows that a proportion is of; NaN for other metrics.
    """

    by_unit: NDArray[np.float64]
    row_variance: float
    groups: tuple[int, ...]
    trials: float = float("nan")


@dataclass(frozen=True)
class Component:
    """A part of a variance and its degrees of freedom."""

    variance: float
    df: float


def satterthwaite(components: Sequence[Component]) -> Component:
    """Sum independent parts of a variance; degrees of freedom after F. E. Satterthwaite, Biometrics Bulletin 2 (1946).

    A part without variance does not count; of no part at all the degrees of freedom are infinite.
    """
    variance = sum(part.variance for part in components)
    below = sum(part.variance**2 / part.df for part in components if part.variance > 0)
    return Component(variance, variance**2 / below if below > 0 else float("inf"))


def effective_df(by_label: NDArray[np.float64], df: NDArray[np.float64]) -> float:
    """Degrees of freedom of the mean over labels. by_label: [units, labels] influence values; df: [labels].

    A label counts by its part of the mean's variance. The variances of labels that share units may rise and fall
    together, so their errors are added as if they were fully correlated: one label alone keeps its own df, and equal
    labels keep theirs.
    """
    mean = by_label.mean(axis=1)
    parts = np.abs(by_label.T @ mean)
    if not parts.sum() > 0:
        return float(df.min())
    return float(1 / np.sum(parts / parts.sum() / np.sqrt(df)) ** 2)
