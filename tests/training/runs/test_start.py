"""The start of a run as an arm: the weights it began with, under its own preprocessing, and nobody it has seen."""

import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

from evaluation.cli.main import main as cxr_eval
from tests.training.labelled_shards import LABELS, run
from training.backbones.networks import backbone_weights, build_backbone
from training.downstream.model_directory import load_model
from training.errors import RunError, WeightsError
from training.pretraining.command import pretrain
from training.pretraining.options import PretrainOptions
from training.runs.backbone_from import load_backbone
from training.runs.checkpoints import checkpoint_path, checkpoint_steps
from training.seen_patients import RUN_PATIENTS, read_seen

SEED = 5


@pytest.fixture(scope="module")
def finished(labelled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run of a few steps over the labelled dataset. Do not change it: copy it first."""
    output = tmp_path_factory.mktemp("runs") / "run"
    pretrain(
        PretrainOptions(
            shards=(labelled_root,), output=output, init="random", image_size=32, batch_size=8, epochs=1,
            queue_size=16, device="cpu", threads=1, seed=SEED,
        )
    )  # fmt: skip
    return output


def copied(finished: Path, folder: Path) -> Path:
    return Path(shutil.copytree(finished, folder / "run"))


def probed(root: Path, of_run: Path, output: Path, cache: Path, *words: object) -> Path:
    result = run(
        "probe", "--shards", root, "--backbone-from", of_run, "--output", output, "--labels", LABELS[0],
        "--cache", cache, "--threads", 1, "--device", "cpu", *words,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return output


def test_a_run_writes_the_weights_that_it_begins_with(finished: Path) -> None:
    weights = safetensors.torch.load_file(finished / "start.safetensors")
    expected = backbone_weights(build_backbone("resnet18", SEED), "resnet18")
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_the_start_has_the_runs_preprocessing_and_size_and_its_own_patients(finished: Path) -> None:
    end = load_backbone(str(finished), mean=1.0, std=1.0)
    start = load_backbone(str(finished), mean=1.0, std=1.0, at="start")
    assert (start.mean, start.std, start.image_size) == (end.mean, end.std, end.image_size)
    assert start.mean != 1.0
    assert (start.initial, end.initial) == ("random", "moco")
    assert start.digest != end.digest
    assert start.patients.empty  # random weights have seen nobody
    assert start.run_patients.equals(end.patients)
    assert len(end.patients)
    assert start.provenance["start_of"] == {"digest": end.digest, "seed": SEED}


def test_a_start_that_was_deleted_is_made_again_where_that_gives_the_recorded_digest(
    finished: Path, tmp_path: Path
) -> None:
    run_copy = copied(finished, tmp_path)
    (run_copy / "start.safetensors").unlink()
    assert load_backbone(str(run_copy), mean=1.0, std=1.0, at="start").digest == (
        load_backbone(str(finished), mean=1.0, std=1.0, at="start").digest
    )
    config = run_copy / "config.yaml"
    config.write_text(config.read_text().replace(f"seed: {SEED}", "seed: 6"))
    with pytest.raises(WeightsError, match="does not hold the weights that the run began with"):
        load_backbone(str(run_copy), mean=1.0, std=1.0, at="start")


def test_other_weights_under_the_starts_name_are_refused(finished: Path, tmp_path: Path) -> None:
    run_copy = copied(finished, tmp_path)
    shutil.copy(run_copy / "backbone.safetensors", run_copy / "start.safetensors")
    with pytest.raises(WeightsError, match=r"start.safetensors does not hold the weights that the run began with"):
        load_backbone(str(run_copy), mean=1.0, std=1.0, at="start")


def test_a_run_of_an_earlier_release_has_no_start_and_says_so(finished: Path, tmp_path: Path) -> None:
    run_copy = copied(finished, tmp_path)
    described = json.loads((run_copy / "backbone.json").read_text())
    del described["start_digest"]
    (run_copy / "backbone.json").write_text(json.dumps(described))
    with pytest.raises(RunError, match="does not record the weights that it began with"):
        load_backbone(str(run_copy), mean=1.0, std=1.0, at="start")


@pytest.mark.parametrize("source", ["random", "imagenet"])
def test_only_a_run_has_a_start(source: str) -> None:
    with pytest.raises(WeightsError, match="--at start is of a run"):
        load_backbone(source, mean=1.0, std=1.0, at="start")


def test_a_resumed_run_keeps_the_digest_of_its_start(labelled_root: Path, finished: Path, tmp_path: Path) -> None:
    """Taken up from its checkpoint with the file of its start gone, it hands on the same record."""
    options = PretrainOptions(
        shards=(labelled_root,), output=tmp_path / "run", init="random", image_size=32, batch_size=8, epochs=2,
        queue_size=16, device="cpu", threads=1, seed=SEED, schedule="constant",
    )  # fmt: skip
    pretrain(options)
    whole = json.loads((tmp_path / "run" / "backbone.json").read_text())
    cut = copied(tmp_path / "run", tmp_path / "cut")
    checkpoint_path(cut, checkpoint_steps(cut)[-1]).unlink()
    for name in ("backbone.json", "backbone.safetensors", "last.json", "start.safetensors"):
        (cut / name).unlink()
    pretrain(replace(options, output=cut))
    assert json.loads((cut / "backbone.json").read_text()) == whole


def test_a_test_patient_whom_the_run_has_seen_is_refused_for_its_start_too(
    labelled_root: Path, finished: Path, tmp_path: Path
) -> None:
    """The patients of the run stand beside those of the model, and neither may be tested on."""
    cache = tmp_path / "cache"
    model = probed(labelled_root, finished, tmp_path / "start", cache, "--at", "start", "--label-fraction", 0.3)
    described = json.loads((model / "model.json").read_text())
    assert (described["at"], described["initial"], described["pretraining_seed"]) == ("start", "random", SEED)
    loaded = load_model(model)
    seen_by_run = set(read_seen(finished).patients["patient_id"])
    assert set(loaded.run_patients["patient_id"]) == seen_by_run
    assert set(read_seen(model).patients["patient_id"]) < seen_by_run  # only the fraction's
    words = ["predict", "--shards", labelled_root, "--model", model, "--output", tmp_path / "p.csv", "--split", "train"]
    result = CliRunner().invoke(cxr_eval, [*map(str, words), "--device", "cpu", "--threads", "1"])
    assert result.exit_code == 1
    assert "the weights have seen 14 of the train split's patients" in " ".join(result.output.split())


def test_both_arms_of_a_run_differ_in_the_weights_alone(labelled_root: Path, finished: Path, tmp_path: Path) -> None:
    described = {
        at: json.loads(
            (probed(labelled_root, finished, tmp_path / at, tmp_path / "c", "--at", at) / "model.json").read_text()
        )
        for at in ("start", "end")
    }
    differing = {key for key in described["end"] if described["start"].get(key) != described["end"][key]}
    assert {"mean", "std", "image_size", "labels", "label_fraction", "draw", "pretraining_seed"} & differing == set()
    assert {"at", "initial", "backbone_digest", "provenance"} <= differing


def test_a_model_of_an_earlier_release_counts_as_made_at_the_end(
    labelled_root: Path, finished: Path, tmp_path: Path
) -> None:
    model = probed(labelled_root, finished, tmp_path / "end", tmp_path / "c")
    described = json.loads((model / "model.json").read_text())
    del described["options"]["at"]
    (model / "model.json").write_text(json.dumps(described))
    probed(labelled_root, finished, model, tmp_path / "c")  # nothing is left to do
    result = run(
        "probe", "--shards", labelled_root, "--backbone-from", finished, "--output", model, "--labels", LABELS[0],
        "--cache", tmp_path / "c", "--at", "start", "--threads", 1, "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "at: 'end' there, 'start' here" in " ".join(result.output.split())


def test_a_model_of_an_end_has_no_patients_of_a_run_beside_it(
    labelled_root: Path, finished: Path, tmp_path: Path
) -> None:
    model = probed(labelled_root, finished, tmp_path / "end", tmp_path / "c")
    assert not (model / RUN_PATIENTS).exists()
    assert load_model(model).run_patients.empty


@pytest.mark.parametrize("lost", ["init", "seed", "datasets", "steps", "epochs", "method"])
def test_a_backbone_json_that_lacks_a_part_of_its_provenance_is_read_or_refused_in_words(
    finished: Path, tmp_path: Path, lost: str
) -> None:
    of_run = copied(finished, tmp_path)
    content = json.loads((of_run / "backbone.json").read_text())
    del content["provenance"][lost]
    (of_run / "backbone.json").write_text(json.dumps(content))
    for at in ("end", "start"):
        with contextlib.suppress(RunError, WeightsError):
            load_backbone(str(of_run), mean=1.0, std=1.0, at=at)
