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
from evaluation.results.reading import result_from_json
from evaluation.statistics.holm import holm
from shards.json_value import JsonValue
from shards.terminal.group import Group
from tests.evaluation.files import write_csv, write_sidecar

LABELS = ["Edema", "Pneumonia", "Fracture"]
ROWS = 90
QUICK = ("--replicates", 400)


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
        *("format_version", "metric", "replicates", "level", "seed", "reference", "unit", "units", "over", "different"),
        *(
            "allowed_different",
            "allow_seen_patients",
            "allow_unknown_patients",
            "selected_on",
            "left_out",
            "warnings",
            "holm_family",
            "labels",
            "mean",
            "metrics",
            "subgroups",
            "inputs",
            "versions",
        ),
    ]
    assert [result[key] for key in list(result)[:8]] == [2, "auroc", 10_000, 0.95, 0, "baseline", "patient_id", 45]
    assert list(result["labels"]) == LABELS
    for label in LABELS:
        entry = result["labels"][label]
        assert list(entry) == ["n", "positives", "negatives", "undefined_replicates", "arms", "differences"]
    assert list(result["mean"]) == ["labels", "undefined_replicates", "arms", "differences"]
    for entry in (*result["labels"].values(), result["mean"]):
        assert list(entry["arms"]) == ["model", "baseline"]
        assert list(entry["differences"]) == ["model"]
        for value in entry["arms"].values():
            assert list(value) == ["value", "ci", "method", "draws", "conditional_ci", "bootstrap_ci"]
        assert list(entry["differences"]["model"]) == [
            *("value", "ci", "p_value", "method", "df", "bootstrap_ci", "bootstrap_p_value", "holm_p_value"),
            "conditional_ci",
        ]
    assert list(result["inputs"]) == ["labels", "arms"]


def test_what_is_written_is_read_again_as_it_was(folder: Path) -> None:
    result = result_of(folder, "--model", folder / "a.csv", "--baseline", folder / "c.csv", "--holm", *QUICK)
    assert json.loads(json.dumps(result_from_json(JsonValue(result)).as_json())) == result


def test_without_a_baseline_there_is_neither_baseline_nor_difference(folder: Path) -> None:
    result = result_of(folder, "--model", folder / "a.csv", *QUICK)
    for entry in (*result["labels"].values(), result["mean"]):
        assert list(entry["arms"]) == ["model"]
        assert not entry["differences"]
    assert result["reference"] is None


def test_values_are_scikit_learns_on_the_rows_with_known_truth(folder: Path) -> None:
    result = result_of(folder, "--model", folder / "a.csv", "--baseline", folder / "c.csv", *QUICK)
    truth = np.genfromtxt(folder / "truth.csv", delimiter=",", skip_header=1)[:, 2:]
    scores = [_scores(folder, name) for name in "ac"]
    for column, label in enumerate(LABELS[:2]):
        known = np.isin(truth[:, column], (0, 1))
        entry = result["labels"][label]
        expected = [roc_auc_score(truth[known, column], s[known, column]) for s in scores]
        assert entry["n"] == known.sum()
        assert entry["positives"] == (truth[:, column] == 1).sum()
        assert entry["arms"]["model"]["value"] == pytest.approx(expected[0], abs=1e-12)
        assert entry["arms"]["baseline"]["value"] == pytest.approx(expected[1], abs=1e-12)
        assert entry["differences"]["model"]["value"] == pytest.approx(expected[0] - expected[1], abs=1e-12)
        low, high = entry["arms"]["model"]["ci"]
        assert low < entry["arms"]["model"]["value"] < high
    assert result["left_out"]["rows"]["Pneumonia"] == {"uncertain": 4, "blank": 5}


def test_a_label_of_one_class_is_null_with_its_counts_and_left_out_of_the_mean(folder: Path) -> None:
    result = result_of(folder, "--model", folder / "a.csv", "--baseline", folder / "c.csv", *QUICK)
    fracture = result["labels"]["Fracture"]
    assert [fracture[key] for key in list(fracture)[:4]] == [ROWS, 0, ROWS, 400]
    for value in fracture["arms"].values():
        assert value.pop("draws") == [None]
        assert set(value.values()) == {None}
    assert set(fracture["differences"]["model"].values()) == {None}
    assert result["mean"]["labels"] == LABELS[:2]
    others = [result["labels"][label]["arms"]["model"]["value"] for label in LABELS[:2]]
    assert result["mean"]["arms"]["model"]["value"] == pytest.approx(np.mean(others), abs=1e-12)
    assert any("Fracture has 0 positive and 90 negative rows" in warning for warning in result["warnings"])


