"""`cxr-eval study` judges what a sweep has finished: predictions, results, tables and the report, at any time."""

import csv
import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result

from evaluation.cli.main import main as cxr_eval
from evaluation.statistics.holm import holm

RESULTS = [f"tiny-{method}-plain-edema-{fraction}" for method in ("probe", "finetune") for fraction in ("0.5", "1.0")]


def study(output: Path, data: Path) -> Result:
    words = ("study", output, "--data", data, "--device", "cpu", "--threads", 1)
    return CliRunner().invoke(cxr_eval, [str(word) for word in words])


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def tables(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (output / "tables").iterdir()}


@pytest.fixture(scope="module")
def judged(swept: Path, small_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("judged") / "out"
    shutil.copytree(swept, output)
    result = study(output, small_study)
    assert result.exit_code == 0, result.output
    assert "12 of 12 cells are done, 12 were predicted now; 4 results" in result.output
    return output


def test_every_cell_is_predicted_and_every_comparison_made(judged: Path) -> None:
    assert len(list(judged.glob("cells/*/test.csv"))) == 12
    assert sorted(path.stem for path in (judged / "results").iterdir()) == sorted(
        [*RESULTS, *(f"{name}-curves" for name in RESULTS)]
    )
    result = json.loads((judged / "results" / f"{RESULTS[0]}.json").read_text())
    assert result["reference"] == "start"
    assert result["replicates"] == 400
    assert [len(files) for files in result["inputs"]["arms"].values()] == [2, 2]
    assert "<html" in (judged / "report.html").read_text()
    drawn = sorted(path.name for path in (judged / "figures").iterdir())
    assert drawn == ["labelled-edema-fine-tuned.svg", "labelled-edema-linear-probe.svg"]
    for name in drawn:
        root = ElementTree.parse(judged / "figures" / name).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_predictions_of_a_probe_from_embeddings_are_those_of_its_network(judged: Path, small_study: Path) -> None:
    cell = judged / "cells" / "tiny-moco-seed0-probe-plain-edema-1.0-draw0"
    output = judged / "again.csv"
    words = ("predict", "--model", cell, "--shards", small_study / "labelled", "--output", output, "--device", "cpu")
    assert CliRunner().invoke(cxr_eval, [str(word) for word in words]).exit_code == 0
    mine, theirs = pd.read_csv(cell / "test.csv"), pd.read_csv(output)
    assert list(mine["key"]) == list(theirs["key"])
    np.testing.assert_allclose(mine["Edema"], theirs["Edema"], atol=1e-5)
    assert json.loads((cell / "test.csv.json").read_text()) == json.loads(Path(f"{output}.json").read_text())


def test_the_table_of_gains_holds_what_the_results_hold_and_holm_s_p_values_of_each_family(judged: Path) -> None:
    found = rows(judged / "tables" / "gains.csv")
    assert [(row["method"], row["fraction"]) for row in found] == [
        *(("probe", "0.5"), ("probe", "1.0"), ("finetune", "0.5"), ("finetune", "1.0"))
    ]
    for row, name in zip(found, RESULTS, strict=True):
        entry = json.loads((judged / "results" / f"{name}.json").read_text())["labels"]["Edema"]
        difference = entry["differences"]["moco"]
        assert float(row["arm_value"]) == pytest.approx(entry["arms"]["moco"]["value"], abs=1e-6)
        assert float(row["value"]) == pytest.approx(difference["value"], abs=1e-6)
        for column in ("p_value", "holm_p_value"):
            assert row[column] == ("" if difference[column] is None else f"{difference[column]:.4g}")
    for method in ("probe", "finetune"):
        family = [row for row in found if row["method"] == method and row["p_value"]]
        expected = holm([float(row["p_value"]) for row in family])
        assert [float(row["holm_p_value"]) for row in family] == pytest.approx(expected, rel=1e-3)
        names = [name for name in RESULTS if f"-{method}-" in name]
        of_method = [row for row in found if row["method"] == method]
        tested = [f"{name}: moco: Edema" for name, row in zip(names, of_method, strict=True) if row["p_value"]]
        for name in names:
            result = json.loads((judged / "results" / f"{name}.json").read_text())
            if result["labels"]["Edema"]["differences"]["moco"]["p_value"] is not None:
                assert result["holm_family"] == tested


def test_judging_again_computes_nothing_and_writes_the_same(judged: Path, small_study: Path) -> None:
    before, made = tables(judged), {p: p.stat().st_mtime_ns for p in judged.rglob("test.csv")}
    again = study(judged, small_study)
    assert again.exit_code == 0
    assert ", 0 were predicted now" in again.output
    assert tables(judged) == before
    assert {p: p.stat().st_mtime_ns for p in judged.rglob("test.csv")} == made


def test_an_unfinished_study_is_judged_as_far_as_it_is_and_says_what_is_missing(
    swept: Path, small_study: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(swept, output)
    lacking = ("tiny-moco-seed0-probe-plain-edema-0.5-draw1", "tiny-start-seed0-finetune-plain-edema-1.0-draw0")
    for name in lacking:
        shutil.rmtree(output / "cells" / name)
    result = study(output, small_study)
    assert result.exit_code == 0, result.output
    assert "10 of 12 cells are done" in result.output
    for name in lacking:
        assert f"missing: cells/{name}" in result.output
        assert name in (output / "report.html").read_text()
    assert "not compared yet: tiny-finetune-plain-edema-1.0" in result.output
    found = rows(output / "tables" / "gains.csv")
    assert [(row["method"], row["fraction"], row["draws"]) for row in found] == [
        *(("probe", "0.5", "1"), ("probe", "1.0", "1"), ("finetune", "0.5", "2"))
    ]
    states = {row["cell"]: row["state"] for row in rows(output / "tables" / "cells.csv")}
    assert {name for name, state in states.items() if state == "missing"} == set(lacking)


def test_a_model_that_was_trained_again_is_predicted_again(judged: Path, small_study: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(judged, output)
    first, other = (output / "cells" / f"tiny-start-seed0-probe-plain-edema-0.5-draw{draw}" for draw in (0, 1))
    for name in ("model.json", "model.safetensors"):
        shutil.copy(other / name, first / name)
    assert ", 1 were predicted now" in study(output, small_study).output


def test_a_result_whose_intervals_go_over_more_than_the_study_file_says_is_made_again(
    judged: Path, small_study: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(judged, output)
    content = yaml.safe_load((output / "study.yaml").read_text())
    content["evaluation"]["over"] = ["patients"]
    (output / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    path = output / "results" / f"{RESULTS[0]}.json"
    earlier = json.loads(path.read_text())
    earlier["over"] = [*earlier["over"], "draws"]
    path.write_text(json.dumps(earlier).replace(str(judged), str(output)))
    assert study(output, small_study).exit_code == 0
    assert "draws" not in json.loads(path.read_text())["over"]


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    result = study(tmp_path, tmp_path)
    assert result.exit_code == 1
    assert "study.yaml: there is no such file" in result.output
