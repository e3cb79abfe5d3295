"""`cxr-eval predict --recalibrate temperature`: fitted on validation only, saved with the model, used everywhere."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from shards.format.dataset import open_dataset
from tests.evaluation.commands import run
from tests.training.labelled_shards import BACKBONE, LABELS, make_model, write_labelled_dataset

CPU = ("--device", "cpu", "--threads", 1)


def predicted(shards: Path, model: Path, output: Path, *words: object) -> pd.DataFrame:
    done = run("predict", "--shards", shards, "--model", model, "--output", output, *CPU, *words)
    assert done.exit_code == 0, done.output
    return pd.read_csv(output)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, embeddings_cache: Path) -> tuple[Path, Path]:
    """A dataset with 60 validation images, and a probe of both labels."""
    folder = tmp_path_factory.mktemp("recalibration")
    shards = {"train-000000": 30, "valid-000000": 60, "test-000000": 12}
    root = write_labelled_dataset(folder / "shards", shards=shards).root
    return root, make_model(
        "probe", root, folder / "probe", *BACKBONE, "--labels", ",".join(LABELS), "--cache", embeddings_cache
    )


@pytest.fixture
def model(made: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the probe without a temperature."""
    return Path(shutil.copytree(made[1], tmp_path / "model", ignore=shutil.ignore_patterns("temperature.json")))


RECALIBRATED = ("--recalibrate", "temperature")


def test_a_temperature_is_scikit_learns_on_validation_and_divides_the_logits(
    made: tuple[Path, Path], model: Path, tmp_path: Path
) -> None:
    root, _ = made
    plain = predicted(root, model, tmp_path / "plain.csv")
    valid = predicted(root, model, tmp_path / "valid.csv", "--split", "valid")
    assert not (model / "temperature.json").exists()
    changed = predicted(root, model, tmp_path / "t.csv", *RECALIBRATED)
    samples = open_dataset(root).samples.set_index("key")
    saved = json.loads((model / "temperature.json").read_text())
    for label in LABELS:
        truth = samples.loc[valid["key"], label].to_numpy(float)
        known = np.isin(truth, (0, 1))
        logits = logit(valid[label].to_numpy())[known, None]
        theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000).fit(logits, truth[known])
        temperature = saved["labels"][label]["temperature"]
        if theirs.coef_[0, 0] <= 0 or not (logits[:, 0] > 0)[truth[known] == 0].any():
            assert temperature is None  # worse than none, or separated: there is no best temperature
            np.testing.assert_allclose(changed[label], plain[label], rtol=1e-12)
            continue
        assert temperature == pytest.approx(1 / theirs.coef_[0, 0], rel=1e-3)
        np.testing.assert_allclose(logit(changed[label]), logit(plain[label]) / temperature, rtol=1e-9)
    assert (saved["split"], saved["selected_on"]) == ("valid", {"C": "train"})
    described = json.loads((tmp_path / "t.csv.json").read_text())["recalibrated"]
    assert (described["method"], described["split"]) == ("temperature", "valid")
    assert "recalibrated" not in json.loads((tmp_path / "plain.csv.json").read_text())


def test_the_saved_temperature_is_used_again_also_for_another_dataset_and_for_files(
    made: tuple[Path, Path], model: Path, tmp_path: Path
) -> None:
    root, _ = made
    other = write_labelled_dataset(tmp_path / "other", name="other", shards={"test-000000": 9}, size=44).root
    done = run("predict", "--shards", other, "--model", model, "--output", tmp_path / "o.csv", *CPU, *RECALIBRATED)
    assert done.exit_code == 1
    assert "fitted on the model's own dataset (labelled" in " ".join(done.output.split())
    predicted(root, model, tmp_path / "first.csv", *RECALIBRATED)  # the advice, followed
    saved = json.loads((model / "temperature.json").read_text())
    for label, temperature in zip(LABELS, (2.0, 0.5), strict=True):
        saved["labels"][label]["temperature"] = temperature
    (model / "temperature.json").write_text(json.dumps(saved))
    for root_of in (root, other):
        changed = predicted(root_of, model, tmp_path / "o.csv", *RECALIBRATED)
        plain = predicted(root_of, model, tmp_path / "plain.csv")
        for label, temperature in zip(LABELS, (2.0, 0.5), strict=True):
            logits = logit(plain[label])
            near = np.abs(logits) < 16  # beyond, too few digits of 1 - p are left
            np.testing.assert_allclose(logit(changed[label])[near], logits[near] / temperature, rtol=1e-4)
            assert near.any()
    assert json.loads((model / "temperature.json").read_text()) == saved


def test_a_temperature_of_other_weights_and_one_that_is_torn_are_refused(
    made: tuple[Path, Path], model: Path, tmp_path: Path
) -> None:
    root, _ = made
    words = ("predict", "--shards", root, "--model", model, "--output", tmp_path / "p.csv", *CPU, *RECALIBRATED)
    assert run(*words).exit_code == 0
    saved = json.loads((model / "temperature.json").read_text())
    (model / "temperature.json").write_text(json.dumps({**saved, "model": "0" * 64}))
    done = run(*words)
    assert done.exit_code == 1
    assert "was fitted for other weights" in " ".join(done.output.split())
    (model / "temperature.json").write_text('{"format_ver')
    done = run(*words)
    assert done.exit_code == 1
    assert "cannot be read" in " ".join(done.output.split())
    (model / "temperature.json").unlink()  # the advice, followed
    assert run(*words).exit_code == 0


def test_without_a_valid_split_no_temperature_is_fitted(tmp_path: Path, embeddings_cache: Path) -> None:
    root = write_labelled_dataset(tmp_path / "shards", shards={"train-000000": 30, "test-000000": 12}).root
    model = make_model("probe", root, tmp_path / "probe", *BACKBONE, "--labels", LABELS[0], "--cache", embeddings_cache)
    done = run("predict", "--shards", root, "--model", model, "--output", tmp_path / "p.csv", *CPU, *RECALIBRATED)
    assert done.exit_code == 1
    assert "has no valid split to fit a temperature on" in " ".join(done.output.split())
    assert not (tmp_path / "p.csv").exists()
