"""The bootstrap from Python: `evaluation.bootstrap(BootstrapOptions(...))` writes what the command writes."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import evaluation
from evaluation.cli.main import main as cxr_eval


def test_the_result_is_returned_written_and_that_of_the_command(tmp_path: Path) -> None:
    keys = [f"sample{number}" for number in range(40)]
    truth, scores = tmp_path / "truth.csv", tmp_path / "scores.csv"
    pd.DataFrame({"key": keys, "Edema": [number % 2 for number in range(40)]}).to_csv(truth, index=False)
    pd.DataFrame({"key": keys, "Edema": [(number * 7 % 40) / 40 for number in range(40)]}).to_csv(scores, index=False)
    counted: list[int] = []
    options = evaluation.BootstrapOptions(
        labels=truth, model=((scores,),), output=tmp_path / "new" / "result.json", replicates=400
    )
    result = evaluation.bootstrap(options, advance=counted.append)
    assert sum(counted) == 400
    assert json.loads(options.output.read_text()) == json.loads(json.dumps(result.as_json()))
    words = ["--labels", truth, "--model", scores, "--replicates", 400, "--output", tmp_path / "command.json"]
    done = CliRunner().invoke(cxr_eval, ["bootstrap", *map(str, words)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "command.json").read_bytes() == options.output.read_bytes()


def test_options_that_contradict_each_other_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    options = evaluation.BootstrapOptions(labels=tmp_path / "none.csv", output=tmp_path / "result.json")
    with pytest.raises(ValueError, match="which predictions are to be judged"):
        evaluation.bootstrap(options)
