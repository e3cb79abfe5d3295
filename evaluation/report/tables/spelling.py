"""Spell what several tables share: names of methods, metrics and labels, and a difference."""

from dataclasses import dataclass

from evaluation.report.gains import MEAN
from evaluation.report.text import estimate_text, excludes_zero, p_value_text
from evaluation.statistics.result import Difference

METRIC_NAMES = {
    "auroc": "AUROC",
    "ap": "average precision",
    "brier": "Brier score (lower is better)",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
}


@dataclass(frozen=True)
class DifferenceView:
    """A difference. excludes_zero: shown in bold, which what is weak never is.

    holm: the corrected p-value, empty where there is none.
    """

    value: str
    interval: str
    excludes_zero: bool
    p: str
    holm: str


def label_name(label: str) -> str:
    return "mean over labels" if label == MEAN else label


def difference_view(estimate: Difference | None, weak: str) -> DifferenceView | None:
    if estimate is None:
        return None
    value, interval = estimate_text(estimate, signed=True)
    return DifferenceView(
        value,
        interval,
        excludes_zero(estimate) and not weak,
        p_value_text(estimate.p_value),
        p_value_text(estimate.holm_p_value),
    )
