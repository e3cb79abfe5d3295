"""Curves and forests on the page and beside it, from the real commands."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluation.cli.main import main
from evaluation.report.gains import gain_tables
from evaluation.report.page.forests import gain_forests, paired_draws
from evaluation.report.page.operating import sheets
from evaluation.report.study import collect
from tests.evaluation.report.three_arms import build_three_arms


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_three_arms(tmp_path_factory.mktemp("three"))


def test_of_comparisons_that_differ_in_the_fraction_only_the_largest_is_drawn_and_the_others_are_named(
    study: Path,
) -> None:
    drawn, others = sheets(collect(study).curves)
    assert [sheet.file.name for sheet in drawn] == ["results/r1.0-curves.json"]
    assert others == ["results/r0.01-curves.json", "results/r0.1-curves.json"]
    assert drawn[0].title == "chexpert, test: fine-tuned, 100 %, densenet121"


def test_the_points_of_a_forest_are_the_differences_of_each_draw(study: Path) -> None:
    found = collect(study)
    (table,), _ = gain_tables(found.results)
    row = next(row for row in table.rows if row.label == "Edema" and row.fraction == 0.1)
    entry = json.loads((study / "results" / "r0.1.json").read_text())["labels"]["Edema"]
    expected = [a - b for a, b in zip(entry["arms"]["moco"]["draws"], entry["arms"]["random"]["draws"], strict=True)]
    assert list(paired_draws(row, ("MoCo", "Random"))) == pytest.approx(expected)
    plots = gain_forests(table)["Edema"]
    assert [title for title, _ in plots] == ["Edema: ImageNet − Random", "Edema: MoCo − Random"]
    assert [row.name for row in plots[1][1].groups[0].rows] == ["1 %", "10 %", "100 %"]


def test_curves_subgroups_readers_and_forests_stand_on_the_page_and_beside_it(study: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["report", str(study), "--output", str(tmp_path / "r.html")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for title in ("Edema: ROC curve", "Edema: precision and recall", "mean over labels: MoCo − Random"):
        assert f'aria-label="{title}"' in page
    assert "Reader 1" in page
    curves = json.loads((study / "results" / "r1.0-curves.json").read_text())
    point = curves["labels"]["Edema"]["readers"]["Reader 1"]
    assert f"{point['sensitivity']['value']:.3f}" in page
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    for part in (
        "gains-MoCo-Random",
        "100-densenet121-roc",
        "precision-recall",
        "reliability",
        "by-subgroup",
        "pretraining",
    ):
        assert any(part in name for name in names), part
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".svg", ".png", ".pdf"}
