"""Show a result as a table for the terminal: a row a label, then the mean; rows of rare labels are marked."""

from collections.abc import Sequence

from evaluation.statistics.estimates import LOGIT_T, WILSON
from evaluation.statistics.remarks import unit_words
from evaluation.statistics.result import BootstrapResult, Difference, LabelResult, MeanResult, MetricResult, Value

MARK = "*"


def summary(result: BootstrapResult) -> str:
    """A table a metric, each below a line that says what its intervals are."""
    own = MetricResult(result.labels, result.mean, result.holm_family)
    tables = [_table(result, metric, one) for metric, one in {result.metric: own, **result.metrics}.items()]
    return "\n\n".join(tables)


def _table(result: BootstrapResult, metric: str, one: MetricResult) -> str:
    entries: list[tuple[str, LabelResult | MeanResult]] = list(one.labels.items())
    if len(one.labels) > 1:
        entries.append(("mean", one.mean))
    arms, differences = list(one.mean.arms), list(one.mean.differences)
    holm = ["Holm p"] if one.holm_family is not None else []
    header = ["", "n", "positive", *arms]
    for arm in differences:
        header += [f"{arm} - {result.reference}", "p", *holm]
    rows = [header]
    marked: dict[str, str] = {}
    for name, entry in entries:
        method = _rare_method(entry)
        if method:
            marked[name] = method
        counts = (str(entry.n), str(entry.positives)) if isinstance(entry, LabelResult) else ("", "")
        row = [f"{name}{MARK if method else ''}", *counts, *(_interval(entry.arms[arm]) for arm in arms)]
        for arm in differences:
            difference = entry.differences[arm]
            row += [_interval(difference), _p(difference.p_value)]
            row += [_p(difference.holm_p_value)] if holm else []
        rows.append(row)
    lines = [
        f"{metric.upper()}, {100 * result.level:g} % intervals of {result.replicates} replicates by "
        f"{result.unit}: "
        f"{result.units} {unit_words(result.unit)}"
        + (f", over {' and '.join(result.over)}" if len(result.over) > 1 else "")
    ]
    lines += _aligned(rows)
    lines += [f"{MARK} {name}: few of a class, interval by {method}" for name, method in marked.items()]
    if one.holm_family is not None:
        lines.append(f"Holm's family: {len(one.holm_family)} comparisons ({', '.join(one.holm_family)})")
    return "\n".join(lines)


def _rare_method(entry: LabelResult | MeanResult) -> str | None:
    """The method of a label whose intervals are those of rare labels; None of any other."""
    if isinstance(entry, MeanResult):
        return None
    methods = {value.method for value in entry.arms.values()} - {None, LOGIT_T, WILSON, "percentile", "bca"}
    return ", ".join(sorted(str(method) for method in methods)) or None


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _interval(estimate: Value | Difference) -> str:
    if estimate.value is None:
        return "undefined"
    low_high = "" if estimate.ci is None else " ({:.3f}, {:.3f})".format(*estimate.ci)
    return f"{estimate.value:.3f}{low_high}"


def _p(p_value: float | None) -> str:
    return "" if p_value is None else f"{p_value:.3f}"
