"""`cxr-train probe` and `cxr-train finetune` as a person types them."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import pytest
import safetensors.torch
import torch
import yaml

from shards.format.dataset import open_dataset
from shards.loading.augmentation import ViewRange
from tests.training.labelled_shards import BACKBONE, LABELS, TUNED, make_model, run
from training.backbones.backbone import untrained_provenance
from training.backbones.description import BackboneDescription
from training.backbones.networks import backbone_weights
from training.cli.main import main as cxr_train
from training.cli.results_table import print_results
from training.downstream.model_directory import Auroc
from training.runs.backbone_from import load_backbone, save_backbone
from training.runs.directory import write_last
from training.seen_patients import Seen, read_seen, seen_by_training, write_seen

METHODS = ["probe", "finetune"]
VIEWS = {
    **{"degrees": 10.0, "flip": True, "scale": [1.0, 1.0], "translate": 0.0},
    **{"crop_area": [1.0, 1.0], "gain": [1.0, 1.0], "offset": [0.0, 0.0], "gamma": [1.0, 1.0]},
}
QUICK = {"probe": (), "finetune": ("--epochs", 1, "--min-steps", 1, "--batch-size", 16)}


@pytest.fixture(scope="module")
def pretrained(labelled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory as `cxr-train pretrain` hands it on, with gray levels and patients of its own."""
    folder = tmp_path_factory.mktemp("runs") / "moco"
    folder.mkdir()
    (folder / "config.yaml").write_text("{}\n")
    start = load_backbone("random", seed=7, mean=1.0, std=1.0)
    patients = seen_by_training([open_dataset(labelled_root)]).patients
    write_seen(folder, Seen(patients=patients.assign(dataset="elsewhere")))
    described = BackboneDescription(
        architecture="resnet18",
        image_size=32,
        mean=90.0,
        std=45.0,
        provenance={**untrained_provenance("random", 7), "method": "moco-v2", "epochs": 2, "steps": 12},
    )
    save_backbone(folder, backbone_weights(start.network, "resnet18"), described)
    write_last(folder, 12, 2, finished=True)
    return folder


def described(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return content


@pytest.mark.parametrize("method", METHODS)
def test_help_says_what_is_read_and_what_is_written(method: str) -> None:
    result = run(method, "--help")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert "Reads a dataset of shards and a backbone" in text
    assert "model.safetensors, model.json (with the AUROC on valid and test)" in text
    assert "patients.parquet" in text
    for option in ("--label-fraction", "--draw", "--uncertain", "--missing", "--backbone-from", "--seed", "--config"):
        assert option in text


@pytest.mark.parametrize("method", METHODS)
def test_a_model_takes_size_gray_levels_and_patients_from_its_run(
    method: str, labelled_root: Path, pretrained: Path, embeddings_cache: Path, tmp_path: Path
) -> None:
    words: tuple[object, ...] = (
        "--backbone-from", pretrained, "--labels", "Edema", "--label-fraction", 0.5, "--draw", 1,
        "--uncertain", "ones", "--device", "cpu", "--threads", 1, *QUICK[method],
    )  # fmt: skip
    if method == "probe":
        words += ("--cache", embeddings_cache)
    make_model(method, labelled_root, tmp_path / "out", *words)
    found = described(tmp_path / "out")
    assert (found["method"], found["initial"], found["image_size"], found["mean"], found["std"]) == (
        *(method, "moco", 32, 90.0, 45.0),
    )
    assert (found["label_fraction"], found["draw"], found["uncertain"], found["missing"]) == (0.5, 1, "ones", "ignore")
    assert found["provenance"]["method"] == "moco-v2"
    assert set(read_seen(tmp_path / "out").patients["dataset"]) == {"elsewhere", "labelled"}
    weights = safetensors.torch.load_file(tmp_path / "out" / "model.safetensors")
    before = safetensors.torch.load_file(pretrained / "backbone.safetensors")
    same = all(torch.equal(weights[name], value) for name, value in before.items())
    assert same == (method == "probe"), "a probe's backbone is frozen, a fine-tuned one is not"


def test_the_same_command_again_does_nothing_and_another_is_refused(
    labelled_root: Path, embeddings_cache: Path, tmp_path: Path
) -> None:
    words = ("--shards", labelled_root, "--labels", "Edema", "--cache", embeddings_cache, "--output", tmp_path / "out")
    first = run("probe", *words, *BACKBONE)
    assert first.exit_code == 0, first.output
    assert "AUROC" in first.output
    assert f"wrote {tmp_path / 'out'}" in first.output
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    again = run("probe", *words, *BACKBONE)
    assert (again.exit_code, "holds this probe already" in again.output) == (0, True)
    other = run("probe", *words, *BACKBONE, "--draw", 1)
    assert other.exit_code == 1
    assert "holds a model made with other options (draw: 0 there, 1 here). Give another --output." in other.output
    method = run("finetune", *words[:4], *words[6:], *BACKBONE)
    assert method.exit_code == 1
    assert "method: 'probe' there, 'finetune' here" in method.output
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def test_results_are_printed_with_what_has_no_split(capsys: pytest.CaptureFixture[str]) -> None:
    result = Auroc(0.87654, 10, 3)
    print_results(
        {"Edema": {"valid": result, "test": None}, "Mass": {"valid": replace(result, auroc=None), "test": result}},
        Path("out"),
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["AUROC", "valid", "test"],
        ["Edema", "0.877", "no", "split"],
        ["Mass", "undef.", "0.877"],
        ["wrote", "out"],
    ]


def without(folder: Path, *keys: str) -> None:
    """Take these options out of model.json, as an earlier release wrote it."""
    content = described(folder)
    content["options"] = {key: value for key, value in content["options"].items() if key not in keys}
    (folder / "model.json").write_text(json.dumps(content))


def test_a_fine_tuning_from_before_the_options_of_augmentation_counts_as_made_with_their_old_values(
    labelled_root: Path, tuned: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(tuned, tmp_path / "model"))
    assert {key: described(model)["options"][key] for key in VIEWS} == VIEWS
    without(model, *VIEWS, "fraction_of", "select_by", "min_total_steps")
    words = ("--shards", labelled_root, "--output", model, *BACKBONE, *TUNED)
    again = run("finetune", *words)
    assert (again.exit_code, "holds this model already" in again.output) == (0, True), again.output
    other = run("finetune", *words, "--degrees", 5)
    assert other.exit_code == 1
    assert "(degrees: 10.0 there, 5.0 here)" in other.output


def test_a_probe_whose_c_was_chosen_in_the_earlier_way_is_another_model(
    labelled_root: Path, probed: Path, embeddings_cache: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(probed, tmp_path / "model"))
    words = ("--shards", labelled_root, "--output", model, *BACKBONE, "--labels", ",".join(LABELS))
    assert "holds this probe already" in run("probe", *words, "--cache", embeddings_cache).output
    without(model, "c_chosen_by")
    result = run("probe", *words, "--cache", embeddings_cache)
    assert result.exit_code == 1
    assert "c_chosen_by: 'hold-out' there, 'cross-validation below 400 patients, else hold-out' here" in result.output


def test_the_augmentation_of_fine_tuning_is_that_of_pretraining_by_default() -> None:
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(ViewRange()).items()} == VIEWS