def test_two_draws_are_averaged_and_said_to_be_conditional(folder: Path) -> None:
    a, b, c, d = (folder / f"{name}.csv" for name in "abcd")
    result = result_of(folder, "--model", a, "--model", b, "--baseline", c, "--baseline", d, *QUICK)
    singles = [result_of(folder, "--model", path, *QUICK)["labels"]["Edema"]["arms"]["model"] for path in (a, b)]
    model = result["labels"]["Edema"]["arms"]["model"]
    assert model["draws"] == [single["value"] for single in singles]
    assert model["value"] == pytest.approx(np.mean(model["draws"]), abs=1e-12)
    assert model["ci"] == model["conditional_ci"]
    assert result["over"] == ["patients"]
    assert sum("has two draws: its intervals are conditional" in warning for warning in result["warnings"]) == 2
    assert len(result["inputs"]["arms"]["baseline"]) == 2


def test_from_three_draws_on_intervals_hold_the_variation_between_them(folder: Path) -> None:
    arm = f"moco={folder / 'a.csv'},{folder / 'b.csv'},{folder / 'c.csv'}"
    result = result_of(folder, "--arm", arm, *QUICK)
    model = result["labels"]["Edema"]["arms"]["moco"]
    assert result["over"] == ["patients", "draws"]
    assert _width(model["ci"]) > _width(model["conditional_ci"])
    fixed = result_of(folder, "--arm", arm, "--over", "fixed", *QUICK)
    assert fixed["over"] == ["patients"]
    assert fixed["labels"]["Edema"]["arms"]["moco"]["ci"] == model["conditional_ci"]
    assert any("--over fixed" in warning for warning in fixed["warnings"])


def test_several_arms_are_compared_with_the_reference_and_patterns_are_expanded_by_number(folder: Path) -> None:
    for place, name in enumerate("ab"):
        (folder / f"moco-{place * 8 + 2}.csv").write_bytes((folder / f"{name}.csv").read_bytes())
        write_sidecar(folder / f"moco-{place * 8 + 2}.csv", split="test")
    arguments = ["--arm", f"moco={folder}/moco-*", "--arm", f"start={folder / 'c.csv'}"]
    arguments += ["--arm", f"random={folder / 'd.csv'}", "--reference", "start"]
    result = result_of(folder, *arguments, *QUICK)
    files = [file["path"] for file in result["inputs"]["arms"]["moco"]]
    assert files == [str(folder / "moco-2.csv"), str(folder / "moco-10.csv")]
    edema = result["labels"]["Edema"]
    assert list(edema["differences"]) == ["moco", "random"]
    for arm, difference in edema["differences"].items():
        expected = edema["arms"][arm]["value"] - edema["arms"]["start"]["value"]
        assert difference["value"] == pytest.approx(expected, abs=1e-12)
    done = run("--labels", folder / "truth.csv", *arguments, *QUICK, "--output", folder / "r.json")
    assert f"moco: 2 files, {files[0]}, {files[1]}" in done.output


def test_the_short_form_is_two_arms_of_these_names(folder: Path) -> None:
    a, c = folder / "a.csv", folder / "c.csv"
    short = result_of(folder, "--model", a, "--baseline", c, *QUICK)
    long = result_of(folder, "--arm", f"model={a}", "--arm", f"baseline={c}", "--reference", "baseline", *QUICK)
    assert short == long


def test_holm_corrects_all_labels_and_differences_and_names_them(folder: Path) -> None:
    arms = ["--arm", f"x={folder / 'a.csv'}", "--arm", f"y={folder / 'b.csv'}", "--arm", f"z={folder / 'c.csv'}"]
    result = result_of(folder, *arms, "--reference", "z", "--holm", *QUICK)
    assert result["holm_family"] == ["x: Edema", "y: Edema", "x: Pneumonia", "y: Pneumonia"]
    pairs = [
        (difference["p_value"], difference["holm_p_value"])
        for label in LABELS[:2]
        for difference in result["labels"][label]["differences"].values()
    ]
    assert [corrected for _, corrected in pairs] == pytest.approx(holm([p for p, _ in pairs]))
    assert result["mean"]["differences"]["x"]["holm_p_value"] is None


