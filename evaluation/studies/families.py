"""Correct the p-values of a study's results within families (Holm), and write them into the results."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from evaluation.statistics.holm import holm
from evaluation.statistics.result import BootstrapResult, Difference
from shards.durable import write_json_atomically
from training.studies.cells import Comparison, StudyFolder

RESULTS = "results"

_Family = tuple[str, ...]


@dataclass(frozen=True)
class JudgedResult:
    """A result of a study. name: of its file, without .json. over: an arm of `also_over`, or None for the reference."""

    name: str
    comparison: Comparison
    metric: str
    over: str | None
    result: BootstrapResult


def correct(folder: StudyFolder, results: list[JudgedResult]) -> None:
    """Correct the p-values over all comparisons of a family, in place, and write what has changed.

    A family has one metric and is over one reference. The names of its members are written into each result of it; they
    are left out of a result whose differences are in more than one family.
    """
    family_of = folder.study.evaluation.family
    if not family_of:
        return
    families: dict[_Family, list[tuple[int, str, str]]] = {}
    of_result: dict[int, set[_Family]] = {}
    for number, one in enumerate(results):
        for label, arm, difference in _differences(one.result):
            if difference.p_value is not None:
                key = (one.metric, one.over or "", *(_of_family(one.comparison, arm, name) for name in family_of))
                families.setdefault(key, []).append((number, label, arm))
                of_result.setdefault(number, set()).add(key)
    corrected: dict[tuple[int, str, str], float] = {}
    for members in families.values():
        p_values = [results[number].result.labels[label].differences[arm].p_value for number, label, arm in members]
        corrected |= dict(zip(members, holm([p for p in p_values if p is not None]), strict=True))
    for number, one in enumerate(results):
        own = of_result.get(number, set())
        members = families[next(iter(own))] if len(own) == 1 else []
        family = tuple(f"{results[other].name}: {arm}: {label}" for other, label, arm in members)
        changed = _with_corrected(one.result, number, corrected, family)
        if changed != one.result:
            write_json_atomically(folder.output / RESULTS / f"{one.name}.json", changed.as_json())
        results[number] = dataclasses.replace(one, result=changed)


def _with_corrected(
    result: BootstrapResult, number: int, corrected: dict[tuple[int, str, str], float], family: _Family
) -> BootstrapResult:
    labels = {
        label: dataclasses.replace(
            entry,
            differences={
                arm: dataclasses.replace(difference, holm_p_value=corrected.get((number, label, arm)))
                for arm, difference in entry.differences.items()
            },
        )
        for label, entry in result.labels.items()
    }
    return dataclasses.replace(result, labels=labels, holm_family=family or None)


def _differences(result: BootstrapResult) -> Iterator[tuple[str, str, Difference]]:
    for label, entry in result.labels.items():
        for arm, difference in entry.differences.items():
            yield label, arm, difference


def _of_family(comparison: Comparison, arm: str, name: str) -> str:
    return {
        "target": comparison.target.name,
        "method": comparison.method,
        "backbone": comparison.pretraining,
        "variant": comparison.variant,
        "fraction": str(comparison.fraction),
        "arm": arm,
    }[name]
