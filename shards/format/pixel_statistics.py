"""Pixel mean and standard deviation of several datasets together."""

import math
from collections.abc import Iterable, Sequence

from shards.format.dataset import Dataset
from shards.format.subsets import select


def pooled_statistics(datasets: Sequence[Dataset]) -> tuple[float, float]:
    """Mean and standard deviation, 0..255, of the datasets' train images put together; each image counts the same."""
    counts = {dataset.name: len(select(dataset, "train")) for dataset in datasets}
    # A set without train images has no mean and is not asked for one.
    return pool((counts[d.name], d.mean, d.std) for d in datasets if counts[d.name])


def pool(parts: Iterable[tuple[int, float, float]]) -> tuple[float, float]:
    """Mean and standard deviation of the union of parts, each (samples > 0, mean, standard deviation).

    The variance is the whole one: the mean of the parts' variances plus the variance of their means. So the pooled
    images, which is what the network sees, have variance 1 after normalisation, also where one set is brighter.
    """
    known = list(parts)
    total = sum(count for count, _, _ in known)
    centre = math.fsum(count * mean for count, mean, _ in known) / total
    variance = math.fsum(count * (std**2 + (mean - centre) ** 2) for count, mean, std in known) / total
    return centre, math.sqrt(variance)
