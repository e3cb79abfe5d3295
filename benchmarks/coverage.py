"""Coverage of the reported intervals and type I error of the reported p-values, by simulation.

Each cell simulates data sets whose truth is known, analyses them as `cxr-eval bootstrap` does, and counts how often the
95 % interval holds the true value. Exits with status 1 where a cell misses its bounds by more than three standard
errors of the simulation. docs/statistics.md has the table.
"""

import fnmatch
import json
import math
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import click
import numpy as np
import scipy.special
from numpy.typing import NDArray

from benchmarks.pairs import json_option, quick_option
from evaluation.statistics.analysis import analyse
from evaluation.statistics.intervals import wilson
from evaluation.statistics.options import AnalysisOptions
from evaluation.statistics.result import BootstrapResult
from evaluation.tables.comparison import Arm, Comparison, Draw, Input, LeftOut
from evaluation.tables.truth import TruthOrigin

QUICK, FULL = 1_000, 4_000
OPTIONS = AnalysisOptions(replicates=400)
BOOTSTRAPPED = 10
"""One data set of so many is bootstrapped, for the percentile interval beside: the reported ones need no replicates."""
GAIN = 0.04
"""True difference in AUROC between the model and the other arm; the twin has none."""
MODEL, OTHER, TWIN = "model", "other", "twin"
DRAW_SD = 0.045
"""Standard deviation of the AUROC between training subsets, as in a pilot at small label fractions."""
SHARED = 0.5
"""Fraction of the variance of a row's score that all arms and draws share."""


@dataclass(frozen=True)
class Bounds:
    """What a cell must reach, in percent. type_one: of the p-value where there is no difference."""

    value: tuple[float, float]
    difference: tuple[float, float]
    type_one: float = 7.0


@dataclass(frozen=True)
class Data:
    """One data set: scores by arm [draws, rows], truth and unit [rows]."""

    scores: dict[str, NDArray[np.float64]]
    truth: NDArray[np.bool_]
    unit: NDArray[np.int64]


@dataclass(frozen=True)
class Cell:
    """A kind of data set. value: the true AUROC of the model; difference: the other arm's true difference from it."""

    name: str
    simulate: Callable[[np.random.Generator], Data]
    value: float
    difference: float
    bounds: Bounds


@dataclass
class Counts:
    """How many data sets had an estimate, and of these how many intervals held the truth (or p was below 0.05)."""

    value: list[bool] = field(default_factory=list)
    percentile: list[bool] = field(default_factory=list)
    difference: list[bool] = field(default_factory=list)
    rejected: list[bool] = field(default_factory=list)


def rows_cell(auroc: float, positives: int, rows: int = 500) -> Cell:
    """Independent rows, the scores of each class normal."""
    shifts = {MODEL: _shift(auroc), OTHER: _shift(auroc - GAIN), TWIN: _shift(auroc)}
    truth = np.arange(rows) < positives

    def simulate(generator: np.random.Generator) -> Data:
        shared = generator.normal(size=rows)
        scores = {
            arm: (
                math.sqrt(SHARED) * shared + math.sqrt(1 - SHARED) * generator.normal(size=rows) + shift * truth
            ).reshape(1, -1)
            for arm, shift in shifts.items()
        }
        return Data(scores, truth, np.arange(rows))

    lowest = 93 if positives >= 150 else 92 if positives >= 35 else 90
    bounds = Bounds((93, 98.5), (lowest, 100))
    return Cell(f"{positives} of {rows}, AUROC {auroc:.2f}", simulate, auroc, -GAIN, bounds)


def patients_cell(auroc: float, by_patient: bool, patients: int = 150, images: int = 4, fraction: float = 0.3) -> Cell:
    """Several images a patient, whose scores resemble each other; the label is the patient's, or each image's own."""
    shifts = {MODEL: _shift(auroc), OTHER: _shift(auroc - GAIN), TWIN: _shift(auroc)}
    unit = np.repeat(np.arange(patients), images)

    def clustered(generator: np.random.Generator) -> NDArray[np.float64]:
        return math.sqrt(0.6) * generator.normal(size=patients)[unit] + math.sqrt(0.4) * generator.normal(
            size=len(unit)
        )

    def simulate(generator: np.random.Generator) -> Data:
        known = generator.random(patients)[unit] if by_patient else generator.random(len(unit))
        truth = known < fraction
        shared = clustered(generator)
        scores = {
            arm: (math.sqrt(SHARED) * shared + math.sqrt(1 - SHARED) * clustered(generator) + shift * truth).reshape(
                1, -1
            )
            for arm, shift in shifts.items()
        }
        return Data(scores, truth, unit)

    kind = "patient" if by_patient else "image"
    name = f"{patients} patients x {images}, label by {kind}, AUROC {auroc:.2f}"
    return Cell(name, simulate, auroc, -GAIN, Bounds((93, 98.5), (93, 100)))


