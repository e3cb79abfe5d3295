"""Spell the subgroups of results: a row a subgroup, label and arm, with the difference from the rest and the gaps."""

from collections.abc import Iterator
from dataclasses import dataclass

from evaluation.report.study import Result
from evaluation.report.text import estimate_text, excludes_zero, p_value_text
from evaluation.statistics.result import Difference, SubgroupResult

FEW, NOT_JUDGED = "few of a class", "not judged: too few of a class"


@dataclass(frozen=True)
class SubgroupRow:
    """Finished strings. clear: whether the difference is bold; one of few of a class never is. mark: FEW, or blank."""

    source: str
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


def subgroup_rows(result: Result) -> Iterator[SubgroupRow]:
    """All subgroups of a result by its own metric."""
    for column, groups in result.content.subgroups.items():
        for name, group in groups.items():
            yield from _rows(result.name, column, name, group)


def _rows(source: str, column: str, name: str, group: SubgroupResult) -> Iterator[SubgroupRow]:
    for label, entry in group.labels.items():
        mark = NOT_JUDGED if label in group.not_judged else FEW if label in group.few else ""
        for arm, value in entry.arms.items():
            rest = group.rest.labels.get(label, {}).get(arm, Difference(None))
            yield SubgroupRow(
                source=source,
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
                gaps=_gaps(group, label, arm),
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
