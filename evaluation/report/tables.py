"""Tables of a report: the gains, comparisons that fit none of their rows, models, datasets and results.

What was collected flows in, rows of finished strings for the template flow out.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from evaluation.report.figures import Panel, auroc_limits, fraction_figure, percent
from evaluation.report.gains import MEAN, GainRow, GainTable, arm_name
from evaluation.report.study import Model, Result, Study
from evaluation.report.text import MINUS, estimate_text, excludes_zero, listed, p_value_text, split_name

_METHODS = {"probe": "linear probe", "finetune": "fine-tuned"}
_AGGREGATES = {"image": "by image", "study": "by study"}


def gain_view(table: GainTable, identity: str) -> dict[str, Any]:
    """A table of gains with its figures. identity: prefix of the figures' ids."""
    setting = table.setting
    rows_are = {"image": "images", "study": "studies"}.get(setting.aggregate, "rows")
    figures = _fraction_figures(table, identity)

    def block(row: GainRow) -> tuple[str, int | None, int | None]:
        return row.label, row.n, row.positives

    return {
        "title": setting.dataset + (f", labels of {setting.trained_on}" if setting.trained_on else ""),
        "subtitle": ", ".join(filter(None, [split_name(setting.split), _AGGREGATES.get(setting.aggregate)])),
        "arms": table.arms,
        "differences": [f"{first} {MINUS} {second}" for first, second in table.differences],
        "blocks": [
            {
                "label": _label(label),
                "counts": "" if n is None else f"{n:,} {rows_are}, {positives:,} positive",
                "rows": [_gain_row(row, table) for row in rows],
            }
            for (label, n, positives), rows in groupby(table.rows, block)
        ],
        "first_figures": [figure for label, figure in figures if label == table.rows[0].label],
        "figures": [figure for label, figure in figures if label != table.rows[0].label],
    }


def _gain_row(row: GainRow, table: GainTable) -> dict[str, Any]:
    return {
        "method": _METHODS.get(row.method, row.method),
        "fraction": percent(row.fraction),
        "draws": listed(row.draws.values()),
        "arms": [estimate_text(row.arms[arm]) if arm in row.arms else None for arm in table.arms],
        "differences": [_difference_view(row.differences.get(pair)) for pair in table.differences],
    }


def _label(label: str) -> str:
    return "mean over labels" if label == MEAN else label


def _difference_view(estimate: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    value, interval = estimate_text(estimate, signed=True)
    return {
        "value": value,
        "interval": interval,
        "excludes_zero": excludes_zero(estimate),
        "p": p_value_text(estimate["p_value"]),
        "delong": p_value_text(estimate["delong_p_value"]),
    }


def _fraction_figures(table: GainTable, identity: str) -> list[tuple[str, Panel]]:
    """(label, figure) for each label and method, all on the table's common AUROC axis."""
    limits = auroc_limits(table.rows)
    if limits is None:
        return []
    arms = [arm for arm in table.arms if any(arm in row.arms for row in table.rows)]

    def panel(row: GainRow) -> tuple[str, str]:
        return row.label, row.method

    figures = []
    for number, ((label, method), rows) in enumerate(groupby(table.rows, panel)):
        title = f"{_label(label)}, {_METHODS.get(method, method)}"
        figures.append((label, fraction_figure(list(rows), arms, limits, title, f"{identity}n{number}")))
    return figures


def other_views(result: Result) -> list[dict[str, Any]]:
    """Rows of a result whose sidecars do not say what its arms are."""
    entries = [*result.content["labels"].items(), (MEAN, result.content["mean"])]
    return [
        {
            "source": result.name,
            "label": label,
            "n": entry.get("n", ""),
            "arms": [estimate_text(entry[arm]) if arm in entry else None for arm in ("model", "baseline")],
            "difference": _difference_view(entry.get("difference")),
        }
        for label, entry in entries
    ]


def model_rows(models: Sequence[Model]) -> list[dict[str, Any]]:
    """One row a dataset, method, start and label fraction: models over all draws and seeds, AUROC averaged."""
    groups: dict[tuple[str, str, float, str], list[Mapping[str, Any]]] = {}
    for model in models:
        described = model.description
        if described:
            key = (
                described["dataset"]["name"],
                described["method"],
                float(described["label_fraction"]),
                arm_name(described),
            )
            groups.setdefault(key, []).append(described)
    return [
        {
            "dataset": dataset,
            "method": _METHODS.get(method, method),
            "fraction": percent(fraction),
            "arm": arm,
            "models": len(members),
            "samples": _range([member["train_samples"] for member in members]),
            "labels": listed(label for member in members for label in member["labels"]),
            "valid": _split_auroc(members, "valid"),
            "test": _split_auroc(members, "test"),
        }
        for (dataset, method, fraction, arm), members in sorted(groups.items())
    ]


def _split_auroc(members: Sequence[Mapping[str, Any]], split: str) -> str:
    """Mean AUROC over labels and models in a split, or why there is none."""
    found = [result.get(split) for member in members for result in member["results"].values()]
    values = [entry["auroc"] for entry in found if entry and entry["auroc"] is not None]
    if values:
        return f"{sum(values) / len(values):.3f}"
    return "undefined" if any(found) else f"no {split_name(split)} split"


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def dataset_rows(study: Study) -> list[dict[str, Any]]:
    """Datasets found in the folder with their counts, then those that are only cited."""
    rows = []
    for dataset in study.datasets:
        splits = dataset.description.get("splits", {})
        rows.append(
            {
                "name": dataset.description.get("name", dataset.name),
                "digest": dataset.digest,
                "splits": [splits.get(split, {}).get("samples") for split in ("train", "valid", "test")],
                "patients": sum(split.get("patients", 0) for split in splits.values()),
                "licence": dataset.description.get("licence", ""),
            }
        )
    known = {row["digest"] for row in rows}
    cited = {citation["digest"]: citation["name"] for citation in _citations(study) if "digest" in citation}
    for digest, name in cited.items():
        if digest not in known:
            rows.append({"name": name, "digest": digest, "splits": [None] * 3, "patients": None, "licence": ""})
    return rows


def _citations(study: Study) -> list[Mapping[str, Any]]:
    runs = [run.backbone.get("provenance", {}).get("datasets", []) for run in study.runs if run.backbone]
    models = [[model.description["dataset"]] for model in study.models if model.description]
    return [citation for group in (*runs, *models) for citation in group]


def result_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One row a bootstrap result: how it was made."""
    return [
        {
            "name": result.name,
            "metric": result.content["metric"].upper(),
            "replicates": result.content["replicates"],
            "level": f"{100 * result.content['level']:g} %",
            "unit": result.content["unit"],
            "seed": result.content.get("seed", ""),
            "labels": len(result.content["labels"]),
        }
        for result in results
    ]
