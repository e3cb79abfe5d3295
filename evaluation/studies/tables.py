"""Write a study's tables as CSV: gains.csv, a row a comparison, arm and label, and cells.csv, a row a cell."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation.statistics.result import BootstrapResult, Interval
from shards.durable import write_atomically
from training.runs.files import MODEL
from training.studies.cells import Cell, Comparison
from training.studies.records import CellState
from training.studies.study_file import fraction_text

TABLES = "tables"

_GAINS = (
    *("backbone", "method", "variant", "target", "fraction", "label", "metric", "n", "positives", "draws", "arm"),
    *("value", "low", "high", "reference", "reference_value", "reference_low", "reference_high"),
    *("gain", "gain_low", "gain_high", "p_value", "holm_p_value"),
)
_CELLS = (
    *("cell", "state", "backbone", "arm", "seed", "method", "variant", "target", "fraction", "draw", "label"),
    *("valid_auroc", "test_auroc", "train_samples", "error"),
)

_Row = Mapping[str, object]


def write_gains(folder: Path, results: Sequence[tuple[Comparison, str, BootstrapResult]]) -> None:
    """Write tables/gains.csv: every arm but the reference, beside the reference, with the gain and its p-values."""
    _write(folder / TABLES / "gains.csv", _GAINS, [row for one in results for row in _gains(*one)])


def write_cells(folder: Path, cells: Sequence[Cell], states: Mapping[str, CellState]) -> None:
    """Write tables/cells.csv: every cell and label, done or not."""
    rows = [row for cell in cells for row in _cell(folder, cell, states[cell.path])]
    _write(folder / TABLES / "cells.csv", _CELLS, rows)


def _gains(comparison: Comparison, metric: str, result: BootstrapResult) -> list[_Row]:
    rows: list[_Row] = []
    reference = str(result.reference)
    for label, entry in result.labels.items():
        for arm, difference in entry.differences.items():
            value, other = entry.arms[arm], entry.arms[reference]
            low, high = _bounds(value.ci)
            reference_low, reference_high = _bounds(other.ci)
            gain_low, gain_high = _bounds(difference.ci)
            rows.append(
                {
                    "backbone": comparison.pretraining,
                    "method": comparison.method,
                    "variant": comparison.variant,
                    "target": comparison.target.name,
                    "fraction": fraction_text(comparison.fraction),
                    "label": label,
                    "metric": metric,
                    "n": entry.n,
                    "positives": entry.positives,
                    "draws": len(result.inputs.arms[arm]),
                    "arm": arm,
                    **{"value": _number(value.value), "low": low, "high": high},
                    **{"reference": reference, "reference_value": _number(other.value)},
                    **{"reference_low": reference_low, "reference_high": reference_high},
                    **{"gain": _number(difference.value), "gain_low": gain_low, "gain_high": gain_high},
                    "p_value": _number(difference.p_value),
                    "holm_p_value": _number(difference.holm_p_value),
                }
            )
    return rows


def _cell(folder: Path, cell: Cell, state: CellState) -> list[_Row]:
    shared: dict[str, object] = {
        "cell": cell.name,
        "state": state.state,
        "backbone": cell.run.pretraining.name,
        "arm": cell.arm.name,
        "seed": cell.run.seed,
        "method": cell.method,
        "variant": cell.variant.name,
        "target": cell.target.name,
        "fraction": fraction_text(cell.fraction),
        "draw": cell.draw,
        "error": " ".join(state.error.split()),
    }
    path = folder / cell.path / MODEL
    if state.state != "done" or not path.is_file():
        return [shared]
    model = json.loads(path.read_bytes())
    rows: list[_Row] = []
    for label, by_split in model["results"].items():
        auroc = {f"{split}_auroc": _number((found or {}).get("auroc")) for split, found in by_split.items()}
        rows.append({**shared, "label": label, **auroc, "train_samples": model["train_samples"]})
    return rows


def _bounds(interval: Interval | None) -> tuple[str, str]:
    return ("", "") if interval is None else (_number(interval[0]), _number(interval[1]))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _write(path: Path, columns: Sequence[str], rows: Sequence[_Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        file.write(text.getvalue().encode())