def draws_cell(draws: int, shared_draws: float, auroc: float = 0.80, positives: int = 150, rows: int = 500) -> Cell:
    """Several draws, whose AUROC varies; `shared_draws` of that variance is shared by the arms."""
    truth = np.arange(rows) < positives
    centres = {MODEL: auroc, OTHER: auroc - GAIN, TWIN: auroc}

    def simulate(generator: np.random.Generator) -> Data:
        common = DRAW_SD * math.sqrt(shared_draws) * generator.normal(size=(draws, 1))
        of_rows = math.sqrt(SHARED) * generator.normal(size=rows)
        scores = {}
        for arm, centre in centres.items():
            own = DRAW_SD * math.sqrt(1 - shared_draws) * generator.normal(size=(draws, 1))
            shift = _shift(np.clip(centre + common + own, 0.05, 0.995))
            of_arm = of_rows + math.sqrt(0.2) * generator.normal(size=rows)
            scores[arm] = of_arm + math.sqrt(0.3) * generator.normal(size=(draws, rows)) + shift * truth
        return Data(scores, truth, np.arange(rows))

    name = f"{draws} draws, {100 * shared_draws:g} % shared, {positives} of {rows}, AUROC {auroc:.2f}"
    means = {arm: _clipped_mean(centre) for arm, centre in centres.items()}
    bounds = Bounds((92, 99.5), (92, 99.5))
    return Cell(name, simulate, means[MODEL], means[OTHER] - means[MODEL], bounds)


def cells() -> list[Cell]:
    """All cells: rare and common labels, images of patients, draws."""
    aurocs = (0.80, 0.90, 0.95)
    return [
        *(rows_cell(auroc, positives) for positives in (150, 35, 8) for auroc in aurocs),
        *(patients_cell(auroc, by_patient) for by_patient in (True, False) for auroc in aurocs),
        *(draws_cell(draws, shared) for draws in (3, 5, 10) for shared in (0.0, 0.75, 0.95)),
    ]


def measure(cell: Cell, data_sets: int, seed: int) -> Counts:
    """Analyse the data sets of a cell. A data set without an interval (or p-value) does not count there."""
    counts = Counts()
    for number in range(data_sets):
        data = cell.simulate(np.random.default_rng([seed, zlib.crc32(cell.name.encode()), number]))
        entry = analysed(data, number).labels["label"]
        model, other, twin = entry.arms[MODEL], entry.differences[OTHER], entry.differences[TWIN]
        for interval, true, found in (
            (model.ci, cell.value, counts.value),
            (model.bootstrap_ci, cell.value, counts.percentile),
            (other.ci, cell.difference, counts.difference),
        ):
            if interval is not None:
                found.append(interval[0] <= true <= interval[1])
        if twin.p_value is not None:
            counts.rejected.append(twin.p_value < 1 - OPTIONS.level)
    return counts


def analysed(data: Data, seed: int) -> BootstrapResult:
    """The result of one data set, as the command writes it; without replicates but for one of ten data sets."""
    simulated = Input("simulated", None, None)
    arms = tuple(
        Arm(name, scores[:, :, None], tuple(Draw(d, None) for d in range(len(scores))), (simulated,) * len(scores))
        for name, scores in data.scores.items()
    )
    comparison = Comparison(
        labels=("label",),
        truth=data.truth[:, None].astype(np.float64),
        arms=arms,
        unit_name="patient_id",
        unit=data.unit,
        clustered=bool(np.bincount(data.unit).max() > 1),
        different=(),
        left_out=LeftOut(),
        warnings=(),
        truth_origin=TruthOrigin("simulated", len(data.truth)),
    )
    replicates = 1 if seed % BOOTSTRAPPED else OPTIONS.replicates
    return analyse(comparison, replace(OPTIONS, replicates=replicates, seed=seed), MODEL)


