"""Spell a table of gains: AUROC of each arm and the differences, by label, method and label fraction, with figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from evaluation.report.figures import Panel, auroc_limits, fraction_figure
from evaluation.report.gains import AUROC, GainRow, GainTable
from evaluation.report.study import Result
from evaluation.report.tables.basis import basis, tests
from evaluation.report.tables.spelling import DifferenceView, difference_view, label_name
from evaluation.report.text import METHOD_NAMES, MINUS, estimate_text, listed, percent, span, split_name
from evaluation.statistics.result import Difference

_AGGREGATES = {"image": "by image", "study": "by study"}


@dataclass(frozen=True)
class GainRowView:
    """A method and label fraction. arms: (value, interval), None where not run.

    positives, negatives: of the label; of a mean the fewest and the most of its labels. files: the results, where a
    cell has several; blank otherwise.
    """

    method: str
    fraction: str
    weak: str
    draws: str
    positives: str
    negatives: str
    files: str
    arms: list[tuple[str, str] | None]
    differences: list[DifferenceView | None]


@dataclass(frozen=True)
class GainBlock:
    """The rows of one label, backbone and pretraining run. trained: the latter two."""

    label: str
    trained: str
    counts: str
    rows: list[GainRowView]


@dataclass(frozen=True)
class GainView:
    """A table of gains. first_figures: of its first label; figures: of the others.

    basis: level, metric, units, replicates and files. tests: which test the p-values are of, and how many.
    """

    title: str
    subtitle: str
    basis: str
    tests: str
    arms: list[str]
    differences: list[str]
    blocks: list[GainBlock]
    first_figures: list[Panel]
    figures: list[Panel]


def gain_view(table: GainTable, identity: str, results: Sequence[Result]) -> GainView:
    """Spell a table of gains with its figures. identity: prefix of the figures' ids. results: of the whole study."""
    named = {name for row in table.rows for name in row.sources}
    own = [result for result in results if result.name in named]
    setting = table.setting
    rows_are = {"image": "images", "study": "studies"}.get(setting.aggregate, "rows")
    rows_text = f"images with {setting.row_filter}" if setting.row_filter else ""
    figures = _fraction_figures(table, identity)

    def block(row: GainRow) -> tuple[str, str, int | None, int | None]:
        return row.label, row.trained, row.n, row.positives

    return GainView(
        title=setting.dataset + (f", labels of {setting.trained_on}" if setting.trained_on else ""),
        subtitle=", ".join(filter(None, [split_name(setting.split), _AGGREGATES.get(setting.aggregate), rows_text])),
        basis=basis(own, [AUROC]),
        tests=tests(_shown_differences(table), [result.content.holm_family for result in own]),
        arms=table.arms,
        differences=[f"{first} {MINUS} {second}" for first, second in table.differences],
        blocks=[
            GainBlock(
                label_name(label),
                trained,
                _counts(n, positives, rows_are),
                [_gain_row(row, table) for row in rows],
            )
            for (label, trained, n, positives), rows in groupby(table.rows, block)
        ],
        first_figures=[figure for label, figure in figures if label == table.rows[0].label],
        figures=[figure for label, figure in figures if label != table.rows[0].label],
    )


def _counts(n: int | None, positives: int | None, rows_are: str) -> str:
    if n is None or positives is None:
        return ""
    return f"{n:,} {rows_are}, {positives:,} positive, {n - positives:,} negative"


def _shown_differences(table: GainTable) -> list[Difference]:
    return [difference for row in table.rows for difference in row.differences.values()]


def _gain_row(row: GainRow, table: GainTable) -> GainRowView:
    return GainRowView(
        method=METHOD_NAMES.get(row.method, row.method),
        fraction=percent(row.fraction),
        weak=row.weak,
        draws=listed(row.draws.values()),
        positives=span([positives for positives, _ in row.classes]),
        negatives=span([negatives for _, negatives in row.classes]),
        files=listed(row.sources) if row.repeated or len(row.sources) > 1 else "",
        arms=[estimate_text(row.arms[arm]) if arm in row.arms else None for arm in table.arms],
        differences=[difference_view(row.differences.get(pair), row.weak) for pair in table.differences],
    )


def _fraction_figures(table: GainTable, identity: str) -> list[tuple[str, Panel]]:
    """(label, figure) for each label, backbone, run and method, all on the table's common AUROC axis."""
    limits = auroc_limits(table.rows)
    if limits is None:
        return []
    arms = [arm for arm in table.arms if any(arm in row.arms for row in table.rows)]

    def panel(row: GainRow) -> tuple[str, str, str]:
        return row.label, row.trained, row.method

    several = len({row.trained for row in table.rows}) > 1

    figures = []
    for number, ((label, trained, method), rows) in enumerate(groupby(table.rows, panel)):
        title = f"{label_name(label)}, {METHOD_NAMES.get(method, method)}"
        title += f", {trained}" if several and trained else ""
        figures.append((label, fraction_figure(list(rows), arms, limits, title, f"{identity}n{number}")))
    return figures
