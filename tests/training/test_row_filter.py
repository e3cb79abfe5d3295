"""A condition on rows in pretrain, probe, finetune and sweep: what is trained on, recorded and resumed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from shards.errors import ResumeError, SubsetError
from shards.format.dataset import open_dataset
from shards.format.subsets import select
from shards.terminal.options import from_recipe
from tests.training.labelled_shards import BACKBONE, TUNED, make_model, run
from tests.training.studies.small_study import changed, sweep, write_study
from training.pretraining.command import Outcome, pretrain
from training.pretraining.options import PretrainOptions
from training.runs.directory import read_config
from training.seen_patients import read_seen

FRONTAL = "projection == 'frontal'"


def described(folder: Path, name: str = "model.json") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / name).read_text())
    return content


def frontal_rows(root: Path, split: str = "train") -> Any:  # noqa: ANN401 - a table
    rows = select(open_dataset(root), split)
    return rows[rows["projection"] == "frontal"]


@pytest.fixture
def options(labelled_root: Path, tmp_path: Path) -> PretrainOptions:
    """Options of a short run over the images of one projection."""
    return PretrainOptions(
        shards=(labelled_root,),
        output=tmp_path / "run",
        init="random",
        image_size=32,
        epochs=1,
        batch_size=4,
        queue_size=5,
        milestones=(1,),
        device="cpu",
        threads=1,
        batch_norm="none",
        where="sex is not null  and age>=22 or Edema == 1",
    )


def test_a_run_sees_the_patients_of_its_rows_only_and_records_the_condition(
    labelled_root: Path, options: PretrainOptions
) -> None:
    assert pretrain(options) is Outcome.FINISHED
    condition = "(sex is not null and age >= 22) or Edema == 1"
    rows = select(open_dataset(labelled_root), "train")
    kept = rows[(rows["sex"].notna() & (rows["age"] >= 22)) | (rows["Edema"] == 1)]
    assert 0 < kept["patient_id"].nunique() < rows["patient_id"].nunique()
    assert set(read_seen(options.output).patients["patient_id"]) == set(kept["patient_id"])
    config = read_config(options.output)
    assert config is not None
    assert config["row_filter"] == condition
    assert not {"where", "projection", "ap_pa"} & set(config)
    assert described(options.output, "backbone.json")["provenance"]["row_filter"] == condition
    assert f"{len(kept) // 4}" == str(described(options.output, "backbone.json")["provenance"]["steps"])
    # The config is a recipe of the same run, and another spelling is the same condition.
    again = from_recipe(PretrainOptions, str(options.output / "config.yaml"))
    assert again.row_filter == condition
    for same in (again, replace(options, where=condition)):
        assert pretrain(same) is Outcome.FINISHED
    for other in (None, "Edema == 1"):
        with pytest.raises(ResumeError, match=r"--row-filter: the run has \(sex is not null and age >= 22\) or Edema"):
            pretrain(replace(options, where=other))


def test_a_config_from_before_there_were_conditions_is_that_of_all_rows(options: PretrainOptions) -> None:
    plain = replace(options, where=None)
    assert not {"row_filter", "where", "projection", "ap_pa"} & set(plain.as_config())
    assert yaml.safe_load(yaml.safe_dump(plain.as_config())) == plain.as_config()


def test_a_run_is_not_started_where_nothing_is_left(options: PretrainOptions) -> None:
    with pytest.raises(SubsetError, match="train split is left: age > 100 leaves 0 of 41"):
        pretrain(replace(options, where="age > 100"))
    assert not options.output.exists()


@pytest.mark.parametrize("method", ["probe", "finetune"])
def test_a_model_is_of_the_rows_of_its_condition(
    method: str, labelled_root: Path, embeddings_cache: Path, tmp_path: Path
) -> None:
    words: tuple[object, ...] = (
        *BACKBONE,
        "--label-fraction",
        0.5,
        *(TUNED if method == "finetune" else ("--labels", "Edema")),
    )
    words += ("--cache", embeddings_cache) if method == "probe" else ()
    folder = make_model(method, labelled_root, tmp_path / "out", *words, "--projection", "frontal")
    found, rows = described(folder), frontal_rows(labelled_root)
    assert found["row_filter"] == found["options"]["row_filter"] == FRONTAL
    assert len(rows) / 2 <= found["train_samples"] < len(rows)
    assert set(read_seen(folder).patients["patient_id"]) <= set(rows["patient_id"])
    assert found["results"]["Edema"]["valid"]["n"] <= len(frontal_rows(labelled_root, "valid"))
    line = (method, "--shards", labelled_root, "--output", folder, *words)
    same = run(*line, "--where", "projection=='frontal'")
    assert (same.exit_code, "holds this" in same.output) == (0, True), same.output
    other = run(*line)
    assert other.exit_code == 1
    assert f'row_filter: "{FRONTAL}" there, None here' in other.output


def test_a_model_without_a_condition_records_none(probed: Path, tuned: Path) -> None:
    for folder in (probed, tuned):
        content = described(folder)
        assert not {"row_filter", "where", "projection", "ap_pa"} & (set(content) | set(content["options"]))


def test_a_condition_that_is_none_is_refused_with_the_options_name(labelled_root: Path, tmp_path: Path) -> None:
    line = ("probe", "--shards", labelled_root, "--output", tmp_path / "out", *BACKBONE, "--labels", "Edema")
    refused = run(*line, "--where", "sex = 'female'")
    assert refused.exit_code == 2
    assert "Invalid value for '--where' / '--row-filter': \"sex = 'female'\" is no condition" in refused.output
    unknown = run(*line, "--where", "Oedema == 1")
    assert unknown.exit_code == 1
    assert "there is no column Oedema; did you mean Edema? there are key, sample_id" in " ".join(unknown.output.split())
    assert not (tmp_path / "out").exists()


def test_a_study_says_which_rows_its_runs_and_targets_are_of(labelled_root: Path, tmp_path: Path) -> None:
    (tmp_path / "labelled").symlink_to(labelled_root)
    content = changed("pretraining", "tiny", "projection", value="frontal")
    content["pretraining"]["tiny"]["queue_size"] = 6
    content["targets"][0] |= {"fractions": [1.0], "where": "age > 20 or age is null"}
    content["methods"] = {"probe": {}}
    study = write_study(tmp_path / "study.yaml", content)
    result = sweep(study, tmp_path / "out")
    assert result.exit_code == 0, result.output
    config = read_config(tmp_path / "out/runs/tiny-seed0")
    assert config is not None
    assert config["row_filter"] == FRONTAL
    cells = sorted((tmp_path / "out/cells").glob("tiny-*"))
    assert len(cells) == 2
    for cell in cells:
        assert described(cell)["row_filter"] == "age > 20 or age is null"
        assert described(cell, "cell.json")["options"]["row_filter"] == "age > 20 or age is null"
    content["targets"][0]["where"] = "age > 200"
    write_study(study, content)
    refused = sweep(study, tmp_path / "other")
    assert refused.exit_code == 1
    assert "train split is left: age > 200 leaves 0 of 41" in refused.output
    content["targets"][0]["where"] = "age >"
    write_study(study, content)
    refused = sweep(study, tmp_path / "other")
    assert "targets[0].where" in refused.output
    assert "is no condition on rows" in " ".join(refused.output.split())