def test_clusters_are_the_unit(folder: Path) -> None:
    arguments = ["--model", folder / "a.csv", "--baseline", folder / "c.csv", *QUICK]
    patients, rows = result_of(folder, *arguments), result_of(folder, *arguments, "--cluster", "Study")
    assert (patients["unit"], rows["unit"]) == ("patient_id", "Study")
    assert (patients["units"], rows["units"]) == (45, 90)
    one, two = patients["labels"]["Edema"]["arms"]["model"], rows["labels"]["Edema"]["arms"]["model"]
    assert one["value"] == two["value"]
    assert one["ci"] != two["ci"]
    wards = result_of(folder, *arguments, "--cluster", "ward")
    assert wards["labels"]["Edema"]["differences"]["model"]["p_value"] == pytest.approx(
        patients["labels"]["Edema"]["differences"]["model"]["p_value"]
    )


def test_the_same_command_writes_the_same_bytes_and_another_seed_others(folder: Path) -> None:
    arguments = ["--model", folder / "a.csv", "--baseline", folder / "c.csv", *QUICK]
    first, again = result_of(folder, *arguments), result_of(folder, *arguments)
    assert first == again
    other = result_of(folder, *arguments, "--seed", 1)
    assert other["labels"]["Edema"]["arms"]["model"]["bootstrap_ci"] != _edema(first)["bootstrap_ci"]
    assert other["labels"]["Edema"]["arms"]["model"]["ci"] == _edema(first)["ci"]


def test_the_order_of_rows_changes_no_number(folder: Path) -> None:
    arguments = ["--model", folder / "a.csv", "--baseline", folder / "c.csv", *QUICK]
    first = result_of(folder, *arguments)
    header, *lines = (folder / "truth.csv").read_text().splitlines()
    order = np.random.default_rng(1).permutation(len(lines))
    (folder / "truth.csv").write_text("\n".join([header, *(lines[i] for i in order)]) + "\n")
    again = result_of(folder, *arguments)
    assert {key: first[key] for key in ("labels", "mean")} == {key: again[key] for key in ("labels", "mean")}


def test_a_higher_level_widens_the_interval(folder: Path) -> None:
    ci = [
        _edema(result_of(folder, "--model", folder / "a.csv", "--level", level, "--replicates", 2000))["ci"]
        for level in (0.8, 0.99)
    ]
    assert ci[1][0] < ci[0][0] < ci[0][1] < ci[1][1]


@pytest.mark.parametrize("interval", ["percentile", "bca"])
def test_an_interval_can_be_asked_for_by_name(folder: Path, interval: str) -> None:
    value = _edema(result_of(folder, "--model", folder / "a.csv", "--interval", interval, *QUICK))
    assert value["method"] == interval
    assert (value["ci"] == value["bootstrap_ci"]) == (interval == "percentile")


def test_sidecars_and_inputs_are_carried_into_the_result(folder: Path) -> None:
    sidecar = write_sidecar(folder / "a.csv", split="test", seen_patients=3, allow_seen_patients=True)
    words = ("--model", folder / "a.csv", "--baseline", folder / "c.csv", *QUICK, "--allow-seen-patients")
    inputs = result_of(folder, *words)["inputs"]
    assert [file["sidecar"] for file in inputs["arms"]["model"]] == [sidecar]
    assert [file["sidecar"] for file in inputs["arms"]["baseline"]] == [None]
    assert inputs["labels"]["rows"] == ROWS
    assert all(len(entry["sha256"]) == 64 for entry in (inputs["labels"], *inputs["arms"]["model"]))


def test_what_arms_differ_in_beside_their_weights_is_said(folder: Path) -> None:
    write_sidecar(folder / "a.csv", split="test", model={"image_size": 320, "method": "probe"})
    write_sidecar(folder / "c.csv", split="test", model={"image_size": 224, "method": "probe"})
    words = ("--model", folder / "a.csv", "--baseline", folder / "c.csv", *QUICK)
    refused = run("--labels", folder / "truth.csv", *words, "--output", folder / "refused.json")
    assert refused.exit_code == 1
    assert "image_size (model has 320; baseline has 224)" in " ".join(refused.output.split())
    assert not (folder / "refused.json").exists()
    result = result_of(folder, *words, "--allow-different", "image_size")
    assert result["different"] == result["allowed_different"] == ["image_size"]
    assert any("differ in image_size" in warning and "was allowed" in warning for warning in result["warnings"])


