"""Say why an estimate is weak: few units, few of a class, few replicates. What is weak is marked and never bold."""

from collections.abc import Mapping

from evaluation.statistics.remarks import FEW_UNITS, fewest_replicates, unit_words
from evaluation.statistics.result import BootstrapResult, LabelResult, MeanResult

FEW_OF_A_CLASS = 10
"""Rows of a class below which no difference is shown as clear."""
MOST_UNDEFINED = 0.05
"""Fraction of replicates without a value from which on an estimate is marked."""


def labels_of(labels: Mapping[str, LabelResult], entry: LabelResult | MeanResult) -> list[LabelResult]:
    """The label itself, or those that a mean is over. labels: of the same metric."""
    return [entry] if isinstance(entry, LabelResult) else [labels[name] for name in entry.labels if name in labels]


def few_of_a_class(rows: int) -> str:
    """What to say of a label whose smaller class has so many rows; blank where they are not few."""
    return f"fewer than {FEW_OF_A_CLASS} of a class" if rows < FEW_OF_A_CLASS else ""


def weakness(content: BootstrapResult, entry: LabelResult | MeanResult) -> str:
    """Why intervals of an entry are rough, in words; blank where they are not. Of a mean, its weakest label counts."""
    entries = labels_of(content.labels, entry)
    reasons = []
    if content.units < FEW_UNITS:
        reasons.append(f"only {content.units} {unit_words(content.unit)}")
    reasons += filter(None, [few_of_a_class(min((min(one.positives, one.negatives) for one in entries), default=0))])
    if content.replicates < fewest_replicates(content.level):
        reasons.append(f"only {content.replicates:,} replicates")
    if entry.undefined_replicates > MOST_UNDEFINED * content.replicates:
        reasons.append(f"{entry.undefined_replicates:,} of {content.replicates:,} replicates undefined")
    return "; ".join(reasons)
