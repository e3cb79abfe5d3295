"""Spell a table of gains: AUROC of each arm and the differences, by label, method and label fraction, with figures."""

from dataclasses import dataclass
from itertools import groupby

from evaluation.report.figures import Panel, auroc_limits, fraction_figure, percent
from evaluation.report.gains import GainRow, GainTable
from evaluation.report.tables.spelling import METHOD_NAMES, DifferenceView, difference_view, label_name
from evaluation.report.text import MINUS, estimate_text, listed, split_name

_AGGREGATES = {"image": "by image", "study": "by study"}


@dataclass(frozen=True)
class GainRowView:
    """A method and label fraction. arms: (value, interval), None where not run."""

    method: str
    fraction: str
    weak: str
    draws: str
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
    """A table of gains. first_figures: of its first label; figures: of the others."""

    title: str
    subtitle: str
    arms: list[str]
    differences: list[str]
    blocks: list[GainBlock]
    first_figures: list[Panel]
    figures: list[Panel]


def gain_view(table: GainTable, identity: str) -> GainView:
    """Spell a table of gains with its figures. identity: prefix of the figures' ids."""
    setting = table.setting
    rows_are = {"image": "images", "study": "studies"}.get(setting.aggregate, "rows")
    rows_text = f"images with {setting.row_filter}" if setting.row_filter else ""
    figures = _fraction_figures(table, identity)

    def block(row: GainRow) -> tuple[str, str, int | None, int | None]:
        return row.label, row.trained, row.n, row.positives

    return GainView(
        title=setting.dataset + (f", labels of {setting.trained_on}" if setting.trained_on else ""),
        subtitle=", ".join(filter(None, [split_name(setting.split), _AGGREGATES.get(setting.aggregate), rows_text])),
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


def _gain_row(row: GainRow, table: GainTable) -> GainRowView:
    return GainRowView(
        method=METHOD_NAMES.get(row.method, row.method),
        fraction=percent(row.fraction),
        weak=row.weak,
        draws=listed(row.draws.values()),
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