@dataclass(frozen=True)
class Line:
    """One line of the table. All in percent; passed: within the bounds and three standard errors of the simulation."""

    name: str
    data_sets: int
    value: float
    value_range: tuple[float, float]
    percentile: float
    difference: float
    type_one: float
    misses: tuple[str, ...]


def judged(cell: Cell, counts: Counts) -> Line:
    """Compare a cell's coverage with its bounds."""
    bounds = cell.bounds
    misses = [
        name
        for name, found, (low, high) in (
            ("value", counts.value, bounds.value),
            ("difference", counts.difference, bounds.difference),
            ("type I", counts.rejected, (0.0, bounds.type_one)),
        )
        if not low - _slack(low, len(found)) <= _percent(found) <= high + _slack(high, len(found))
    ]
    low, high = wilson(sum(counts.value), len(counts.value), 0.95)
    return Line(
        cell.name,
        len(counts.value),
        _percent(counts.value),
        (100 * low, 100 * high),
        _percent(counts.percentile),
        _percent(counts.difference),
        _percent(counts.rejected),
        tuple(misses),
    )


def shown(lines: Sequence[Line]) -> str:
    """The table as Markdown."""
    text = [
        "| data | value (95 % Wilson interval of the simulation) | percentile | difference | type I error | |",
        "|---|---|---|---|---|---|",
    ]
    for line in lines:
        low, high = line.value_range
        verdict = "ok" if not line.misses else "misses: " + ", ".join(line.misses)
        text.append(
            f"| {line.name} | {line.value:.1f} ({low:.1f}, {high:.1f}) | {line.percentile:.1f} | "
            f"{line.difference:.1f} | {line.type_one:.1f} | {verdict} |"
        )
    return "\n".join(text)


@click.command()
@quick_option
@json_option
@click.option("--only", default="*", metavar="PATTERN", help="Cells whose names match.")
@click.option("--seed", default=0, show_default=True, help="Seed of the simulation.")
def main(quick: bool, json_path: Path | None, only: str, seed: int) -> None:
    """Coverage of every cell, 4,000 data sets each; 1,000 with --quick (a few minutes on one core)."""
    lines = []
    for cell in cells():
        if fnmatch.fnmatch(cell.name, only):
            started = time.perf_counter()
            lines.append(judged(cell, measure(cell, QUICK if quick else FULL, seed)))
            took = time.perf_counter() - started
            click.echo(f"{took:.0f} s: {shown(lines[-1:]).splitlines()[-1]}", err=True)
    click.echo(shown(lines))
    if json_path is not None:
        json_path.write_text(json.dumps([_as_row(line) for line in lines], indent=1) + "\n")
    missed = [line.name for line in lines if line.misses]
    if missed:
        raise click.ClickException(f"outside of the bounds: {'; '.join(missed)}")


def _as_row(line: Line) -> dict[str, object]:
    """A line in the keys that all benchmarks share, and its own."""
    return {
        "name": line.name,
        "ours": line.value,
        "theirs": line.percentile,
        "unit": "% of intervals that cover",
        "ratio": line.value / line.percentile if line.percentile else None,
        "goal": None,
        "higher_is_better": True,
        **asdict(line),
    }


def _percent(found: Sequence[bool]) -> float:
    return 100 * sum(found) / len(found) if found else math.nan


def _slack(bound: float, count: int) -> float:
    """Three standard errors of a simulated percentage whose true value is the bound."""
    return 300 * math.sqrt(bound / 100 * (1 - bound / 100) / max(count, 1))


def _shift(auroc: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of two normal classes of unit variance with an AUROC."""
    return np.asarray(math.sqrt(2) * scipy.special.ndtri(auroc), np.float64)


def _clipped_mean(centre: float) -> float:
    """Mean AUROC over draws, by quadrature: the normal spread is clipped below 1."""
    places, weights = np.polynomial.hermite_e.hermegauss(60)
    values = np.clip(centre + DRAW_SD * places, 0.05, 0.995)
    return float(np.sum(weights * values) / np.sum(weights))


if __name__ == "__main__":
    main()
