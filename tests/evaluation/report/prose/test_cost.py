"""The cost of a study: its records' own seconds and rates, and what is not recorded."""

import json
import shutil
from pathlib import Path
from statistics import median

import pytest

from evaluation.report.prose.cost import cost
from evaluation.report.study import Study, collect


def test_runs_have_their_own_hours_and_median_rate_and_images_seen(study_folder: Path) -> None:
    study = collect(study_folder)
    found = cost(study)
    assert found is not None
    rows = {row.work: row for row in found.rows}
    (run,) = (run for run in study.runs if run.finished)
    row = rows[f"pretraining {run.name}"]
    seconds = run.metrics[-1]["seconds"]
    assert row.hours.startswith(f"{seconds / 3600:.2f} h (")
    assert row.rate == f"{median(line['images_per_second'] for line in run.metrics):,.0f}"
    assert row.images == f"{1200 * 64:,}"
    assert "pretraining pretrain/moco-densenet, unfinished" in rows
    assert (rows["linear probes"].pieces, rows["linear probes"].hours) == ("36 models", "not recorded")
    assert "72 of 72 models" in found.unknown


def test_cells_of_a_study_have_the_seconds_of_done_json(study_folder: Path, tmp_path: Path) -> None:
    for number, seconds in enumerate((3600.0, 7200.0)):
        cell = tmp_path / "cells" / f"draw{number}"
        shutil.copytree(study_folder / "models" / f"shenzhen-probe-moco-100-draw{number}", cell)
        (cell / "done.json").write_text(json.dumps({"format_version": 1, "cell": "0" * 64, "seconds": seconds}))
    found = cost(collect(tmp_path))
    assert found is not None
    (row,) = found.rows
    assert (row.work, row.hours) == ("linear probes", "3.00 h (3 h 0 min), 1 h 30 min each (median)")
    assert (found.total, found.unknown) == ("3.00 h (3 h 0 min)", "")


@pytest.mark.parametrize("content", ["{", "[]", '{"seconds": "long"}'])
def test_a_damaged_done_json_is_named_and_the_time_not_recorded(
    study_folder: Path, tmp_path: Path, content: str
) -> None:
    shutil.copytree(study_folder / "models" / "shenzhen-probe-moco-100-draw0", tmp_path / "cell")
    (tmp_path / "cell" / "done.json").write_text(content)
    study = collect(tmp_path)
    found = cost(study)
    assert found is not None
    assert (study.unreadable, found.total, found.unknown) == (["cell/done.json"], "not recorded", "1 of 1 models")


def test_results_alone_have_no_cost(tmp_path: Path) -> None:
    assert cost(Study(tmp_path)) is None
