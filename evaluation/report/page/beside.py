"""Write the page's tables of gains as CSV and LaTeX, and its figures as SVG, PNG and PDF, for a paper."""

import re
from pathlib import Path

import pandas as pd

from evaluation.report.gains import GainRow, GainTable, gain_tables
from evaluation.report.page.figure_files import slug, write_figures
from evaluation.report.study import Study
from evaluation.report.text import estimate_text
from evaluation.statistics.result import Difference, Value
from shards.durable import write_atomically

TABLES = "tables"


def write_beside(study: Study, folder: Path) -> list[Path]:
    """Write `tables/report-*.csv|tex` and `figures/report-*.svg|png|pdf` into the folder; returns the paths.

    A table a dataset and split.
    """
    runs = {run.backbone.digest: run.name for run in study.runs if run.backbone and run.backbone.digest}
    tables, _ = gain_tables(study.results, runs)
    written = []
    for table in tables:
        written += _write_table(table, folder / TABLES / f"report-{slug(table)}")
    return written + write_figures(study, tables, folder)


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


def _escaped(text: str) -> str:
    return re.sub(r"([#$%&_{}])", r"\\\1", text)
