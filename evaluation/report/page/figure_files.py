"""Write the page's figures as SVG, PNG and PDF for a paper: gains, forests, curves, reliability, subgroups, runs."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from matplotlib.figure import Figure

from evaluation.report.figures import (
    PR,
    ROC,
    auroc_limits,
    curves_drawing,
    forest_drawing,
    fraction_drawing,
    health_drawing,
    reliability_drawing,
)
from evaluation.report.figures.reliability import by_file_and_label
from evaluation.report.figures.svg import write_figure
from evaluation.report.gains import GainTable
from evaluation.report.page.forests import gain_forests, subgroup_forests
from evaluation.report.page.operating import Sheet, sheets
from evaluation.report.study import Study

FIGURES = "figures"
_LONGEST = 120  # characters of a file's name


def write_figures(study: Study, tables: Sequence[GainTable], folder: Path) -> list[Path]:
    """Write `figures/report-*.svg|png|pdf` into the folder; returns the paths.

    Of gains, forests and subgroups those of the first label (the mean over labels, where there is one); of curves and
    reliability a panel a label; of runs all health curves side by side.
    """
    written: dict[Path, None] = {}
    for name, figure in _figures(study, tables):
        stem = _free(folder / FIGURES / f"report-{plain(name)}", written)
        written |= dict.fromkeys(write_figure(figure, stem))
    return list(written)


def _figures(study: Study, tables: Sequence[GainTable]) -> Iterator[tuple[str, Figure]]:
    for table in tables:
        yield from _of_gains(table)
    for sheet in sheets(study.curves)[0]:
        if sheet.labels:
            yield f"{_of_sheet(sheet)}-roc", curves_drawing(sheet.labels, ROC)
            yield f"{_of_sheet(sheet)}-precision-recall", curves_drawing(sheet.labels, PR)
    for source, labels in by_file_and_label(study.calibrations).items():
        yield f"{source.removesuffix('.json')}-reliability", reliability_drawing(labels)
    for result in study.results:
        for plots in list(subgroup_forests(result).values())[:1]:
            for title, forest in plots:
                yield f"{result.name.removesuffix('.json')}-{title}", forest_drawing(forest)
    runs = {run.name: run.metrics for run in study.runs if run.metrics}
    if runs:
        yield "pretraining", health_drawing(runs)


def _of_gains(table: GainTable) -> Iterator[tuple[str, Figure]]:
    name = slug(table)
    first = [row for row in table.rows if row.label == table.rows[0].label]
    for (one, two), (_, forest) in zip(table.differences, gain_forests(table).get(first[0].label, ()), strict=False):
        yield f"{name}-gains-{one}-{two}", forest_drawing(forest)
    limits = auroc_limits(table.rows)
    if limits is None:
        return
    arms = [arm for arm in table.arms if any(arm in row.arms for row in table.rows)]
    for (trained, method), rows in groupby(first, lambda row: (row.trained, row.method)):
        yield "-".join(filter(None, (name, plain(trained), plain(method)))), fraction_drawing(list(rows), arms, limits)


def _of_sheet(sheet: Sheet) -> str:
    return "-".join(filter(None, map(plain, sheet.title.split(": "))))


def slug(table: GainTable) -> str:
    """A table's name as a part of a file's."""
    setting = table.setting
    parts = (setting.dataset, setting.split, setting.aggregate, setting.trained_on, setting.row_filter)
    return "-".join(filter(None, map(plain, parts)))[:_LONGEST]


def plain(text: str) -> str:
    """Letters, digits and dots of a name, so that it is a file's on every system."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:_LONGEST]


def _free(stem: Path, written: dict[Path, None]) -> Path:
    """The path, or with a number, where another figure has it already: names in other letters than a-z are alike."""
    number, found = 1, stem
    while found.with_name(f"{found.name}.svg") in written:
        number += 1
        found = stem.with_name(f"{stem.name}-{number}")
    return found
