"""The result of `cxr-eval bootstrap`: what its JSON holds, key by key, from a comparison.

A comparison and the options flow in, a JSON-ready mapping flows out, null and never NaN. Knows nothing of files.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.bootstrap import Replicated, replicate_arms
from evaluation.statistics.delong import delong
from evaluation.statistics.metrics import METRICS
from evaluation.tables.comparison import Comparison

ARM_NAMES = ("model", "baseline")


def bootstrap_result(
    comparison: Comparison,
    *,
    metric: str,
    replicates: int,
    level: float,
    seed: int,
    advance: Callable[[int], None] = lambda replicates_done: None,
) -> dict[str, Any]:
    """Bootstrap a comparison. The mapping is JSON-ready; advance is told of replicates as they are done.

    `mean` is the macro average over labels; a label that is undefined in a replicate is left out of its mean.
    `arms` holds the predictions' sidecars by arm and draw, `inputs` the files.
    """
    arms = replicate_arms(
        comparison.arms, comparison.truth, comparison.unit, METRICS[metric], replicates, seed, advance
    )
    testable = metric == "auroc" and not comparison.clustered and all(len(arm) == 1 for arm in comparison.arms)
    labels: dict[str, Any] = {}
    for column, label in enumerate(comparison.labels):
        known = ~np.isnan(comparison.truth[:, column])
        truth = comparison.truth[known, column] == 1
        p_value = None
        if testable and len(arms) == 2:
            p_value = delong(np.stack([arm[0][known, column] for arm in comparison.arms]), truth).p_value
        of_label = [Replicated(arm.value[column], arm.replicates[:, column]) for arm in arms]
        labels[label] = {
            "n": int(known.sum()),
            "positives": int(truth.sum()),
            "undefined_replicates": int(np.isnan(of_label[0].replicates).sum()),
            **_estimates(of_label, level, p_value),
        }
    return {
        "metric": metric,
        "replicates": replicates,
        "level": level,
        "unit": comparison.unit_name,
        "seed": seed,
        "method": "percentile",
        "labels": labels,
        "mean": _estimates([arm.macro_average() for arm in arms], level, None),
        "arms": dict(zip(ARM_NAMES, comparison.sidecars, strict=False)),
        "inputs": comparison.inputs,
    }


def _estimates(arms: list[Replicated], level: float, delong_p_value: float | None) -> dict[str, Any]:
    """model, and with two arms baseline and difference, of one label (or of the mean)."""
    estimates: dict[str, Any] = {name: _estimate(arm, level) for name, arm in zip(ARM_NAMES, arms, strict=False)}
    if len(arms) == 2:
        difference = arms[0] - arms[1]
        estimates["difference"] = {
            **_estimate(difference, level),
            "p_value": difference.p_value(),
            "delong_p_value": delong_p_value,
        }
    return estimates


def _estimate(metric: Replicated, level: float) -> dict[str, Any]:
    interval = metric.interval(level)
    return {"value": _or_null(metric.value), "ci": None if interval is None else list(interval)}


def _or_null(value: NDArray[np.float64]) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number
