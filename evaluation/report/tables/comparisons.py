"""Spell comparisons that are in no table of gains: other metrics, and arms of which no sidecar tells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluation.report.gains import MEAN
from evaluation.report.study import Result
from evaluation.report.tables.basis import basis, tests
from evaluation.report.tables.spelling import METRIC_NAMES, DifferenceView, difference_view, label_name
from evaluation.report.text import estimate_text, span
from evaluation.report.weakness import labels_of, weakness
from evaluation.statistics.result import LabelResult, MeanResult, MetricResult


@dataclass(frozen=True)
class OtherRow:
    """An arm on a label by one metric, and its difference from the reference where it is not the reference itself."""

    source: str
    metric: str
    label: str
    n: str
    positives: str
    negatives: str
    arm: str
    value: tuple[str, str]
    reference: str
    difference: DifferenceView | None
    weak: str


@dataclass(frozen=True)
class ComparisonsView:
    """A table of comparisons. basis: level, metrics, units, replicates and files. tests: of its p-values."""

    rows: list[OtherRow]
    basis: str
    tests: str


def others_view(results: Sequence[Result]) -> ComparisonsView | None:
    """Results whose sidecars do not say what its arms are, or of another metric; None where there is none."""
    return _view([(one, one.content.metric, _own(one)) for one in results])


def further_view(results: Sequence[Result]) -> ComparisonsView | None:
    """The further metrics of results; None where there is none."""
    return _view([(one, metric, found) for one in results for metric, found in one.content.metrics.items()])


def _own(result: Result) -> MetricResult:
    return MetricResult(result.content.labels, result.content.mean, result.content.holm_family)


def _view(found: Sequence[tuple[Result, str, MetricResult]]) -> ComparisonsView | None:
    if not found:
        return None
    entries = [entry for *_, one in found for _, entry in _entries(one)]
    return ComparisonsView(
        rows=[row for one in found for row in _rows(*one)],
        basis=basis(list({result.name: result for result, *_ in found}.values()), [metric for _, metric, _ in found]),
        tests=tests(
            [difference for entry in entries for difference in entry.differences.values()],
            [one.holm_family for *_, one in found],
        ),
    )


def _entries(found: MetricResult) -> list[tuple[str, LabelResult | MeanResult]]:
    """Label by label, then the mean where there are several."""
    entries: list[tuple[str, LabelResult | MeanResult]] = [*found.labels.items()]
    return entries if len(entries) < 2 else [*entries, (label_name(MEAN), found.mean)]


def _rows(result: Result, metric: str, found: MetricResult) -> Iterator[OtherRow]:
    for label, entry in _entries(found):
        weak = weakness(result.content, entry)
        counted = labels_of(found.labels, entry)
        for arm, value in entry.arms.items():
            yield OtherRow(
                source=result.name,
                metric=METRIC_NAMES.get(metric, metric),
                label=label,
                n=span([one.n for one in counted]),
                positives=span([one.positives for one in counted]),
                negatives=span([one.negatives for one in counted]),
                arm=arm,
                value=estimate_text(value),
                reference=result.content.reference or "",
                difference=difference_view(entry.differences.get(arm), weak),
                weak=weak,
            )
