"""`cxr-eval thresholds`, and metrics of decisions by its file: values as scikit-learn's, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_score, recall_score

from evaluation.cli.main import main
from tests.evaluation.files import write_csv, write_sidecar

LABELS = ["Edema", "Mass"]
DECISIONS = "sensitivity,specificity,ppv,npv,f1"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def write_split(folder: Path, split: str, rows: int, seed: int) -> NDArray[np.float64]:
    """truth-SPLIT.csv and SPLIT-DRAW.csv of two draws, with sidecars that name split, dataset, draw and model."""
    generator = np.random.default_rng(seed)
    truth = (generator.random((rows, 2)) < 0.4).astype(int)
    ids = [f"{split}{row}" for row in range(rows)]
    write_csv(folder / f"truth-{split}.csv", ["key", *LABELS], [[i, *t] for i, t in zip(ids, truth, strict=True)])
    draws = []
    for draw in range(2):
        scores = np.round((generator.random((rows, 2)) + 0.5 * truth) / 1.5, 2)
        path = folder / f"{split}-{draw}.csv"
        write_csv(path, ["key", *LABELS], [[i, *s] for i, s in zip(ids, scores, strict=True)])
        write_sidecar(path, split=split, dataset={"digest": "d" * 64}, draw=draw, model={"digest": f"{draw}" * 64})
        draws.append(scores)
    return np.stack([truth.astype(float), *draws])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "valid.npy", write_split(tmp_path, "valid", 150, 0))
    np.save(tmp_path / "test.npy", write_split(tmp_path, "test", 130, 1))
    return tmp_path


def choose(folder: Path, split: str = "valid", *more: object) -> Path:
    models = [word for draw in range(2) for word in ("--model", folder / f"{split}-{draw}.csv")]
    output = folder / "t.json"
    done = run("thresholds", "--labels", folder / f"truth-{split}.csv", *models, *more, "--output", output)
    assert done.exit_code == 0, done.output
    return output


def judge(folder: Path, *more: object, split: str = "test", truth: Path | None = None) -> Result:
    models = [word for draw in range(2) for word in ("--model", folder / f"{split}-{draw}.csv")]
    labels = truth or folder / f"truth-{split}.csv"
    output = ("--replicates", 400, "--output", folder / "r.json")
    return run("bootstrap", "--labels", labels, *models, "--metric", DECISIONS, *more, *output)


def content(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_decisions_by_a_file_of_thresholds_equal_scikit_learn_and_the_result_cites_the_file(folder: Path) -> None:
    file = choose(folder, "valid", "--rule", "specificity=0.9")
    done = judge(folder, "--thresholds", file)
    assert done.exit_code == 0, done.output
    result, chosen = content(folder / "r.json"), content(file)["arms"]["model"]
    truth, *draws = np.load(folder / "test.npy")
    references = {
        "sensitivity": recall_score,
        "specificity": lambda t, p: recall_score(t, p, pos_label=0),
        "ppv": precision_score,
        "npv": lambda t, p: precision_score(t, p, pos_label=0),
        "f1": f1_score,
    }
    for name, reference in references.items():
        labels = result["labels"] if name == "sensitivity" else result["metrics"][name]["labels"]
        for column, label in enumerate(LABELS):
            expected = [
                reference(truth[:, column], scores[:, column] >= model["thresholds"][label]["threshold"])
                for scores, model in zip(draws, chosen, strict=True)
            ]
            assert labels[label]["arms"]["model"]["draws"] == pytest.approx(expected, abs=1e-12)
            assert labels[label]["arms"]["model"]["value"] == pytest.approx(np.mean(expected), abs=1e-12)
            low, high = labels[label]["arms"]["model"]["ci"]
            assert low < labels[label]["arms"]["model"]["value"] < high
    citation = result["inputs"]["thresholds"]
    assert (citation["path"], citation["rule"]) == (str(file), "specificity=0.9")
    assert len(citation["sha256"]) == 64


def test_one_draw_of_independent_rows_has_scipys_wilson_interval(folder: Path) -> None:
    import scipy.stats

    file = folder / "t.json"
    one = ("--labels", folder / "truth-valid.csv", "--model", folder / "valid-0.csv", "--output", file)
    assert run("thresholds", *one).exit_code == 0
    judged = ("--labels", folder / "truth-test.csv", "--model", folder / "test-0.csv", "--thresholds", file)
    done = run("bootstrap", *judged, "--metric", "sensitivity", "--replicates", 400, "--output", folder / "r.json")
    assert done.exit_code == 0, done.output
    found = content(folder / "r.json")["labels"]["Edema"]
    hits = round(found["arms"]["model"]["value"] * found["positives"])
    theirs = scipy.stats.binomtest(hits, found["positives"]).proportion_ci(0.95, method="wilson")
    assert found["arms"]["model"]["ci"] == pytest.approx([theirs.low, theirs.high])
    assert found["arms"]["model"]["method"] == "wilson"


def test_a_file_of_thresholds_names_rule_truth_models_and_what_they_do_on_validation(folder: Path) -> None:
    file = choose(folder, "valid", "--rule", "sensitivity=0.8")
    found = content(file)
    assert list(found) == ["format_version", "rule", "level", "truth", "arms", "versions"]
    assert (found["rule"], found["truth"]["path"]) == ("sensitivity=0.8", str(folder / "truth-valid.csv"))
    assert [model["draw"] for model in found["arms"]["model"]] == [0, 1]
    one = found["arms"]["model"][0]
    assert one["sidecar"]["split"] == "valid"
    assert list(one["thresholds"]["Edema"]) == ["threshold", "positives", "negatives", "sensitivity", "specificity"]
    assert one["thresholds"]["Edema"]["sensitivity"]["value"] >= 0.8


def refused(folder: Path, done: Result) -> str:
    assert done.exit_code == 1, done.output
    assert not (folder / "r.json").exists()
    return " ".join(done.output.split())


def test_thresholds_from_the_judged_truth_are_refused(folder: Path) -> None:
    said = refused(folder, judge(folder, "--thresholds", choose(folder, "test")))
    assert "chosen by the truth that judges" in said


def test_thresholds_from_the_judged_predictions_are_refused_by_their_digest(folder: Path) -> None:
    file = choose(folder, "test")
    (folder / "copy.csv").write_text((folder / "truth-test.csv").read_text() + "\n")
    said = refused(folder, judge(folder, "--thresholds", file, truth=folder / "copy.csv"))
    assert "chosen on" in said
    assert "the predictions that are judged" in said


def test_thresholds_from_the_judged_split_are_refused_by_its_name(folder: Path) -> None:
    file = choose(folder, "test")
    (folder / "copy.csv").write_text((folder / "truth-test.csv").read_text() + "\n")
    for draw in range(2):
        path = folder / f"test-{draw}.csv"
        path.write_text(path.read_text() + "\n")
    said = refused(folder, judge(folder, "--thresholds", file, truth=folder / "copy.csv"))
    assert "were chosen on the test split" in said


def test_the_same_name_of_a_split_of_another_dataset_is_not_the_judged_split(folder: Path) -> None:
    for draw in range(2):
        path = folder / f"valid-{draw}.csv"
        write_sidecar(path, split="test", dataset={"digest": "e" * 64}, draw=draw, model={"digest": f"{draw}" * 64})
    done = judge(folder, "--thresholds", choose(folder))
    assert done.exit_code == 0, done.output


def test_thresholds_of_another_model_draw_arm_or_label_are_refused_and_the_advice_is_said(folder: Path) -> None:
    file = choose(folder)
    whole = content(file)
    changes: list[tuple[Callable[[dict[str, Any]], object], str]] = [
        (lambda c: c["arms"]["model"][1]["sidecar"]["model"].update(digest="9" * 64), "is that of another model"),
        (
            lambda c: c["arms"]["model"][1]["sidecar"].update(recalibrated={"method": "temperature", "split": "valid"}),
            "recalibrated otherwise than those of",
        ),
        (lambda c: c["arms"]["model"].pop(), "has no threshold for draw 1"),
        (lambda c: c["arms"].update(moco=c["arms"].pop("model")), "has no thresholds for the arm 'model'; it has moco"),
        (lambda c: c["arms"]["model"][0]["thresholds"].pop("Mass"), "has no threshold for Mass of arm model"),
        (lambda c: c.update(format_version=7), "this program reads version 1"),
        (lambda c: c.pop("rule"), "is no file of `cxr-eval thresholds`"),
    ]
    for change, said in changes:
        changed = json.loads(json.dumps(whole))
        change(changed)
        file.write_text(json.dumps(changed))
        assert said in refused(folder, judge(folder, "--thresholds", file))


def test_a_label_without_a_threshold_has_no_value_and_a_warning_names_it(folder: Path) -> None:
    truth = (folder / "truth-valid.csv").read_text().splitlines()
    (folder / "truth-valid.csv").write_text("\n".join([truth[0], *(row.rsplit(",", 1)[0] + ",0" for row in truth[1:])]))
    done = judge(folder, "--thresholds", choose(folder))
    assert done.exit_code == 0, done.output
    result = content(folder / "r.json")
    assert result["labels"]["Mass"]["arms"]["model"]["value"] is None
    assert result["labels"]["Mass"]["undefined_replicates"] == 400
    assert result["mean"]["labels"] == ["Edema"]
    assert any("sensitivity has no value for model: Mass" in sentence for sentence in result["warnings"])


def test_thresholds_without_a_metric_of_decisions_and_an_output_that_is_read_are_refused(folder: Path) -> None:
    file = choose(folder)
    words = ("bootstrap", "--labels", folder / "truth-test.csv", "--model", folder / "test-0.csv", "--thresholds", file)
    done = run(*words, "--output", folder / "r.json")
    assert done.exit_code == 2
    assert "no --metric is one of decisions" in done.output
    done = run(*words, "--metric", "ppv", "--output", file)
    assert done.exit_code == 2
    assert "would overwrite" in done.output
    done = run("thresholds", "--labels", file, "--model", folder / "test-0.csv", "--output", file)
    assert done.exit_code == 2
