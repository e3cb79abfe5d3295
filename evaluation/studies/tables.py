"""Write a study's tables as CSV: gains.csv, a row a comparison, arm and label, and cells.csv, a row a cell."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from evaluation.report.records import SplitAuroc, model_record
from evaluation.statistics.result import BootstrapResult, Interval
from shards.durable import write_atomically
from shards.json_value import parse_json
from training.runs.files import MODEL
from training.studies.cells import Cell, Comparison
from training.studies.records import CellState
from training.studies.study_file import fraction_text

TABLES = "tables"


@dataclass(frozen=True)
class _GainRow:
    """A row of gains.csv, its columns in order. Numbers are text, blank where there is none."""

    backbone: str
    method: str
    variant: str
    target: str
    fraction: str
    label: str
    metric: str
    n: int
    positives: int
    draws: int
    arm: str
    value: str
    low: str
    high: str
    reference: str
    reference_value: str
    reference_low: str
    reference_high: str
    gain: str
    gain_low: str
    gain_high: str
    p_value: str
    holm_p_value: str


@dataclass(frozen=True)
class _CellRow:
    """A row of cells.csv, its columns in order."""

    cell: str
    state: str
    backbone: str
    arm: str
    seed: int
    method: str
    variant: str
    target: str
    fraction: str
    draw: int
    label: str
    valid_auroc: str
    test_auroc: str
    train_samples: str
    error: str


def write_gains(folder: Path, results: Sequence[tuple[Comparison, str, BootstrapResult]]) -> None:
    """Write tables/gains.csv: every arm but the reference, beside the reference, with the gain and its p-values."""
    _write(folder / TABLES / "gains.csv", _GainRow, [row for one in results for row in _gains(*one)])


def write_cells(folder: Path, cells: Sequence[Cell], states: Mapping[str, CellState]) -> None:
    """Write tables/cells.csv: every cell and label, done or not."""
    rows = [row for cell in cells for row in _cell(folder, cell, states[cell.path])]
    _write(folder / TABLES / "cells.csv", _CellRow, rows)


def _gains(comparison: Comparison, metric: str, result: BootstrapResult) -> list[_GainRow]:
    rows: list[_GainRow] = []
    reference = str(result.reference)
    for label, entry in result.labels.items():
        for arm, difference in entry.differences.items():
            value, other = entry.arms[arm], entry.arms[reference]
            low, high = _bounds(value.ci)
            reference_low, reference_high = _bounds(other.ci)
            gain_low, gain_high = _bounds(difference.ci)
            rows.append(
                _GainRow(
                    backbone=comparison.pretraining,
                    method=comparison.method,
                    variant=comparison.variant,
                    target=comparison.target.name,
                    fraction=fraction_text(comparison.fraction),
                    label=label,
                    metric=metric,
                    n=entry.n,
                    positives=entry.positives,
                    draws=len(result.inputs.arms[arm]),
                    arm=arm,
                    value=_number(value.value),
                    low=low,
                    high=high,
                    reference=reference,
                    reference_value=_number(other.value),
                    reference_low=reference_low,
                    reference_high=reference_high,
                    gain=_number(difference.value),
                    gain_low=gain_low,
                    gain_high=gain_high,
                    p_value=_number(difference.p_value),
                    holm_p_value=_number(difference.holm_p_value),
                )
            )
    return rows


def _cell(folder: Path, cell: Cell, state: CellState) -> list[_CellRow]:
    """A row a label of a finished cell; one row without a label of any other."""
    row = _CellRow(
        cell=cell.name,
        state=state.state,
        backbone=cell.run.pretraining.name,
        arm=cell.arm.name,
        seed=cell.run.seed,
        method=cell.method,
        variant=cell.variant.name,
        target=cell.target.name,
        fraction=fraction_text(cell.fraction),
        draw=cell.draw,
        label="",
        valid_auroc="",
        test_auroc="",
        train_samples="",
        error=" ".join(state.error.split()),
    )
    path = folder / cell.path / MODEL
    if state.state != "done" or not path.is_file():
        return [row]
    model = model_record(parse_json(path.read_bytes()))
    return [
        replace(
            row,
            label=label,
            valid_auroc=_auroc(by_split.get("valid")),
            test_auroc=_auroc(by_split.get("test")),
            train_samples=str(model.train_samples),
        )
        for label, by_split in model.results.items()
    ]


def _auroc(found: SplitAuroc | None) -> str:
    return _number(None if found is None else found.auroc)


def _bounds(interval: Interval | None) -> tuple[str, str]:
    return ("", "") if interval is None else (_number(interval[0]), _number(interval[1]))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _write(path: Path, kind: type[_GainRow | _CellRow], rows: Sequence[_GainRow | _CellRow]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [column.name for column in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        file.write(text.getvalue().encode())
