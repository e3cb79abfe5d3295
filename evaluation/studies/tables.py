"""Write a study's tables as CSV.

gains.csv has a row a comparison, arm and label, means.csv a row a mean over datasets, cells.csv a row a cell.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from evaluation.report.means import MEANS, MeanColumns
from evaluation.report.records import SplitAuroc, model_record
from evaluation.statistics.result import Interval
from evaluation.studies.families import JudgedResult
from evaluation.studies.means import MeanGain
from shards.durable import write_atomically
from shards.json_value import parse_json
from training.runs.files import MODEL
from training.studies.cells import Cell
from training.studies.records import CellState
from training.studies.study_file import fraction_text

TABLES = "tables"


@dataclass(frozen=True)
class _GainRow:
    """A row of gains.csv, its columns in order. Numbers are text, blank where there is none.

    dataset: its name in the study file. backbone: the pretraining's name there. value: the gain of the arm over the
    reference, with its interval. draws, seeds: numbers of them that the arm was judged by.
    """

    dataset: str
    label: str
    method: str
    fraction: str
    backbone: str
    arm: str
    reference: str
    value: str
    ci_low: str
    ci_high: str
    p_value: str
    draws: int
    seeds: int
    holm_p_value: str
    variant: str
    target: str
    metric: str
    n: int
    positives: int
    arm_value: str
    arm_ci_low: str
    arm_ci_high: str
    reference_value: str
    reference_ci_low: str
    reference_ci_high: str


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


def write_means(folder: Path, means: Sequence[MeanGain]) -> None:
    """Write tables/means.csv: the mean gain of each arm over datasets, each at its lowest fraction."""
    _write(folder / TABLES / MEANS, MeanColumns, [_mean(one) for one in means])


def write_gains(folder: Path, results: Sequence[JudgedResult]) -> None:
    """Write tables/gains.csv: every arm but the reference, with its gain over the reference, and beside it."""
    _write(folder / TABLES / "gains.csv", _GainRow, [row for one in results for row in _gains(one)])


def write_cells(folder: Path, cells: Sequence[Cell], states: Mapping[str, CellState]) -> None:
    """Write tables/cells.csv: every cell and label, done or not."""
    rows = [row for cell in cells for row in _cell(folder, cell, states[cell.path])]
    _write(folder / TABLES / "cells.csv", _CellRow, rows)


def _gains(judged: JudgedResult) -> list[_GainRow]:
    rows: list[_GainRow] = []
    comparison, result = judged.comparison, judged.result
    reference = str(result.reference)
    for label, entry in result.labels.items():
        for arm, difference in entry.differences.items():
            own, other = entry.arms[arm], entry.arms[reference]
            files = {file.path for file in result.inputs.arms[arm]}
            cells = [cell for cell in comparison.arms[arm] if any(f"/{cell.path}/" in f"/{path}" for path in files)]
            low, high = _bounds(difference.ci)
            arm_low, arm_high = _bounds(own.ci)
            reference_low, reference_high = _bounds(other.ci)
            rows.append(
                _GainRow(
                    dataset=comparison.target.dataset,
                    label=label,
                    method=comparison.method,
                    fraction=fraction_text(comparison.fraction),
                    backbone=comparison.pretraining,
                    arm=arm,
                    reference=reference,
                    value=_number(difference.value),
                    ci_low=low,
                    ci_high=high,
                    p_value=_p_value(difference.p_value),
                    draws=len({cell.draw for cell in cells}),
                    seeds=len({cell.run.seed for cell in cells}),
                    holm_p_value=_p_value(difference.holm_p_value),
                    variant=comparison.variant,
                    target=comparison.target.name,
                    metric=judged.metric,
                    n=entry.n,
                    positives=entry.positives,
                    arm_value=_number(own.value),
                    arm_ci_low=arm_low,
                    arm_ci_high=arm_high,
                    reference_value=_number(other.value),
                    reference_ci_low=reference_low,
                    reference_ci_high=reference_high,
                )
            )
    return rows


def _mean(mean: MeanGain) -> MeanColumns:
    low, high = _bounds(mean.ci)
    return MeanColumns(
        method=mean.method,
        backbone=mean.backbone,
        arm=mean.arm,
        reference=";".join(mean.references),
        value=_number(mean.value),
        ci_low=low,
        ci_high=high,
        p_value=_p_value(mean.p_value),
        targets=";".join(f"{name} {fraction_text(fraction)}" for name, fraction in mean.targets),
        variant=mean.variant,
        metric=mean.metric,
        weak=mean.weak,
    )


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


def _p_value(value: float | None) -> str:
    """A p-value with four digits, however small."""
    return "" if value is None else f"{value:.4g}"


_Row = _GainRow | _CellRow | MeanColumns


def _write(path: Path, kind: type[_Row], rows: Sequence[_Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [column.name for column in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        file.write(text.getvalue().encode())
