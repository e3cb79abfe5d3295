"""Table 1 and the flow against counts by hand, from a dataset in the study folder or where the records say."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluation.report.page.render import write_report
from evaluation.report.participants.cohort import NOT_RECORDED, cohorts
from evaluation.report.participants.flow import flow, rejected_by_kind
from evaluation.report.participants.judged import judged_rows
from evaluation.report.participants.table_one import participants_view
from evaluation.report.study import collect
from evaluation.tables.comparison import LeftOut
from evaluation.tables.truth import TruthOrigin
from shards.format.dataset import Dataset, open_dataset
from shards.format.quarantine import Quarantined, write_quarantine
from tests.evaluation.files import build_dataset
from tests.evaluation.report.test_gains import result, sidecar
from tests.evaluation.report.test_report import text_of

LABELS = ["Edema", "Mass"]
ROWS: list[dict[str, Any]] = [
    {"key": "a", "patient_id": "p1", "study_id": "s1", "sex": "female", "age": 61.0, "Edema": 1.0, "Mass": None},
    {"key": "b", "patient_id": "p1", "study_id": "s2", "sex": None, "age": 60.0, "Edema": 0.0, "Mass": -1.0},
    {"key": "c", "patient_id": "p2", "study_id": "s1", "sex": "male", "age": None, "Edema": -1.0, "Mass": 0.0},
    {"key": "d", "patient_id": "p3", "study_id": "s1", "sex": None, "age": 20.0, "Edema": None, "Mass": 1.0},
    {"key": "e", "patient_id": "p4", "study_id": "s1", "sex": "male", "age": 40.0, "excluded": "duplicate of a"},
    {"key": "f", "patient_id": "p5", "study_id": "s1", "sex": "male", "age": 40.0},
]
TEST_ROW = {"key": "t", "patient_id": "q", "study_id": None, "split": "test", "projection": "lateral", "Edema": 0.0}


def dataset_of_six(root: Path) -> Dataset:
    """Six training images of five patients, one excluded and one quarantined; one test image; three rejected."""
    common = {"split": "train", "projection": "frontal", "ap_pa": "AP"}
    dataset = build_dataset(root, [*({**common, **row} for row in ROWS), TEST_ROW], LABELS)
    with (root / "rejected.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "reason", "kind", "detail", "where"])
        table.writerow(["x/1,\n.jpg", "missing file: x", "missing file", "x", ""])
        table.writerow(["x/2.jpg", "missing file: x", "missing file", "x", ""])
        table.writerow(["x/3.jpg", "unreadable image: y", "", "y", ""])
    write_quarantine(root, dataset.name, dataset.digest, [Quarantined("f", "train-000000", "damaged")])
    return open_dataset(root, check_shards=False)


def test_participants_are_counted_by_patient_and_by_image(tmp_path: Path) -> None:
    found = cohorts(dataset_of_six(tmp_path / "d"))
    train = found["train"]
    assert (train.images, train.patients, train.studies) == (4, 3, 4)
    assert train.sex == {"female": 1, "male": 1, NOT_RECORDED: 1}
    assert (train.age.median, train.age.low, train.age.high, train.age.unknown) == (40.0, 30.0, 50.0, 1)
    assert (train.projection, train.ap_pa) == ({"frontal": 4}, {"AP": 4})
    edema, mass = (train.labels[label] for label in LABELS)
    assert (edema.positive, edema.negative, edema.uncertain, edema.not_mentioned) == (1, 1, 1, 1)
    assert (mass.positive, mass.negative, mass.uncertain, mass.not_mentioned) == (1, 1, 1, 1)
    assert (found["test"].studies, found["test"].age.median, found["test"].ap_pa) == (None, None, {NOT_RECORDED: 1})
    assert "valid" not in found


def test_the_flow_names_every_step_with_its_count_and_adds_up(tmp_path: Path) -> None:
    steps = flow(dataset_of_six(tmp_path / "d"), ["projection == 'frontal'", "no_such_column > 1"])
    assert [(step.name, step.total, step.counts.get("train")) for step in steps] == [
        ("in the source", 10, None),
        ("rejected: missing file", 2, None),
        ("rejected: unreadable image", 1, None),
        ("in the dataset", 7, 6),
        ("excluded: duplicate", 1, 1),
        ("quarantined: damaged after the build", 1, 1),
        ("left for training and judging", 5, 4),
        ("of these fulfil projection == 'frontal'", 4, 4),
    ]
    removed = sum(step.total for step in steps if step.removed)
    assert steps[0].total - removed == 5


def test_a_clean_dataset_says_that_nothing_was_left_out(tmp_path: Path) -> None:
    dataset = build_dataset(tmp_path / "d", [{**TEST_ROW, "split": "train"}], LABELS)
    assert [(step.name, step.total) for step in flow(dataset, [])] == [
        ("in the dataset", 1),
        ("excluded", 0),
        ("quarantined: damaged after the build", 0),
        ("left for training and judging", 1),
    ]
    assert rejected_by_kind(dataset.root / "rejected.csv") is None


@pytest.mark.parametrize("content", [b"\xff\xfe", b"path,reason\n", b""])
def test_an_odd_list_of_rejected_files_ends_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rejected.csv").write_bytes(content)
    assert rejected_by_kind(tmp_path / "rejected.csv") in (None, {})


def test_table_1_shows_the_labels_that_the_study_uses_and_counts_the_others(tmp_path: Path) -> None:
    dataset = dataset_of_six(tmp_path / "d")
    view = participants_view(dataset, {"Mass", "of another dataset"}, [])
    assert (view.columns, view.labels_left_out) == (["training", "test"], 1)
    cells = {row.name: row.cells for row in view.rows}
    assert cells["Mass"] == ["1, 1, 1, 1", "0, 0, 0, 1"]
    assert cells["female"] == ["1 (33.3 %)", "0 (0.0 %)"]
    assert "Edema" not in cells
    assert participants_view(dataset, set(), []).labels_left_out == 0


def test_the_page_has_table_1_of_a_dataset_in_the_folder(study_folder: Path, report_file: Path) -> None:
    text = text_of(report_file.read_text(encoding="utf-8"))
    assert "table 1 training validation test patients 30 10 90" in text
    assert "in the dataset 60 20 180 260" in text
    for row in judged_rows(collect(study_folder).results):
        assert f"{row.label} {row.rows} {row.uncertain} {row.missing} {row.positives} {row.negatives}" in text
    assert "Not at hand" not in text


def test_rows_that_were_judged_say_what_they_are_and_are_listed_once_for_all_results() -> None:
    shards = TruthOrigin("shards", 50, name="chexpert", digest="d" * 64, split="test")
    origins = [shards, shards, replace(shards, images=70, row_filter="age > 60"), TruthOrigin("truth.csv", 50)]
    results = []
    for number, origin in enumerate(origins):
        one = result([sidecar("moco")], name=f"{number}.json")
        inputs = replace(one.content.inputs, labels=origin)
        left_out = LeftOut(rows={"Edema": {"uncertain": 3, "blank": 4}})
        results.append(replace(one, content=replace(one.content, inputs=inputs, left_out=left_out)))
    rows = judged_rows(results)
    assert [row.rows_are for row in rows] == ["images", "studies of 70 images with age > 60", "rows"]
    assert [row.files for row in rows] == [("0.json", "1.json"), ("2.json",), ("3.json",)]
    assert {(row.dataset, row.split, row.uncertain, row.missing) for row in rows} == {("chexpert", "test", 3, 4)}


def test_a_dataset_is_found_where_a_result_was_given_it_and_only_if_it_is_the_same_build(
    study_folder: Path, tmp_path: Path
) -> None:
    study, shards = tmp_path / "study", tmp_path / "elsewhere"
    study.mkdir()
    content = json.loads((study_folder / "results" / "shenzhen-probe-100.json").read_text())
    for place, found in (("nowhere", False), (str(shards), True)):
        content["inputs"]["labels"]["path"] = place
        (study / "r.json").write_text(json.dumps(content))
        if found:
            shutil.copytree(study_folder / "shards" / "shenzhen", shards)
        text = page_text(study, tmp_path)
        assert ("table 1 training test patients 20 60" in text) is found
        assert ("Not at hand, so that only what results say of them is shown: shenzhen" in text) is not found
        assert "elsewhere" not in text
    described = json.loads((shards / "dataset.json").read_text())
    (shards / "dataset.json").write_text(json.dumps({**described, "seed": 7}))
    assert "Not at hand" in page_text(study, tmp_path)


def test_a_dataset_whose_rows_are_damaged_is_named_and_ends_nothing(study_folder: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(study_folder / "results", study / "results")
    shutil.copytree(study_folder / "shards", study / "shards")
    (study / "shards" / "shenzhen" / "samples.parquet").write_bytes(b"PAR1 no longer")
    assert page_text(study, tmp_path).count("table 1") == 2  # read where the results were given it
    for path in (study / "results").iterdir():
        content = json.loads(path.read_text())
        content["inputs"]["labels"]["path"] = "nowhere"
        path.write_text(json.dumps(content))
    text = page_text(study, tmp_path)
    assert "rows cannot be read, so that they have no table of participants: shenzhen" in text
    assert text.count("table 1") == 1


def page_text(study: Path, tmp_path: Path) -> str:
    write_report(study, tmp_path / "report.html", with_images=False)
    return text_of((tmp_path / "report.html").read_text(encoding="utf-8"))
