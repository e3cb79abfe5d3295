"""`cxr-eval bootstrap --metric`: several metrics of one comparison, from files to JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from sklearn.metrics import average_precision_score, brier_score_loss

from evaluation.cli.bootstrap import bootstrap
from evaluation.results.reading import result_from_json
from shards.json_value import parse_json
from shards.terminal.group import Group
from tests.evaluation.files import write_csv

LABELS = ["Edema", "Fracture", "Mass"]
ROWS = 120


def run(*arguments: object) -> Result:
    return CliRunner().invoke(Group(commands=[bootstrap]), ["bootstrap", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """truth.csv of two images a patient (Mass has one class only), a.csv and b.csv."""
    generator = np.random.default_rng(3)
    truth = (generator.random((ROWS, 3)) < [0.3, 0.5, 0]).astype(int)
    ids = [f"i{row}" for row in range(ROWS)]
    write_csv(
        tmp_path / "truth.csv",
        ["key", "patient_id", *LABELS],
        [[ids[row], f"p{row // 2}", *truth[row]] for row in range(ROWS)],
    )
    for name, gain in (("a", 0.5), ("b", 0.2)):
        scores = np.round((generator.random((ROWS, 3)) + gain * truth) / 1.6, 3)
        write_csv(tmp_path / f"{name}.csv", ["key", *LABELS], [[ids[row], *scores[row]] for row in range(ROWS)])
    np.savez(tmp_path / "arrays.npz", truth=truth)
    return tmp_path


def result_of(folder: Path, *arguments: object) -> dict[str, Any]:
    arms = ("--model", folder / "a.csv", "--baseline", folder / "b.csv", "--replicates", 400)
    done = run("--labels", folder / "truth.csv", *arms, *arguments, "--output", folder / "r.json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads((folder / "r.json").read_text())
    return found


def scores_of(path: Path) -> np.ndarray:
    return np.genfromtxt(path, delimiter=",", skip_header=1)[:, 1:]


def test_the_first_metric_is_the_results_own_and_the_others_stand_beside_it(folder: Path) -> None:
    result = result_of(folder, "--metric", "brier,auroc,ap", "--holm")
    assert result["metric"] == "brier"
    assert list(result["metrics"]) == ["auroc", "ap"]
    truth = np.load(folder / "arrays.npz")["truth"]
    references = {"brier": brier_score_loss, "ap": average_precision_score}
    for name, reference in references.items():
        labels = result["labels"] if name == "brier" else result["metrics"][name]["labels"]
        for arm, file in (("model", "a.csv"), ("baseline", "b.csv")):
            for column, label in enumerate(LABELS[:2]):
                expected = reference(truth[:, column], scores_of(folder / file)[:, column])
                assert labels[label]["arms"][arm]["value"] == pytest.approx(expected, abs=1e-12)
    for entry in (result["metrics"]["auroc"], result["metrics"]["ap"]):
        assert list(entry) == ["labels", "mean", "holm_family"]
        assert list(entry["labels"]["Edema"]) == list(result["labels"]["Edema"])
        assert entry["holm_family"] == ["model: Edema", "model: Fracture"]
        assert entry["mean"]["labels"] == LABELS[:2]


def test_each_metric_is_the_same_whatever_stands_beside_it(folder: Path) -> None:
    together = result_of(folder, "--metric", "auroc,ap,brier")
    for name in ("ap", "brier"):
        alone = result_of(folder, "--metric", name)
        assert together["metrics"][name]["labels"] == alone["labels"]
        assert together["metrics"][name]["mean"] == alone["mean"]
    default = result_of(folder)
    assert {key: together[key] for key in together if key != "metrics"} == {
        key: default[key] for key in default if key != "metrics"
    }
    assert default["metrics"] == {}


def test_what_is_written_is_read_again_as_it_was(folder: Path) -> None:
    result = result_of(folder, "--metric", "auroc,ap", "--holm")
    read = result_from_json(parse_json((folder / "r.json").read_bytes()))
    assert json.loads(json.dumps(read.as_json())) == result


def test_a_label_of_one_class_is_null_in_every_metric_with_undefined_replicates_counted(folder: Path) -> None:
    result = result_of(folder, "--metric", "ap,brier")
    mass = result["labels"]["Mass"]
    assert (mass["n"], mass["positives"], mass["undefined_replicates"]) == (ROWS, 0, 400)
    assert mass["arms"]["model"]["value"] is None
    brier = result["metrics"]["brier"]["labels"]["Mass"]
    assert brier["arms"]["model"]["value"] is None
    assert brier["undefined_replicates"] == 0  # its replicates are defined; with one class it is not judged


def test_no_interval_of_a_further_metric_contradicts_its_p_value(folder: Path) -> None:
    result = result_of(folder, "--metric", "auroc,ap,brier")
    for name in ("ap", "brier"):
        for entry in result["metrics"][name]["labels"].values():
            difference = entry["differences"]["model"]
            if difference["ci"] is not None:
                low, high = difference["ci"]
                assert (low > 0 or high < 0) == (difference["p_value"] < 0.05)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("sensitivity", "sensitivity needs a threshold"),
        ("auroc,ppv,f1", "ppv, f1 need a threshold"),
        ("auroc,auroc", "names auroc twice"),
        (",", "names no metric"),
        ("", "the value is empty"),
        ("accuracy", "'accuracy' is not one of auroc, ap"),
    ],
)
def test_metrics_that_cannot_be_computed_are_refused(folder: Path, metric: str, said: str) -> None:
    arms = ("--labels", folder / "truth.csv", "--model", folder / "a.csv", "--output", folder / "r.json")
    done = run(*arms, "--metric", metric)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_the_brier_score_refuses_what_is_no_probability(folder: Path) -> None:
    text = (folder / "a.csv").read_text().splitlines()
    text[1] = text[1].rsplit(",", 1)[0] + ",1.2"
    (folder / "a.csv").write_text("\n".join(text) + "\n")
    arms = ("--labels", folder / "truth.csv", "--model", folder / "a.csv", "--output", folder / "r.json")
    assert run(*arms, "--replicates", 400).exit_code == 0
    done = run(*arms, "--replicates", 400, "--metric", "auroc,brier")
    assert done.exit_code == 1
    assert "not a probability between 0 and 1" in done.output


def test_a_column_that_varies_within_a_study_or_is_missing_makes_no_subgroups(folder: Path) -> None:
    arms = ("--labels", folder / "truth.csv", "--model", folder / "a.csv", "--output", folder / "r.json")
    done = run(*arms, "--replicates", 400, "--by", "sex")
    assert done.exit_code == 1
    assert "truth.csv has no such column that is the same in all rows of a key: choose of patient_id" in done.output
    done = run(*arms, "--replicates", 400, "--by", "patient_id")
    assert done.exit_code == 1
    assert "60 different values" in done.output
    done = run(*arms, "--replicates", 400, "--by", "age:9:3")
    assert done.exit_code == 2