def test_the_terminal_shows_a_table_marks_rare_labels_and_says_where_the_result_is(folder: Path) -> None:
    done = run("--labels", folder / "truth.csv", "--model", folder / "a.csv", *QUICK, "--output", folder / "r.json")
    assert "AUROC, 95 % intervals of 400 replicates by patient_id: 45 patients" in done.output
    assert "undefined" in done.output
    assert "Edema*" in done.output
    assert "* Edema: few of a class, interval by wider of newcombe-5 and logit-t" in done.output
    assert f"{folder / 'r.json'} written" in done.output


def test_data_that_cannot_be_joined_ends_in_one_sentence_and_leaves_no_result(folder: Path) -> None:
    bad = write_csv(folder / "bad.csv", ["Study", *LABELS], [["x/patient0/study0", 0.1, 0.2, 0.3]])
    done = run("--labels", folder / "truth.csv", "--model", bad, "--output", folder / "r.json")
    assert done.exit_code == 1
    assert "Error: " in done.output
    assert "no prediction for 89 of the 90 ids" in done.output
    assert "Traceback" not in done.output
    assert not (folder / "r.json").exists()


def test_no_output_is_ever_an_input(folder: Path) -> None:
    before = (folder / "a.csv").read_bytes()
    for output in (folder / "a.csv", folder / "truth.csv", folder / "a.csv.json"):
        done = run("--labels", folder / "truth.csv", "--model", folder / "a.csv", "--output", output)
        assert done.exit_code == 2
        assert "which is read: name another file" in done.output
    assert (folder / "a.csv").read_bytes() == before


def test_one_draw_given_twice_is_refused(folder: Path) -> None:
    a, b = folder / "a.csv", folder / "b.csv"
    done = run("--labels", folder / "truth.csv", "--model", a, "--model", a, "--output", folder / "r.json")
    assert (done.exit_code, "hold the same bytes" in done.output) == (1, True)
    for path in (a, b):
        write_sidecar(path, model={"draw": 3, "provenance": {"seed": 0}})
    done = run("--labels", folder / "truth.csv", "--model", a, "--model", b, "--output", folder / "r.json")
    assert "are both of draw 3 and pretraining seed 0" in done.output
    write_sidecar(b, model={"draw": 3, "provenance": {"seed": 1}})
    assert result_of(folder, "--model", a, "--model", b, *QUICK)["inputs"]["arms"]["model"][1]["pretraining_seed"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ["--level", "1"],
        ["--replicates", "399"],
        ["--replicates", "500", "--level", "0.99"],
        ["--metric", "accuracy"],
        ["--model", "absent.csv"],
        ["--model", "absent-*.csv"],
        ["--arm", "x=truth.csv"],
        ["--reference", "none"],
    ],
)
def test_impossible_options_are_usage_errors(folder: Path, wrong: list[str]) -> None:
    arguments = ["--labels", folder / "truth.csv", "--model", folder / "a.csv", "--output", folder / "r.json"]
    assert run(*arguments, *wrong).exit_code == 2


def test_several_arms_without_a_reference_or_with_one_name_are_usage_errors(folder: Path) -> None:
    arguments = ["--labels", folder / "truth.csv", "--output", folder / "r.json"]
    a, b = folder / "a.csv", folder / "b.csv"
    done = run(*arguments, "--arm", f"x={a}", "--arm", f"y={b}")
    assert (done.exit_code, "--reference is needed: which of x, y" in done.output) == (2, True)
    done = run(*arguments, "--arm", f"x={a}", "--arm", f"x={b}")
    assert (done.exit_code, "--arm x is given twice" in done.output) == (2, True)
    assert run(*arguments).exit_code == 2
    assert run(*arguments, "--arm", str(a)).exit_code == 2


def _width(interval: list[float]) -> float:
    return interval[1] - interval[0]


def _edema(result: dict[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = result["labels"]["Edema"]["arms"]["model"]
    return value


def _scores(folder: Path, name: str) -> NDArray[np.float64]:
    """The probabilities of a file, [rows, labels], in the truth's order."""
    lines = [line.split(",") for line in (folder / f"{name}.csv").read_text().splitlines()[1:]]
    by_study = {tuple(line[0].split("/")[-2:]): [float(v) for v in line[1:]] for line in lines}
    truth = [line.split(",")[0] for line in (folder / "truth.csv").read_text().splitlines()[1:]]
    return np.array([by_study[tuple(study.split("/")[-2:])] for study in truth])
