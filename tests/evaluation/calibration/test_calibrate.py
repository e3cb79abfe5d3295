"""Calibration of arms: known slopes, coverage of the intervals, draws, and the command from files to JSON."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss

from evaluation.calibration.calibrate import calibrate
from evaluation.cli.main import main
from tests.evaluation.files import write_csv
from tests.evaluation.statistics.test_analysis import comparison


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float64)


def drawn(seed: int, rows: int, patients: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits and a truth that has them for its own: [rows], [rows]. Rows of a patient share the logit and the truth."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=patients or rows) * 1.5 - 0.5
    truth = (generator.random(len(logits)) < sigmoid(logits)).astype(float)
    copies = rows // len(logits)
    return np.repeat(logits, copies), np.repeat(truth, copies)


def test_logits_times_two_have_a_slope_of_one_half_and_the_right_ones_of_one() -> None:
    logits, truth = drawn(0, 20_000)
    for factor, expected in ((2.0, 0.5), (1.0, 1.0), (0.5, 2.0)):
        given = comparison({"model": sigmoid(factor * logits)[None, :, None]}, truth[:, None])
        found = calibrate(given, 0.95, 10).arms["model"]["L0"]
        assert found.slope.value == pytest.approx(expected, abs=0.05 * max(1, expected))
        assert found.slope.ci is not None
        assert found.slope.ci[0] < expected < found.slope.ci[1]


def test_probabilities_that_are_too_low_have_an_intercept_above_zero() -> None:
    logits, truth = drawn(1, 20_000)
    found = calibrate(comparison({"model": sigmoid(logits - 1)[None, :, None]}, truth[:, None]), 0.95, 10)
    assert found.arms["model"]["L0"].intercept.value == pytest.approx(1, abs=0.05)
    assert found.arms["model"]["L0"].slope.value == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("patients", [None, 200])
def test_intervals_of_slope_and_intercept_cover_the_truth_also_by_patient(patients: int | None) -> None:
    covered = {"slope": 0, "intercept": 0, "brier": 0}
    rows = 400
    for seed in range(200):
        logits, truth = drawn(seed, rows, patients)
        unit = np.arange(rows) // (rows // (patients or rows))
        given = comparison({"model": sigmoid(logits)[None, :, None]}, truth[:, None], unit)
        one = calibrate(given, 0.95, 5).arms["model"]["L0"]
        for name, figure, true in (("slope", one.slope, 1.0), ("intercept", one.intercept, 0.0)):
            assert figure.ci is not None
            covered[name] += figure.ci[0] < true < figure.ci[1]
    for name in ("slope", "intercept"):
        assert 180 <= covered[name] <= 199, covered  # 90 to 99.5 %; copies taken for rows would have 83 %


def test_the_value_is_the_mean_over_draws_and_their_variation_is_in_the_interval() -> None:
    logits, truth = drawn(3, 2000)
    scores = np.stack([sigmoid(factor * logits) for factor in (0.6, 1.0, 1.6)])[:, :, None]
    three = calibrate(comparison({"model": scores}, truth[:, None]), 0.95, 10).arms["model"]["L0"]
    alone = calibrate(comparison({"model": scores[1:2]}, truth[:, None]), 0.95, 10).arms["model"]["L0"]
    assert three.slope.value == pytest.approx(np.mean([one for one in three.slope.draws if one is not None]))
    assert three.slope.ci is not None
    assert alone.slope.ci is not None
    assert three.slope.ci[1] - three.slope.ci[0] > 3 * (alone.slope.ci[1] - alone.slope.ci[0])
    expected = np.mean([brier_score_loss(truth, one[:, 0]) for one in scores])
    assert three.brier.value == pytest.approx(expected, abs=1e-12)


def test_what_cannot_be_estimated_is_none_with_the_counts_beside_it() -> None:
    truth = np.stack([np.arange(60) < 1, np.arange(60) < 30], axis=1).astype(float)
    scores = np.where(truth == 1, 0.9, 0.1)[None]
    found = calibrate(comparison({"model": scores}, truth), 0.95, 10)
    one, separated = found.arms["model"]["L0"], found.arms["model"]["L1"]
    assert (one.positives, one.slope.value, one.brier.value, one.reliability) == (1, None, None, ())
    assert separated.slope.value is None
    assert separated.brier.value == pytest.approx(0.01)
    assert any("No intercept and slope for model: L0, model: L1" in sentence for sentence in found.warnings)


def test_the_command_writes_what_the_page_lists_and_refuses_what_is_no_probability(tmp_path: Path) -> None:
    logits, truth = drawn(4, 300)
    truth[:4] = -1
    ids = [f"k{row}" for row in range(300)]
    labels = write_csv(tmp_path / "t.csv", ["key", "Edema"], [[i, int(t)] for i, t in zip(ids, truth, strict=True)])
    rows = [[i, p] for i, p in zip(ids, sigmoid(logits), strict=True)]
    model = write_csv(tmp_path / "p.csv", ["key", "Edema"], rows)
    words = ["calibration", "--labels", str(labels), "--model", str(model), "--output", str(tmp_path / "c.json")]
    done = CliRunner().invoke(main, [*words, "--bins", "5"])
    assert done.exit_code == 0, done.output
    assert "slope" in done.output
    content = json.loads((tmp_path / "c.json").read_text())
    assert list(content) == [
        *("format_version", "kind", "level", "bins", "unit", "units", "warnings", "arms", "inputs", "versions"),
    ]
    edema = content["arms"]["model"]["Edema"]
    assert list(edema) == ["n", "positives", "negatives", "intercept", "slope", "brier", "reliability"]
    assert edema["n"] == 296
    assert list(edema["slope"]) == ["value", "ci", "method", "draws"]
    assert [list(one) for one in edema["reliability"]] == [["n", "predicted", "observed", "ci", "method"]] * 5
    write_csv(tmp_path / "p.csv", ["key", "Edema"], [[i, z] for i, z in zip(ids, logits, strict=True)])
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1
    assert "not a probability between 0 and 1" in done.output
