"""Tables and figures for a paper, beside the page."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from evaluation.cli.main import main


def test_gains_stand_beside_the_page_as_csv_and_latex_and_figures_in_three_formats(
    study_folder: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    shutil.copytree(study_folder / "results", study / "results")
    done = CliRunner().invoke(main, ["report", str(study), "--output", str(tmp_path / "out" / "report.html")])
    assert done.exit_code == 0, done.output
    tables, figures = tmp_path / "out" / "tables", tmp_path / "out" / "figures"
    stems = {path.stem for path in tables.iterdir()}
    assert stems == {"report-chexpert-test-image", "report-shenzhen-test-image"}
    assert len(list(figures.iterdir())) == 2 * (2 + 1) * 3  # datasets, methods and a forest, formats
    assert {path.suffix for path in figures.iterdir()} == {".svg", ".png", ".pdf"}
    table = pd.read_csv(tables / "report-shenzhen-test-image.csv")
    row = table[(table["method"] == "probe") & (table["fraction"] == 0.0625)].iloc[0]
    content = json.loads((study / "results" / "shenzhen-probe-6.25.json").read_text())
    entry = content["labels"]["Tuberculosis"]
    difference = entry["differences"]["model"]
    assert row["MoCo"] == pytest.approx(entry["arms"]["model"]["value"])
    assert [row["MoCo - Random low"], row["MoCo - Random high"]] == pytest.approx(difference["ci"])
    assert row["MoCo - Random p"] == pytest.approx(difference["p_value"])
    assert (row["positives"], row["negatives"]) == (entry["positives"], entry["negatives"])
    assert row["results"] == "results/shenzhen-probe-6.25.json"
    latex = (tables / "report-shenzhen-test-image.tex").read_text()
    assert r"\toprule" in latex
    assert "{:+.3f} ({:+.3f}, {:+.3f})".format(difference["value"], *difference["ci"]) in latex
