"""The simulation of coverage: it fails where a bound fails. The whole table (benchmarks/coverage.py) takes minutes."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from benchmarks import coverage
from benchmarks.coverage import Bounds, Cell, cells, judged, main, measure


@pytest.mark.parametrize("name", ["35 of 500, AUROC 0.90", "150 patients x 4, label by patient, AUROC 0.90"])
def test_reported_intervals_cover_within_their_bounds(name: str) -> None:
    line = judged(*_measured(name, 300))
    assert not line.misses
    assert line.data_sets == 300


def test_intervals_hold_the_variation_between_three_draws() -> None:
    line = judged(*_measured("3 draws, 0 % shared, 150 of 500, AUROC 0.80", 150))
    assert not line.misses


def test_a_cell_outside_of_its_bounds_is_named() -> None:
    cell, counts = _measured("35 of 500, AUROC 0.90", 100)
    strict = replace(cell, bounds=Bounds((99.9, 100), (90, 100)))
    assert judged(strict, counts).misses == ("value",)


def test_the_command_fails_where_a_bound_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "QUICK", 30)
    (cell,) = [cell for cell in cells() if cell.name == "8 of 500, AUROC 0.80"]
    arguments = ["--quick", "--only", "8 of 500, AUROC 0.80"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "| 8 of 500, AUROC 0.80 |" in done.output
    wrong = replace(cell, value=0.3)
    monkeypatch.setattr(coverage, "cells", lambda: [wrong])
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert "outside of the bounds: 8 of 500" in done.output


def _measured(name: str, data_sets: int) -> tuple[Cell, coverage.Counts]:
    (cell,) = [cell for cell in cells() if cell.name == name]
    return cell, measure(cell, data_sets, 1)
