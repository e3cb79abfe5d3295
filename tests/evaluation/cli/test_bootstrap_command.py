"""`cxr-eval bootstrap` from files to JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from evaluation.cli.bootstrap import bootstrap
from evaluation.statistics.delong import delong
from shards.terminal.group import Group
from tests.evaluation.files import write_csv, write_sidecar

LABELS = ["Edema", "Pneumonia", "Fracture"]
ROWS = 90


def run(*arguments: object) -> Result:
    group = Group(commands=[bootstrap])
    return CliRunner().invoke(group, ["bootstrap", *map(str, arguments)])


def result_of(folder: Path, *arguments: object) -> dict[str, Any]:
    output = folder / "out" / "result.json"
    done = run("--labels", folder / "truth.csv", *arguments, "--output", output)
    assert done.exit_code == 0, done.output
    result: dict[str, Any] = json.loads(output.read_text(), parse_constant=_refuse)
    return result


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """truth.csv by Study (Fracture has one class only, Pneumonia unknowns) and four predictions, a.csv .. d.csv."""
    generator = np.random.default_rng(7)
    truth = (generator.random((ROWS, 3)) < 0.3).astype(int).astype(object)
    truth[:5, 1], truth[5:9, 1] = None, -1
    truth[:, 2] = 0
    studies = [f"CheXpert-v1.0/test/patient{i // 2}/study{i % 2}" for i in range(ROWS)]
    write_csv(
        tmp_path / "truth.csv",
        ["Study", "ward", *LABELS],
        [[s, f"w{i // 2}", *t] for i, (s, t) in enumerate(zip(studies, truth, strict=True))],
    )
    for draw, gain in zip("abcd", (0.5, 0.4, 0.2, 0.1), strict=True):
        known = np.where(truth == 1, 1.0, 0.0)
        scores = np.round((generator.random((ROWS, 3)) + gain * known) / 2, 3)
        order = generator.permutation(ROWS)
        rows = [[studies[i].replace("CheXpert-v1.0", "other"), *scores[i]] for i in order]
        write_csv(tmp_path / f"{draw}.csv", ["Study", *LABELS], rows)
    return tmp_path


def test_the_json_has_the_documented_keys_in_their_order(folder: Path) -> None:
    result = result_of(folder, "--model", folder / "a.csv", "--baseline", folder / "c.csv")
    assert list(result) == [
        *("metric", "replicates", "level", "unit", "seed", "method", "labels", "mean", "arms", "inputs")
    ]
    assert [result[key] for key in list(result)[:6]] == ["auroc", 500, 0.95, "Study", 0, "percentile"]
    assert list(result["labels"]) == LABELS
    for label in LABELS:
        entry = result["labels"][label]
        assert list(entry) == ["n", "positives", "undefined_replicates", "model", "baseline", "difference"]
    for entry in (*result["labels"].values(), result["mean"]):
        assert list(entry["model"]) == list(entry["baseline"]) == ["value", "ci"]
        assert list(entry["difference"]) == ["value", "ci", "p_value", "delong_p_value"]
    assert list(result["mean"]) == ["model", "baseline", "difference"]
    assert list(result["inputs"]) == ["labels", "model", "baseline"]


def test_without_a_baseline_there_is_neither_baseline_nor_difference(folder: Path) -> None:
    result = result_of(folder, "--model", folder / "a.csv")
    for entry in (*result["labels"].values(), result["mean"]):
        assert "model" in entry
        assert not {"baseline", "difference"} & set(entry)
    assert list(result["arms"]) == ["model"]


def test_values_are_scikit_learns_on_the_rows_with_known_truth(folder: Path) -> None:
    result = result_of(folder, "--model", folder / "a.csv", "--baseline", folder / "c.csv")
    truth = np.genfromtxt(folder / "truth.csv", delimiter=",", skip_header=1)[:, 2:]
    scores = [_scores(folder, name) for name in "ac"]
    for column, label in enumerate(LABELS[:2]):
        known = np.isin(truth[:, column], (0, 1))
        entry = result["labels"][label]
        expected = [roc_auc_score(truth[known, column], s[known, column]) for s in scores]
        assert entry["n"] == known.sum()
        assert entry["positives"] == (truth[:, column] == 1).sum()
        assert entry["model"]["value"] == pytest.approx(expected[0], abs=1e-12)
        assert entry["baseline"]["value"] == pytest.approx(expected[1], abs=1e-12)
        assert entry["difference"]["value"] == pytest.approx(expected[0] - expected[1], abs=1e-12)
        p_value = delong(np.stack([s[known, column] for s in scores]), truth[known, column] == 1).p_value
        assert entry["difference"]["delong_p_value"] == pytest.approx(p_value, rel=1e-9)
        low, high = entry["model"]["ci"]
        assert low < entry["model"]["value"] < high


def test_a_label_of_one_class_is_null_with_its_counts_and_left_out_of_the_mean(folder: Path) -> None:
    result = result_of(folder, "--model", folder / "a.csv", "--baseline", folder / "c.csv", "--replicates", 40)
    nothing = {"value": None, "ci": None}
    assert result["labels"]["Fracture"] == {
        "n": ROWS,
        "positives": 0,
        "undefined_replicates": 40,
        "model": nothing,
        "baseline": nothing,
        "difference": {**nothing, "p_value": None, "delong_p_value": None},
    }
    others = [result["labels"][label]["model"]["value"] for label in LABELS[:2]]
    assert result["mean"]["model"]["value"] == pytest.approx(np.mean(others), abs=1e-12)


def test_several_draws_are_averaged_in_each_replicate_and_have_no_delong_p_value(folder: Path) -> None:
    a, b, c, d = (folder / f"{name}.csv" for name in "abcd")
    result = result_of(folder, "--model", a, "--model", b, "--baseline", c, "--baseline", d)
    singles = [result_of(folder, "--model", path)["labels"]["Edema"]["model"]["value"] for path in (a, b)]
    edema = result["labels"]["Edema"]
    assert edema["model"]["value"] == pytest.approx(np.mean(singles), abs=1e-12)
    assert edema["difference"]["delong_p_value"] is None
    assert edema["difference"]["p_value"] is not None
    assert len(result["arms"]["model"]) == len(result["inputs"]["baseline"]) == 2


def test_clusters_are_the_unit_and_have_no_delong_p_value(folder: Path) -> None:
    arguments = ["--model", folder / "a.csv", "--baseline", folder / "c.csv"]
    rows, wards = result_of(folder, *arguments), result_of(folder, *arguments, "--cluster", "ward")
    assert (rows["unit"], wards["unit"]) == ("Study", "ward")
    assert rows["labels"]["Edema"]["difference"]["delong_p_value"] is not None
    assert wards["labels"]["Edema"]["difference"]["delong_p_value"] is None
    assert rows["labels"]["Edema"]["model"]["value"] == wards["labels"]["Edema"]["model"]["value"]
    assert rows["labels"]["Edema"]["model"]["ci"] != wards["labels"]["Edema"]["model"]["ci"]


def test_the_same_command_writes_the_same_bytes_and_another_seed_others(folder: Path) -> None:
    arguments = ["--model", folder / "a.csv", "--baseline", folder / "c.csv"]
    first, again = result_of(folder, *arguments), result_of(folder, *arguments)
    assert first == again
    other = result_of(folder, *arguments, "--seed", 1)
    assert other["labels"]["Edema"]["model"]["ci"] != first["labels"]["Edema"]["model"]["ci"]


def test_a_higher_level_widens_the_interval(folder: Path) -> None:
    ci = [
        result_of(folder, "--model", folder / "a.csv", "--level", level)["labels"]["Edema"]["model"]["ci"]
        for level in (0.8, 0.99)
    ]
    assert ci[1][0] < ci[0][0] < ci[0][1] < ci[1][1]


def test_sidecars_and_inputs_are_carried_into_the_result(folder: Path) -> None:
    sidecar = write_sidecar(folder / "a.csv", split="test", seen_patients=3, allow_seen_patients=True)
    result = result_of(folder, "--model", folder / "a.csv", "--baseline", folder / "c.csv")
    assert result["arms"] == {"model": [sidecar], "baseline": [None]}
    assert result["inputs"]["labels"]["rows"] == ROWS
    assert all(len(entry["sha256"]) == 64 for entry in (result["inputs"]["labels"], *result["inputs"]["model"]))


def test_the_terminal_shows_a_table_and_where_the_result_is(folder: Path) -> None:
    done = run("--labels", folder / "truth.csv", "--model", folder / "a.csv", "--output", folder / "r.json")
    assert "AUROC, 95 % intervals of 500 replicates by Study" in done.output
    assert "undefined" in done.output
    assert f"{folder / 'r.json'} written" in done.output


def test_data_that_cannot_be_joined_ends_in_one_sentence_and_leaves_no_result(folder: Path) -> None:
    bad = write_csv(folder / "bad.csv", ["Study", *LABELS], [["x/patient0/study0", 0.1, 0.2, 0.3]])
    done = run("--labels", folder / "truth.csv", "--model", bad, "--output", folder / "r.json")
    assert done.exit_code == 1
    assert "Error: " in done.output
    assert "no prediction for 89 of the 90 ids" in done.output
    assert "Traceback" not in done.output
    assert not (folder / "r.json").exists()


@pytest.mark.parametrize(
    "wrong", [["--level", "1"], ["--replicates", "0"], ["--metric", "accuracy"], ["--model", "absent.csv"]]
)
def test_impossible_options_are_usage_errors(folder: Path, wrong: list[str]) -> None:
    arguments = ["--labels", folder / "truth.csv", "--model", folder / "a.csv", "--output", folder / "r.json"]
    assert run(*arguments, *wrong).exit_code == 2


def _scores(folder: Path, name: str) -> NDArray[np.float64]:
    """The probabilities of a file, [rows, labels], in the truth's order."""
    lines = [line.split(",") for line in (folder / f"{name}.csv").read_text().splitlines()[1:]]
    by_study = {tuple(line[0].split("/")[-2:]): [float(v) for v in line[1:]] for line in lines}
    truth = [line.split(",")[0] for line in (folder / "truth.csv").read_text().splitlines()[1:]]
    return np.array([by_study[tuple(study.split("/")[-2:])] for study in truth])