def every_option(method: str) -> list[click.Option]:
    """Options of a command that a recipe may hold."""
    parameters = cxr_train.commands[method].params
    own = {"config", "print_config"}
    return [option for option in parameters if isinstance(option, click.Option) and option.name not in own]


@pytest.mark.parametrize("method", METHODS)
def test_a_recipe_takes_every_option_that_help_lists_under_its_name(method: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"labels": ["Edema", "Pleural Effusion"], "allow-unfinished": True, "scale": [0.8, 1.2]}
    values |= {"allow-seen-patients": True, "allow-unknown-patients": True}
    values |= {"label-fraction": 0.5, "lr": 0.5, "weight-decay": 0.1, "degrees": 3.5, "translate": 0.25, "flip": False}
    values |= {"epochs": 7, "select-by": ["Edema"], "where": "age > 3", "checkpoint-minutes": 2.5, "time-limit": 90.0}
    values |= {"crop-area": [0.4, 0.9], "gain": [0.8, 1.2], "offset": [-20.0, 20.0], "gamma": [0.7, 1.4]}
    for option in every_option(method):
        name = option.opts[0].removeprefix("--")
        if isinstance(option.type, click.Choice):
            values[name] = option.type.choices[-1]
        elif isinstance(option.type, click.types.IntParamType):
            values.setdefault(name, 77)
        else:
            values.setdefault(name, f"some/{name}")
    recipe = tmp_path / "every.yaml"
    recipe.write_text(yaml.safe_dump({key: value for key, value in values.items() if f"--{key}" in help_of(method)}))
    shown = run(method, "--config", recipe, "--print-config")
    assert shown.exit_code == 0, shown.output
    resolved = yaml.safe_load(shown.output)
    assert resolved == {option.name: values[option.opts[0].removeprefix("--")] for option in every_option(method)}
    recipe.write_text(shown.output)
    assert run(method, "--config", recipe, "--print-config").output == shown.output
    beaten = run(method, "--config", recipe, "--print-config", "--draw", 3)
    assert yaml.safe_load(beaten.output) == {**resolved, "draw": 3}


def help_of(method: str) -> str:
    return run(method, "--help").output


