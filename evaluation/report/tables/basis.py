"""Say on which level, units and replicates the figures of a table rest, and which test its p-values are of."""

from collections.abc import Iterable, Sequence

from evaluation.report.study import Result
from evaluation.report.tables.spelling import METRIC_NAMES
from evaluation.report.text import listed
from evaluation.statistics.remarks import unit_words
from evaluation.statistics.result import Difference

_TESTS = {
    "influence-t": "t-test of the difference, two-sided, its variance from influence values (DeLong's for the AUROC)"
}


def basis(results: Sequence[Result], metrics: Iterable[str]) -> str:
    """Metric, level, units, replicates and files of a table in one sentence."""
    contents = [result.content for result in results]
    parts = [
        listed(METRIC_NAMES.get(metric, metric) for metric in metrics),
        listed(f"{100 * content.level:g} %" for content in contents) + " intervals",
        "resampled units: " + listed(f"{content.units:,} {unit_words(content.unit)}" for content in contents),
        "intervals over " + ", or over ".join(dict.fromkeys(listed(content.over) for content in contents)),
        listed(f"{content.replicates:,}" for content in contents) + " replicates",
    ]
    return "; ".join(parts) + f". Files: {', '.join(dict.fromkeys(result.name for result in results))}."


def tests(differences: Iterable[Difference], holm_families: Iterable[tuple[str, ...] | None]) -> str:
    """Which test the p-values are of, how many there are, and how many Holm's go over; blank where there is none.

    holm_families: the comparisons that the corrected ones of each result go over, None where these are not recorded.
    """
    tested = [one for one in differences if one.p_value is not None]
    if not tested:
        return ""
    names = listed(_TESTS.get(one.method or "", one.method or "not recorded") for one in tested)
    corrected = sum(one.holm_p_value is not None for one in tested)
    sentence = f"p: {names}; {len(tested)} test{'' if len(tested) == 1 else 's'} in this table"
    if not corrected:
        return f"{sentence}, not corrected for their number."
    families = sorted({len(family) for family in holm_families if family})
    over = f" over {_families(families)}" if families else " within its stated family"
    return f"{sentence}; Holm's p for {corrected} of them,{over}."


def _families(sizes: Sequence[int]) -> str:
    return f"a family of {sizes[0]} comparisons" if len(sizes) == 1 else f"families of {listed(sizes)} comparisons"
