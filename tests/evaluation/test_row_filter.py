"""A condition on rows in predict and embed: the rows that are written, the sidecar, and arms that differ in it."""

import json
from pathlib import Path

import pandas as pd
from click.testing import Result

from shards.format.dataset import open_dataset
from shards.format.subsets import select
from tests.evaluation.commands import run
from tests.training.labelled_shards import BACKBONE
from training.downstream.embeddings import read_embeddings

CPU = ("--device", "cpu", "--threads", 1)


def predict(shards: Path, model: Path, output: Path, *words: object) -> Result:
    return run("predict", "--shards", shards, "--model", model, "--output", output, *CPU, *words)


def test_only_the_rows_of_the_condition_are_predicted_and_the_sidecar_says_so(
    labelled_root: Path, probed: Path, tmp_path: Path
) -> None:
    assert predict(labelled_root, probed, tmp_path / "all.csv").exit_code == 0
    result = predict(
        labelled_root, probed, tmp_path / "some.csv", "--projection", "frontal", "--where", "age is not null"
    )
    assert result.exit_code == 0, result.output
    rows = select(open_dataset(labelled_root), "test")
    expected = rows.loc[(rows["projection"] == "frontal") & rows["age"].notna(), "key"].tolist()
    every, some = pd.read_csv(tmp_path / "all.csv"), pd.read_csv(tmp_path / "some.csv")
    assert some["key"].tolist() == expected
    assert 0 < len(some) < len(every)
    pd.testing.assert_frame_equal(some, every[every["key"].isin(expected)].reset_index(drop=True), rtol=1e-5)
    sidecars = [json.loads((tmp_path / f"{name}.csv.json").read_text()) for name in ("all", "some")]
    assert "row_filter" not in sidecars[0]
    assert sidecars[1]["row_filter"] == "projection == 'frontal' and age is not null"
    assert sidecars[1]["rows"] == len(some)


def test_arms_of_other_rows_are_refused_and_the_result_repeats_the_condition(
    labelled_root: Path, probed: Path, tmp_path: Path
) -> None:
    for name, words in (
        ("a", ()),
        ("b", ("--where", "projection is not null")),
        ("c", ("--where", "not projection is null")),
    ):
        assert predict(labelled_root, probed, tmp_path / f"{name}.csv", *words).exit_code == 0
    line = ("bootstrap", "--labels", labelled_root, "--replicates", 400, "--output", tmp_path / "r.json")
    refused = run(*line, "--arm", f"x={tmp_path / 'a.csv'}", "--arm", f"y={tmp_path / 'b.csv'}", "--reference", "x")
    assert refused.exit_code == 1
    assert "row_filter (x has all rows; y has projection is not null)" in " ".join(refused.output.split())
    alone = run(*line, "--arm", f"y={tmp_path / 'b.csv'}", "--over", "fixed")
    assert alone.exit_code == 0, alone.output
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["inputs"]["arms"]["y"][0]["sidecar"]["row_filter"] == "projection is not null"
    assert content["inputs"]["labels"]["row_filter"] == "projection is not null"


def test_embeddings_are_of_the_rows_of_the_condition_and_name_it(labelled_root: Path, tmp_path: Path) -> None:
    line = ("embed", "--shards", labelled_root, *BACKBONE, "--output", tmp_path / "e.zarr")
    assert run(*line, "--where", "split == 'test' and projection == 'lateral'").exit_code == 0
    embedded = read_embeddings(tmp_path / "e.zarr")
    rows = select(open_dataset(labelled_root), "test")
    assert embedded.sample_id.tolist() == rows.loc[rows["projection"] == "lateral", "sample_id"].tolist()
    assert embedded.attributes["row_filter"] == "split == 'test' and projection == 'lateral'"
    refused = run(*line, "--where", "age > 200")
    assert refused.exit_code == 1
    assert "no image is left: age > 200 leaves 0 of 69" in refused.output
