"""List the metrics of `cxr-eval bootstrap --metric`. A new one is one file with a class like WeightedAuroc."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.auroc import WeightedAuroc
from evaluation.metrics.average_precision import WeightedAveragePrecision
from evaluation.metrics.brier import WeightedBrier
from evaluation.metrics.decisions import (
    WeightedF1,
    WeightedNpv,
    WeightedPpv,
    WeightedSensitivity,
    WeightedSpecificity,
)
from evaluation.metrics.influence import Influence


class ReplicatedMetric(Protocol):
    """A metric of fixed rows, computed for many replicates at once."""

    def __call__(self, counts: NDArray[np.int32]) -> NDArray[np.float64]:
        """counts [units, replicates], how often each unit was drawn -> [replicates], NaN where undefined."""

    def influence(self) -> Influence:
        """Influence of each unit on the value of the rows as they are."""


class Metric(Protocol):
    """Prepares a metric for one label of one prediction: all that does not depend on the replicate."""

    @property
    def needs_probabilities(self) -> bool:
        """Whether scores outside 0..1 are refused."""

    def __call__(
        self, scores: NDArray[np.float64], truth: NDArray[np.bool_], unit: NDArray[np.int64], units: int
    ) -> ReplicatedMetric:
        """scores, truth, unit: [rows]; unit: which of the `units` resampled units a row belongs to.

        The scores of a metric of AT_THRESHOLD come less their threshold.
        """


METRICS: dict[str, Metric] = {
    "auroc": WeightedAuroc,
    "ap": WeightedAveragePrecision,
    "brier": WeightedBrier,
    "sensitivity": WeightedSensitivity,
    "specificity": WeightedSpecificity,
    "ppv": WeightedPpv,
    "npv": WeightedNpv,
    "f1": WeightedF1,
}

LESS_IS_BETTER = frozenset({"brier"})
"""Metrics of error: of two values the lower one is better."""

PROPORTIONS = frozenset({"sensitivity", "specificity", "ppv", "npv"})
"""Fractions of a number of rows, which have Wilson's interval."""
AT_THRESHOLD = PROPORTIONS | {"f1"}
"""Metrics of decisions, which need a threshold."""
