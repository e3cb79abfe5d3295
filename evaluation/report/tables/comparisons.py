"""Spell comparisons that are in no table of gains: other metrics, and arms of which no sidecar tells."""

from collections.abc import Iterator
from dataclasses import dataclass

from evaluation.report.gains import MEAN, weakness
from evaluation.report.study import Result
from evaluation.report.tables.spelling import METRIC_NAMES, DifferenceView, difference_view, label_name
from evaluation.report.text import estimate_text
from evaluation.statistics.result import LabelResult, MeanResult, MetricResult


@dataclass(frozen=True)
class OtherRow:
    """An arm on a label by one metric, and its difference from the reference where it is not the reference itself."""

    source: str
    metric: str
    label: str
    n: str
    positives: str
    arm: str
    value: tuple[str, str]
    reference: str
    difference: DifferenceView | None
    weak: str


def other_rows(result: Result) -> Iterator[OtherRow]:
    """Rows of a result whose sidecars do not say what its arms are, or of another metric: a row a label and arm."""
    content = result.content
    return _rows(result, content.metric, MetricResult(content.labels, content.mean))


def further_rows(result: Result) -> Iterator[OtherRow]:
    """Rows of the further metrics of a result."""
    for metric, found in result.content.metrics.items():
        yield from _rows(result, metric, found)


def _rows(result: Result, metric: str, found: MetricResult) -> Iterator[OtherRow]:
    entries: list[tuple[str, LabelResult | MeanResult]] = [*found.labels.items()]
    if len(entries) > 1:
        entries.append((label_name(MEAN), found.mean))
    for label, entry in entries:
        weak = weakness(result.content, entry)
        for arm, value in entry.arms.items():
            yield OtherRow(
                source=result.name,
                metric=METRIC_NAMES.get(metric, metric),
                label=label,
                n=f"{entry.n:,}" if isinstance(entry, LabelResult) else "",
                positives=f"{entry.positives:,}" if isinstance(entry, LabelResult) else "",
                arm=arm,
                value=estimate_text(value),
                reference=result.content.reference or "",
                difference=difference_view(entry.differences.get(arm), weak),
                weak=weak,
            )
