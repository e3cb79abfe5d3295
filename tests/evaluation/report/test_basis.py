"""What stands with each table: metric, level, units, replicates, files, tests; and several results for one cell."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from evaluation.report.gains import gain_tables
from evaluation.report.page.render import write_report
from evaluation.report.study import Result
from evaluation.report.tables.gain_table import GainView, gain_view
from tests.evaluation.report.test_gains import result, sidecar
from tests.evaluation.report.test_report import text_of


def view(*results: Result) -> GainView:
    (table,), _ = gain_tables(results)
    return gain_view(table, "g", results)


def pair(name: str, value: float = 0.8, labels: tuple[str, ...] = ("Edema",)) -> Result:
    return result([sidecar("moco")], [sidecar("random")], name, value, labels)


def test_a_table_says_metric_level_units_replicates_and_files() -> None:
    found = view(pair("a.json"))
    assert found.basis == (
        "AUROC; 95 % intervals; resampled units: 40 patients; intervals over patients; 500 replicates. Files: a.json."
    )


def test_p_values_say_which_test_how_many_and_what_holm_goes_over() -> None:
    assert "two-sided" in view(pair("a.json")).tests
    assert view(pair("a.json")).tests.endswith("1 test in this table, not corrected for their number.")
    one = pair("a.json", labels=("Edema", "Mass"))
    holm = {"model": replace(one.content.mean.differences["model"], holm_p_value=0.04)}
    labels = {label: replace(entry, differences=holm) for label, entry in one.content.labels.items()}
    content = replace(one.content, labels=labels, holm_family=("model: Edema", "model: Mass", "other: Mass"))
    said = view(replace(one, content=content)).tests
    assert said.endswith("3 tests in this table; Holm's p for 2 of them, over a family of 3 comparisons.")


def test_every_row_has_positives_and_negatives_and_the_mean_those_of_its_labels() -> None:
    one = pair("a.json", labels=("Edema", "Mass"))
    labels = dict(one.content.labels)
    labels["Mass"] = replace(labels["Mass"], n=60, positives=20, negatives=40)
    rows = [
        row for block in view(replace(one, content=replace(one.content, labels=labels))).blocks for row in block.rows
    ]
    assert [(row.positives, row.negatives) for row in rows] == [("9 to 20", "40 to 41"), ("9", "41"), ("20", "40")]


def test_two_results_with_the_same_figures_share_a_row_that_names_both() -> None:
    first, second = pair("a.json"), pair("b.json")
    second = replace(second, content=replace(second.content, replicates=2000))
    (block,) = view(first, second).blocks
    assert [row.files for row in block.rows] == ["a.json and b.json"]


def test_two_results_that_disagree_on_a_cell_are_both_shown_each_with_its_file() -> None:
    (block,) = view(pair("a.json"), pair("b.json", 0.9)).blocks
    assert [row.files for row in block.rows] == ["a.json", "b.json"]


def test_a_row_of_one_result_names_no_file_of_its_own() -> None:
    (block,) = view(pair("a.json")).blocks
    assert [row.files for row in block.rows] == [""]


def test_the_page_has_versions_and_digests_of_results_and_weights(study_folder: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(study_folder / "results", study / "results")
    shutil.copytree(study_folder / "models" / "shenzhen-probe-moco-100-draw0", study / "model")
    path = study / "results" / "shenzhen-probe-100.json"
    content = json.loads(path.read_text())
    content["inputs"]["thresholds"] = {"path": "/home/someone/t.json", "sha256": "c" * 64, "rule": "youden"}
    path.write_text(json.dumps(content))
    write_report(study, tmp_path / "report.html", with_images=False)
    text = text_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert f"numpy {content['versions']['numpy']}" in text
    assert "youden, t.json (cccccccccccc)" in text
    assert "someone" not in text
    assert f"model model {'0' * 64}" in text