@pytest.mark.parametrize("value", [0, -1, 1.9, "many", True])
def test_a_number_of_epochs_is_auto_or_above_zero(value: object, labelled_root: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text(yaml.safe_dump({"epochs": value, "labels": "Edema"}))
    words = ("--shards", labelled_root, "--output", tmp_path / "out", *BACKBONE)
    result = run("finetune", *words, "--config", recipe)
    assert result.exit_code == 2
    assert "epochs: " in result.output
    recipe.write_text(yaml.safe_dump({"epochs": "auto", "labels": "Edema"}))
    resolved = run("finetune", *words, "--config", recipe, "--print-config")
    assert yaml.safe_load(resolved.output)["epochs"] == "auto"


@pytest.mark.parametrize("method", METHODS)
def test_all_labels_are_those_of_which_the_training_samples_have_both_classes(
    method: str, labelled_root: Path, embeddings_cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words: tuple[object, ...] = ("--labels", "all", *BACKBONE, *QUICK[method])
    if method == "probe":
        words += ("--cache", embeddings_cache)
    make_model(method, labelled_root, tmp_path / "both", *words)
    found = described(tmp_path / "both")
    assert (found["labels"], found["left_out_labels"]) == (["Edema", "Pleural Effusion"], [])
    assert "left out" not in caplog.text
    make_model(method, labelled_root, tmp_path / "one", *words, "--label-fraction", 0.15, "--draw", 1)
    found = described(tmp_path / "one")
    assert (found["labels"], found["left_out_labels"]) == (["Pleural Effusion"], ["Edema"])
    assert list(found["results"]) == ["Pleural Effusion"]
    assert "left out, since only one class is known: Edema" in caplog.text
    none = run(method, *words, "--shards", labelled_root, "--output", tmp_path / "none", "--label-fraction", 0.02)
    assert none.exit_code == 1
    assert "nothing can be learned about Edema" in none.output
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("draw", 1.9, "1.9 is not a whole number"),
        ("labels", None, "has no value"),
        ("labels", [1, 2], "[1, 2] is not a list of names such as Edema,Mass"),
        ("label_fraction", True, "'true' (true or false) is not a value of this option"),
        ("label_fraction", float("nan"), "is not a finite number"),
        ("backbone", "resnet19", "'resnet19' is not one of"),
        ("architecture", "resnet18", "unknown option(s) architecture"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_value_that_a_recipe_alone_can_bring_is_refused_by_key_and_file_before_anything_is_written(
    method: str, key: str, value: object, message: str, labelled_root: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text(yaml.safe_dump({"labels": "Edema", key: value}))
    words = ("--config", recipe, "--shards", labelled_root, "--output", tmp_path / "out", *BACKBONE)
    result = run(method, *words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert "bad.yaml" in result.output
    assert key in result.output
    assert not (tmp_path / "out").exists()


def test_a_recipe_fills_the_options_and_a_flag_beats_it(labelled_root: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "quick.yaml"
    recipe.write_text(yaml.safe_dump({"epochs": 1, "min_steps": 1, "batch-size": 16, "lr": 0.5, "draw": 2}))
    words = ("--config", recipe, "--labels", "Edema", "--lr", 1e-4, *BACKBONE)
    make_model("finetune", labelled_root, tmp_path / "out", *words)
    options = described(tmp_path / "out")["options"]
    assert (options["epochs"], options["batch_size"], options["lr"], options["draw"]) == (1, 16, 1e-4, 2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        pytest.param({"--labels": "Oedema"}, 1, "Error: labelled has no label 'Oedema'; it has: Edema,", id="label"),
        pytest.param({"--shards": "nowhere"}, 1, "Error: nowhere: no dataset.json (no such folder)", id="shards"),
        pytest.param({"--backbone-from": "nofile.pth"}, 1, "no file of weights at nofile.pth", id="backbone"),
        pytest.param({"--label-fraction": 0.02}, 1, "nothing can be learned about Edema (", id="one class"),
        pytest.param({"--label-fraction": 0}, 2, "--label-fraction", id="fraction"),
        pytest.param({"--uncertain": "maybe"}, 2, "'ignore', 'zeros', 'ones'", id="policy"),
        pytest.param({"--draw": -1}, 2, "--draw", id="draw"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    method: str,
    changed: dict[str, object],
    status: int,
    message: str,
    labelled_root: Path,
    embeddings_cache: Path,
    tmp_path: Path,
) -> None:
    words = dict(zip(BACKBONE[::2], BACKBONE[1::2], strict=True))
    words |= {"--shards": labelled_root, "--labels": "Edema", "--output": tmp_path / "out"}
    if method == "probe":
        words["--cache"] = embeddings_cache
    result = run(method, *(word for pair in (words | changed).items() for word in pair))
    assert result.exit_code == status, result.output
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_a_model_is_not_written_over_its_own_backbone(labelled_root: Path, pretrained: Path) -> None:
    before = {path.name: path.read_bytes() for path in pretrained.iterdir()}
    words = ("--shards", labelled_root, "--backbone-from", pretrained, "--labels", "Edema", "--device", "cpu")
    result = run("finetune", *words, "--output", pretrained)
    assert result.exit_code == 1
    assert "holds a run of `cxr-train pretrain`. Give another --output." in result.output
    assert {path.name: path.read_bytes() for path in pretrained.iterdir()} == before
