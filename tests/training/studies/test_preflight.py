"""Before its first hour a sweep names all that would stop it later, and says what the work takes."""

import json
import re
import time
from pathlib import Path

import pytest
import safetensors.torch
from click.testing import CliRunner, Result

from recipes import shipped_recipes
from tests.shards.small_datasets import LABELS, write_small_dataset
from tests.training.labelled_shards import write_labelled_dataset
from tests.training.studies.small_study import CONTENT, changed, write_study
from tests.training.studies.small_study import sweep as sweep_into
from training.backbones.networks import backbone_weights, build_backbone
from training.cli.main import main as cxr_train
from training.seen_patients import read_seen


def sweep(study: Path, *words: object) -> Result:
    return sweep_into(study, study.parent / "out", *words)


def test_all_problems_are_named_at_once_before_anything_is_written(labelled_root: Path, tmp_path: Path) -> None:
    (tmp_path / "labelled").symlink_to(labelled_root)
    content = changed("datasets", "labelled", "splits", value={"train": 42, "test": 11})
    content["datasets"]["other"] = {"shards": "nowhere"}
    tiny = content["pretraining"]["tiny"]
    content["pretraining"]["tiny"] = {**tiny, "queue_size": 4096, "init": "none.safetensors"}
    content["targets"][0]["labels"] = ["Edema", "Fracture"]
    content["targets"].append({"name": "t", "dataset": "other", "labels": ["x"], "fractions": [1.0]})
    content["targets"].append({"name": "small", "dataset": "labelled", "labels": [LABELS[1]], "fractions": [0.0001]})
    result = sweep(write_study(tmp_path / "study.yaml", content))
    assert result.exit_code == 1
    assert "cannot be trained as it stands: 6 problems" in result.output
    for said in (
        "labelled: 41 samples in the train split, 42 are expected",
        "nowhere: no dataset.json",
        "none.safetensors",
        "pretraining.tiny: The queue is to hold 4096 keys",
        "targets.edema: labelled has no label 'Fracture'",
        "targets.small: ",
        "nothing can be learned about Pleural Effusion",
    ):
        assert said in result.output
    assert not (tmp_path / "out").exists()


def test_options_are_judged_as_the_run_will_have_them_and_contradicting_ones_are_named(
    labelled_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "labelled").symlink_to(labelled_root)
    (tmp_path / "own.yaml").write_text("backbone: convnext_tiny\ninit: random\n")  # its --batch-norm is left open
    content = changed("pretraining", "tiny", "recipe", value="own.yaml")
    content["pretraining"]["tiny"].update(positives="study", mask="image")
    refused = sweep(write_study(tmp_path / "study.yaml", content))
    assert refused.exit_code == 1
    assert "--mask image is narrower than --positives study" in refused.output
    assert "BatchNorm" not in refused.output


def test_a_test_patient_whom_pretraining_sees_under_the_same_name_is_named(tmp_path: Path) -> None:
    write_labelled_dataset(tmp_path / "labelled")
    write_labelled_dataset(tmp_path / "again", shards={"train-000000": 75})
    content = changed("datasets", "again", value={"shards": "again"})
    content["pretraining"]["tiny"]["shards"] = ["again"]
    result = sweep(write_study(tmp_path / "study.yaml", content))
    assert result.exit_code == 1
    assert re.search(r"the weights have seen \d+ of the test split's patients", result.output)


def test_initial_weights_of_unknown_patients_are_named_before_the_first_hour(
    labelled_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "labelled").symlink_to(labelled_root)
    safetensors.torch.save_file(backbone_weights(build_backbone("resnet18", 3), "resnet18"), tmp_path / "w.safetensors")
    content = changed("pretraining", "tiny", "init", value=str(tmp_path / "w.safetensors"))
    unknown = "it is not known whether the weights have seen patients of the test split"
    refused = sweep(write_study(tmp_path / "study.yaml", content))
    assert refused.exit_code == 1
    assert unknown in refused.output
    content["pretraining"]["tiny"]["seen_patients"] = "none"
    result = sweep(write_study(tmp_path / "study.yaml", content), "--only", "runs/*")
    assert result.exit_code == 0, result.output
    assert read_seen(tmp_path / "out" / "runs" / "tiny-seed0").declared == ("none",)


