"""Spell the subgroups of results: a row a subgroup, label and arm, with the difference from the rest and the gaps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluation.report.study import Result
from evaluation.report.tables.basis import basis, tests
from evaluation.report.tables.spelling import METRIC_NAMES
from evaluation.report.text import estimate_text, excludes_zero, p_value_text
from evaluation.report.weakness import weakness
from evaluation.statistics.result import BootstrapResult, Difference, SubgroupMetric, SubgroupResult

FEW, NOT_JUDGED = "few of a class", "not judged: too few of a class"


@dataclass(frozen=True)
class SubgroupRow:
    """Finished strings. clear: whether the difference is bold; one of few of a class never is.

    mark: FEW and why the figures are weak, or blank.
    """

    source: str
    metric: str
    column: str
    group: str
    label: str
    positives: str
    negatives: str
    arm: str
    value: tuple[str, str]
    rest: tuple[str, str]
    clear: bool
    p: str
    holm: str
    gaps: str
    mark: str


@dataclass(frozen=True)
class SubgroupsView:
    """A table of subgroups. basis: level, metrics, units, replicates and files. tests: of its p-values."""

    rows: list[SubgroupRow]
    basis: str
    tests: str


def subgroup_rows(result: Result) -> Iterator[SubgroupRow]:
    """All subgroups of a result by all of its metrics."""
    content = result.content
    for column, groups in content.subgroups.items():
        for name, group in groups.items():
            place = (column, name)
            yield from _rows(result, content.metric, place, group, SubgroupMetric(group.labels, group.mean, group.rest))
            for metric, found in group.metrics.items():
                yield from _rows(result, metric, place, group, found)


def subgroups_view(results: Sequence[Result]) -> SubgroupsView | None:
    """The subgroups of all results; None where there are none."""
    own = [result for result in results if result.content.subgroups]
    rows = [row for result in own for row in subgroup_rows(result)]
    if not rows:
        return None
    found = [one for result in own for one in _from_rest(result.content)]
    metrics = dict.fromkeys(metric for one in own for metric in (one.content.metric, *one.content.metrics))
    families = [by.families.get(metric) for one in own for by in one.content.by.values() for metric in metrics]
    return SubgroupsView(rows, basis(own, metrics), tests(found, families))


def _from_rest(content: BootstrapResult) -> Iterator[Difference]:
    for groups in content.subgroups.values():
        for group in groups.values():
            for rest in (group.rest, *(one.rest for one in group.metrics.values())):
                for by_arm in rest.labels.values():
                    yield from by_arm.values()


def _rows(
    result: Result, metric: str, place: tuple[str, str], group: SubgroupResult, found: SubgroupMetric
) -> Iterator[SubgroupRow]:
    column, name = place
    for label, entry in found.labels.items():
        few = NOT_JUDGED if label in group.not_judged else FEW if label in group.few else ""
        mark = "; ".join(filter(None, (few, weakness(result.content, entry) if few != NOT_JUDGED else "")))
        for arm, value in entry.arms.items():
            rest = found.rest.labels.get(label, {}).get(arm, Difference(None))
            yield SubgroupRow(
                source=result.name,
                metric=METRIC_NAMES.get(metric, metric),
                column=column,
                group=name,
                label=label,
                positives=f"{entry.positives:,}",
                negatives=f"{entry.negatives:,}",
                arm=arm,
                value=("", "") if label in group.not_judged else estimate_text(value),
                rest=("", "") if rest.value is None else estimate_text(rest, signed=True),
                clear=excludes_zero(rest) and not mark,
                p=p_value_text(rest.p_value),
                holm=p_value_text(rest.holm_p_value),
                gaps=_gaps(group, label, arm) if metric == result.content.metric else "",
                mark=mark,
            )


def _gaps(group: SubgroupResult, label: str, arm: str) -> str:
    """`TPR +0.050 (...), FPR ...`; empty without thresholds."""
    found = []
    for gap, by_label in group.gaps.items():
        difference = by_label.get(label, {}).get(arm)
        if difference is not None and difference.value is not None:
            found.append(" ".join([gap.upper(), *filter(None, estimate_text(difference, signed=True))]))
    return ", ".join(found)
