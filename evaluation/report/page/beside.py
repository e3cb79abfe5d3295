"""Write the page's tables of gains as CSV and LaTeX, and its first figures as SVG, PNG and PDF, for a paper."""

import io
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from evaluation.report.figures import RC, auroc_limits, fraction_drawing
from evaluation.report.gains import GainRow, GainTable, gain_tables
from evaluation.report.study import Study
from evaluation.report.text import estimate_text
from evaluation.statistics.result import Difference, Value
from shards.durable import write_atomically

TABLES, FIGURES = "tables", "figures"
FORMATS = ("svg", "png", "pdf")


def write_beside(study: Study, folder: Path) -> list[Path]:
    """Write `tables/report-*.csv|tex` and `figures/report-*.svg|png|pdf` into the folder; returns the paths.

    A table a dataset and split; a figure a method of its first label (the mean over labels, where there is one).
    """
    runs = {run.backbone.digest: run.name for run in study.runs if run.backbone and run.backbone.digest}
    written = []
    for table in gain_tables(study.results, runs)[0]:
        name = "report-" + _slug(table)
        written += _write_table(table, folder / TABLES / name)
        written += _write_figures(table, folder / FIGURES / name)
    return written


def _write_table(table: GainTable, stem: Path) -> list[Path]:
    numbers = pd.DataFrame([_numbers(row, table) for row in table.rows])
    words = pd.DataFrame([_words(row, table) for row in table.rows])
    setting = table.setting
    caption = f"AUROC on {setting.dataset}, {setting.split}, by {setting.aggregate}, with intervals."
    latex = (
        words.style.hide(axis="index")
        .format(escape="latex")
        .format_index(axis="columns", escape="latex")
        .to_latex(hrules=True, caption=_escaped(caption), label=f"tab:{stem.name}")
    )
    paths = [stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.tex")]
    for path, text in zip(paths, (numbers.to_csv(index=False), latex), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as file:
            file.write(text.encode())
    return paths


def _write_figures(table: GainTable, stem: Path) -> list[Path]:
    limits = auroc_limits(table.rows)
    if limits is None:
        return []
    arms = [arm for arm in table.arms if any(arm in row.arms for row in table.rows)]
    first = [row for row in table.rows if row.label == table.rows[0].label]
    paths = []
    for (trained, method), rows in groupby(first, lambda row: (row.trained, row.method)):
        name = "-".join(filter(None, (stem.name, _plain(trained), _plain(method))))
        stem.parent.mkdir(parents=True, exist_ok=True)
        figure = fraction_drawing(list(rows), arms, limits)
        for kind in FORMATS:
            path = stem.with_name(f"{name}.{kind}")
            metadata = {"Date": None} if kind == "svg" else {"CreationDate": None} if kind == "pdf" else None
            drawn = io.BytesIO()
            with mpl.rc_context({**RC, "svg.hashsalt": name}):
                figure.savefig(drawn, format=kind, dpi=300, metadata=metadata)
            with write_atomically(path) as file:
                file.write(drawn.getvalue())
            paths.append(path)
    return paths


def _numbers(row: GainRow, table: GainTable) -> dict[str, object]:
    """A row with a column a number, and the results that it comes from."""
    found: dict[str, object] = {**_named(row)}
    for arm in table.arms:
        found |= _columns(arm, row.arms.get(arm))
    for one, two in table.differences:
        difference = row.differences.get((one, two))
        found |= _columns(f"{one} - {two}", difference)
        found[f"{one} - {two} p"] = None if difference is None else difference.p_value
        found[f"{one} - {two} Holm p"] = None if difference is None else difference.holm_p_value
    return {**found, "weak": row.weak, "results": " ".join(row.sources)}


def _columns(name: str, estimate: Value | Difference | None) -> dict[str, float | None]:
    low, high = estimate.ci if estimate is not None and estimate.ci is not None else (None, None)
    return {name: None if estimate is None else estimate.value, f"{name} low": low, f"{name} high": high}


def _words(row: GainRow, table: GainTable) -> dict[str, str]:
    """A row as it stands in print."""
    found = {name: "" if value is None else str(value) for name, value in _named(row).items()}
    for arm in table.arms:
        if any(arm in other.arms for other in table.rows):
            found[arm] = _text(row.arms.get(arm))
    for one, two in table.differences:
        found[f"{one} - {two}"] = _text(row.differences.get((one, two)), signed=True)
    return found


def _named(row: GainRow) -> dict[str, object]:
    negatives = None if row.n is None or row.positives is None else row.n - row.positives
    counts = {"n": row.n, "positives": row.positives, "negatives": negatives}
    return {"label": row.label, "trained": row.trained, "method": row.method, "fraction": row.fraction, **counts}


def _text(estimate: Value | Difference | None, *, signed: bool = False) -> str:
    return "" if estimate is None else " ".join(estimate_text(estimate, signed=signed)).replace("−", "-").strip()


def _slug(table: GainTable) -> str:
    setting = table.setting
    parts: Sequence[str] = (setting.dataset, setting.split, setting.aggregate, setting.trained_on, setting.row_filter)
    return "-".join(filter(None, map(_plain, parts)))


def _plain(text: str) -> str:
    """Letters, digits and dots of a name, so that it is a file's on every system."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")


def _escaped(text: str) -> str:
    return re.sub(r"([#$%&_{}])", r"\\\1", text)
