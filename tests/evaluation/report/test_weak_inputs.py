"""Weak inputs by the real commands: few patients, one positive, few replicates, each marked and nothing bold."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evaluation.cli.main import main
from evaluation.report.page.render import write_report
from tests.evaluation.files import write_csv
from tests.evaluation.report.test_report import text_of

LONG = "a very long label " * 16 + "and its end"
HEBREW = "בצקת ריאות"


def judged(folder: Path, patients: int, positives: int, label: str = "Edema") -> Path:
    """A result of two arms, the one far better than the other, with two images a patient."""
    generator = np.random.default_rng(0)
    rows = 2 * patients
    truth = np.arange(rows) < positives
    ids = [[f"k{row}", f"p{row // 2}"] for row in range(rows)]
    write_csv(
        folder / "truth.csv",
        ["key", "patient_id", label],
        [[*one, int(positive)] for one, positive in zip(ids, truth, strict=True)],
    )
    for arm, gain in (("good", 3.0), ("poor", 0.0)):
        scores = 1 / (1 + np.exp(-(generator.normal(size=rows) + gain * truth - gain / 2)))
        table = [[one[0], score] for one, score in zip(ids, scores, strict=True)]
        write_csv(folder / f"{arm}.csv", ["key", label], table)
    study = folder / "study"
    words = ["bootstrap", "--labels", folder / "truth.csv", "--model", folder / "good.csv", "--baseline",
             folder / "poor.csv", "--replicates", 400, "--output", study / "r.json"]  # fmt: skip
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return study


def page_of(study: Path) -> str:
    write_report(study, study.parent / "report.html", with_images=False)
    return (study.parent / "report.html").read_text(encoding="utf-8")


def test_many_patients_with_a_clear_difference_are_bold_so_that_the_tests_below_can_fail(tmp_path: Path) -> None:
    page = page_of(judged(tmp_path, 60, 40))
    assert re.search(r"<b>\+0\.\d{3}</b>", page)
    assert 'class="weak"' not in page
    assert "Few units, few of a class" not in page


@pytest.mark.parametrize(
    ("patients", "positives", "mark"),
    [(9, 6, "only 9 patients"), (20, 20, "only 20 patients"), (60, 1, "fewer than 10 of a class"),
     (60, 9, "fewer than 10 of a class")],
)  # fmt: skip
def test_few_patients_and_few_positives_are_marked_and_nothing_is_bold(
    tmp_path: Path, patients: int, positives: int, mark: str
) -> None:
    page = page_of(judged(tmp_path, patients, positives))
    text = text_of(page)
    assert "<b>" not in page
    assert f'<span class="weak">{mark}' in page
    assert f"{mark[0].upper()}{mark[1:]}" in text.split("Warnings")[1]
    if positives == 1:
        assert "undefined" in text
    else:
        assert f"too weakly supported to be judged, with {mark}" in text


def test_few_replicates_for_the_level_are_marked_and_nothing_is_bold(tmp_path: Path) -> None:
    study = judged(tmp_path, 60, 40)
    content = json.loads((study / "r.json").read_text())
    (study / "r.json").write_text(json.dumps({**content, "replicates": 100}))
    page = page_of(study)
    assert "<b>" not in page
    assert '<span class="weak">only 100 replicates</span>' in page


def test_many_replicates_without_a_value_are_marked_and_nothing_is_bold(tmp_path: Path) -> None:
    study = judged(tmp_path, 60, 40)
    content = json.loads((study / "r.json").read_text())
    content["labels"]["Edema"]["undefined_replicates"] = 21
    (study / "r.json").write_text(json.dumps(content))
    page = page_of(study)
    assert "<b>" not in page
    assert '<span class="weak">21 of 400 replicates undefined</span>' in page


@pytest.mark.parametrize("label", [LONG, HEBREW, "<i>Edema</i> & $x_1$"])
def test_long_right_to_left_and_odd_names_are_shown_whole_as_text(tmp_path: Path, label: str) -> None:
    page = page_of(judged(tmp_path, 9, 6, label))
    assert "<i>" not in page
    assert text_of(page).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").count(label) >= 3
    assert "<b>" not in page


def test_an_empty_mean_and_a_mean_of_labels_that_are_not_there_end_no_page(tmp_path: Path) -> None:
    study = judged(tmp_path, 60, 40)
    content = json.loads((study / "r.json").read_text())
    for labels in ([], ["no such label"]):
        content["mean"]["labels"] = labels
        content["labels"] |= {"Mass": content["labels"]["Edema"]}
        (study / "r.json").write_text(json.dumps(content))
        assert "Edema" in page_of(study)
