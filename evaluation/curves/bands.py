"""Compute the curves of all arms of a comparison with pointwise bands, on the first replicates of the bootstrap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.curves.content import DECIMALS, ArmCurves, Band, LabelCurves
from evaluation.curves.weighted_curves import STEPS, WeightedCurves
from evaluation.metrics.auroc import WeightedAuroc
from evaluation.metrics.average_precision import WeightedAveragePrecision
from evaluation.statistics.bootstrap import CHUNK_ELEMENTS, resampled_counts
from evaluation.statistics.draws import Design, resampling_weights
from evaluation.statistics.estimates import FEWEST_OF_A_CLASS, FEWEST_UNITS
from evaluation.tables.comparison import Arm, Comparison

MOST_REPLICATES = 1000
"""Replicates that a band is made of at most: it is drawn, and no figure is read off it."""
GRID = tuple(step / STEPS for step in range(STEPS + 1))


@dataclass(frozen=True)
class BandOptions:
    """replicates, seed: of the bootstrap, which the bands share. designs: by arm, in what its files differ."""

    replicates: int
    seed: int
    level: float
    designs: Mapping[str, Design]

    @property
    def used(self) -> int:
        """How many replicates the bands are made of: the first ones of the bootstrap."""
        return min(self.replicates, MOST_REPLICATES)


def label_curves(comparison: Comparison, options: BandOptions) -> dict[str, LabelCurves]:
    """The curves of every arm and label. A label with fewer than two rows of a class has none."""
    return {label: _label(comparison, column, options) for column, label in enumerate(comparison.labels)}


def _label(comparison: Comparison, column: int, options: BandOptions) -> LabelCurves:
    known = ~np.isnan(comparison.truth[:, column])
    truth, unit = comparison.truth[known, column] == 1, comparison.unit[known]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    counts = (positives + negatives, positives, negatives)
    if min(positives, negatives) < FEWEST_OF_A_CLASS:
        return LabelCurves(*counts, {arm.name: ArmCurves(None, None) for arm in comparison.arms}, {})
    rows = _Rows(known, column, truth, unit, comparison.units)
    smaller = min(len(np.unique(unit[truth])), len(np.unique(unit[~truth])))
    banded = comparison.units >= FEWEST_UNITS and smaller >= FEWEST_OF_A_CLASS
    replicated = _replicated(comparison.arms, rows, options) if banded else [None] * len(comparison.arms)
    arms = {
        arm.name: _arm(arm, rows, found, options.level) for arm, found in zip(comparison.arms, replicated, strict=True)
    }
    return LabelCurves(*counts, arms, {})


@dataclass(frozen=True)
class _Rows:
    """The rows of a label. known: [rows of the comparison]. truth, unit: [known rows]."""

    known: NDArray[np.bool_]
    column: int
    truth: NDArray[np.bool_]
    unit: NDArray[np.int64]
    units: int

    def scores(self, arm: Arm) -> NDArray[np.float64]:
        """[draws, known rows]."""
        return arm.scores[:, self.known, self.column]

    def curves(self, arm: Arm) -> list[WeightedCurves]:
        """One a draw."""
        return [WeightedCurves(draw, self.truth, self.unit) for draw in self.scores(arm)]


def _replicated(arms: Sequence[Arm], rows: _Rows, options: BandOptions) -> list[NDArray[np.float64]]:
    """Of each arm [2, replicates, grid]: the mean over draws of both curves, draws resampled as in the bootstrap."""
    prepared = [rows.curves(arm) for arm in arms]
    weights = [resampling_weights(options.designs[arm.name], options.replicates, options.seed) for arm in arms]
    chunk = max(1, min(options.used, CHUNK_ELEMENTS // max(len(rows.unit), rows.units)))
    found = [np.full((2, options.used, STEPS + 1), np.nan) for _ in arms]
    done = 0
    for drawn in resampled_counts(rows.units, options.used, options.seed, chunk):
        end = done + drawn.shape[1]
        for arm, of_arm, curves in zip(prepared, weights, found, strict=True):
            by_draw = np.stack([np.stack(draw(drawn)) for draw in arm])  # [draws, 2, k, grid]
            shares = np.full((len(arm), end - done), 1 / len(arm)) if of_arm is None else of_arm[:, done:end]
            curves[:, done:end] = np.einsum("dckg,dk->ckg", by_draw, shares)
        done = end
    return found


def _arm(arm: Arm, rows: _Rows, replicated: NDArray[np.float64] | None, level: float) -> ArmCurves:
    once = np.ones((rows.units, 1), np.int32)
    curves = np.mean([np.stack(draw(once))[:, 0] for draw in rows.curves(arm)], axis=0)  # [2, grid]
    areas = (
        float(np.mean([metric(draw, rows.truth, rows.unit, rows.units)(once)[0] for draw in rows.scores(arm)]))
        for metric in (WeightedAuroc, WeightedAveragePrecision)
    )
    roc, pr = (
        _band(area, curve, None if replicated is None else replicated[kind], level)
        for kind, (area, curve) in enumerate(zip(areas, curves, strict=True))
    )
    return ArmCurves(roc, pr)


def _band(area: float, curve: NDArray[np.float64], replicated: NDArray[np.float64] | None, level: float) -> Band:
    """replicated: [replicates, grid]; those in which a class is absent are NaN and left out."""
    defined = None if replicated is None else replicated[~np.isnan(replicated).any(axis=1)]
    if defined is None or len(defined) < 2:
        return Band(area, _points(curve))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Band(area, _points(curve), _points(low), _points(high))


def _points(curve: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(one), DECIMALS) for one in curve)