def test_patients_in_two_splits_are_counted_and_one_is_named(tmp_path: Path) -> None:
    twice = {0: {"patient_id": "twice"}, 40: {"patient_id": "twice"}}
    shards = {"train-000000": 35, "valid-000000": 4, "test-000000": 4}
    write_small_dataset(tmp_path / "labelled", name="labelled", shards=shards, changes=twice)
    content = changed("datasets", "labelled", "splits", value={})
    result = sweep(write_study(tmp_path / "study.yaml", content))
    assert result.exit_code == 1
    assert re.search(rf"{tmp_path / 'labelled'}: \d+ patients are in two splits, such as \w+", result.output)


def test_a_dry_run_of_the_paper_s_study_says_cells_runs_hours_and_bytes_without_shards(tmp_path: Path) -> None:
    began = time.monotonic()
    words = ["sweep", "study_moco_cxr", "--output", tmp_path / "out", "--data", tmp_path, "--dry-run"]
    result = CliRunner().invoke(cxr_train, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert time.monotonic() - began < 60
    for said in ("272 cells, 0 of them done", "2 pretraining runs, 0 of them done", "32 comparisons"):
        assert said in result.output
    # 2 runs; 4 (run, arm) of 3 splits of CheXpert, and as many of Shenzhen, which is not built.
    assert "298 jobs to come: 2 pretraining runs, 24 embeddings of a split, 272 cells" in result.output
    assert re.search(r"[\d,.]+ hours of one process, [\d.]+ GB, 2,608 files to come", result.output)
    assert "  pretrain resnet18          4,468,280 images" in result.output  # 20 epochs of 223,414
    assert "neither built nor counted in the study file: shenzhen" in result.output
    assert not (tmp_path / "out").exists()


def test_a_dry_run_counts_what_is_done_and_takes_the_rates_measured_there(labelled_root: Path, tmp_path: Path) -> None:
    (tmp_path / "labelled").symlink_to(labelled_root)
    study = write_study(tmp_path / "study.yaml")
    assert sweep(study, "--only", "tiny-start-*").exit_code == 0
    result = sweep(study, "--dry-run")
    assert "12 cells, 6 of them done" in result.output
    assert "1 pretraining runs, 1 of them done" in result.output
    rate = re.search(r"finetune resnet18 +(\d+) images at ([\d,.]+) images/s \(measured here\)", result.output)
    assert rate is not None, result.output
    done = [json.loads(p.read_text())["seconds"] for p in (tmp_path / "out").glob("cells/*finetune*/done.json")]
    assert float(rate[2].replace(",", "")) == pytest.approx(int(rate[1]) / sum(done), rel=0.1, abs=0.1)


def test_a_dry_run_takes_the_rates_of_the_study_file_where_nothing_is_measured(
    labelled_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "labelled").symlink_to(labelled_root)
    content = {**CONTENT, "rates": {"pretrain": {"resnet18": 123.0}, "embed": {"densenet121": 5.0}}}
    said = sweep(write_study(tmp_path / "study.yaml", content), "--dry-run").output
    assert re.search(r"pretrain resnet18 +\d+ images at 123.0 images/s \(study file\)", said)
    assert re.search(r"embed +resnet18 .*assumed: two CPU cores", said)


def test_the_table_of_shipped_recipes_has_studies_under_sweep() -> None:
    listed = CliRunner().invoke(cxr_train, ["recipes"]).output
    of_sweep = listed.partition("cxr-train sweep\n")[2]
    assert "  study_moco_cxr" in of_sweep
    assert "study_moco_cxr" in shipped_recipes()
