"""Measure sides in turn (A B A B ...), print a table with medians and spread, write JSON: shared by all benchmarks.

A side is a callable that returns one figure. Run a benchmark from the project's root:
`python -m benchmarks.loader --quick`.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

quick_option = click.option("--quick", is_flag=True, help="Fewer and shorter measurements: under a minute.")
json_option = click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write the results to this file."
)


@dataclass(frozen=True)
class Comparison:
    """Figures of both sides, one a round. goal: the ratio to reach, None where there is none to reach."""

    name: str
    ours: Sequence[float]
    theirs: Sequence[float]
    unit: str
    higher_is_better: bool
    goal: float | None = None

    @property
    def ratios(self) -> list[float]:
        """How many times better ours was in each round, above 1 where ours wins."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return [ours / theirs if self.higher_is_better else theirs / ours for ours, theirs in pairs]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios: a machine that slows down between two rounds does not change it."""
        return statistics.median(self.ratios)

    def record(self) -> dict[str, Any]:
        """The comparison as the JSON file holds it."""
        return {
            "name": self.name,
            "ours": statistics.median(self.ours),
            "theirs": statistics.median(self.theirs),
            "unit": self.unit,
            "ratio": self.ratio,
            "goal": self.goal,
            "higher_is_better": self.higher_is_better,
        }


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call each side once a round, in turn, so that a busy minute of the machine hits all of them alike.

    A side returns its own figure (a rate or seconds). A first round that is not counted warms caches and imports.
    """
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            figure = side()
            if number:
                figures[name].append(figure)
    return figures


def seconds(work: Callable[[], object]) -> float:
    """Measure the wall-clock seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def table(comparisons: Sequence[Comparison]) -> str:
    """Both sides of each comparison and their ratio: medians, the spread of the rounds in brackets; and the goal."""
    rows = [("", "ours", "theirs", "unit", "ratio", "goal")]
    rows += [
        (
            comparison.name,
            _spread(comparison.ours),
            _spread(comparison.theirs),
            comparison.unit,
            f"{comparison.ratio:.2f} ({min(comparison.ratios):.2f} to {max(comparison.ratios):.2f})",
            "-" if comparison.goal is None else f"{comparison.goal:g}",
        )
        for comparison in comparisons
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    align = [str.ljust, str.rjust, str.rjust, str.ljust, str.rjust, str.rjust]
    return "\n".join(
        "  ".join(pad(cell, width) for pad, cell, width in zip(align, row, widths, strict=True)).rstrip()
        for row in rows
    )


def report(comparisons: Sequence[Comparison], json_path: Path | None) -> None:
    """Print the table and, where a path is given, write the list of records to it."""
    click.echo(table(comparisons))
    if json_path is not None:
        records = [comparison.record() for comparison in comparisons]
        json_path.write_text(json.dumps(records, indent=2, allow_nan=False) + "\n")


def _spread(figures: Sequence[float]) -> str:
    return f"{_figure(statistics.median(figures))} ({_figure(min(figures))} to {_figure(max(figures))})"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Figure:
    """A result that has no other side. goal: not to be exceeded."""

    name: str
    value: float
    goal: float


def report_figures(figures: Sequence[Figure], json_path: Path | None) -> None:
    """Print figures beside their goals, and write them where `--json` says, with the keys of a comparison."""
    for figure in figures:
        click.echo(f"{figure.name:75} {figure.value:10.4g}  at most {figure.goal:g}")
    if json_path is not None:
        records = [
            {"name": figure.name, "ours": figure.value, "theirs": None, "unit": "", "ratio": figure.value,
             "goal": figure.goal, "higher_is_better": False}
            for figure in figures
        ]  # fmt: skip
        json_path.write_text(json.dumps(records, indent=2) + "\n")


def own_megabytes(field: str) -> float:
    """Memory of this process by /proc: VmRSS now, VmHWM at most since its program began (`ru_maxrss` begins with the
    parent's). Linux only."""
    (line,) = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(field)]
    return int(line.split()[1]) / 1e3
