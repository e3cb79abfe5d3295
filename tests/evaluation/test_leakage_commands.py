"""The leakage check as a person meets it: from weights of unknown origin to a result that says what was allowed."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import safetensors.torch
import torch
import zarr
from click.testing import CliRunner, Result

from evaluation.cli.main import main as cxr_eval
from shards.format.dataset import open_dataset
from shards.format.subsets import select
from tests.training.labelled_shards import LABELS, run
from tests.training.published_checkpoints import published, write
from training.backbones import weight_files
from training.backbones.backbone import initial_seen
from training.backbones.networks import backbone_weights, build_backbone
from training.seen_patients import Seen, read_seen, seen_of_rows, write_seen

CPU = ("--device", "cpu", "--threads", 1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights that stands alone."""
    path = tmp_path_factory.mktemp("alone") / "weights.safetensors"
    safetensors.torch.save_file(backbone_weights(build_backbone("resnet18", 3), "resnet18"), path)
    return path


def evaluate(*words: object) -> Result:
    return CliRunner().invoke(cxr_eval, [str(word) for word in words])


def said(result: Result) -> str:
    return " ".join(result.output.split())


def probe(root: Path, source: object, output: Path, cache: Path, *words: object) -> Result:
    shared = ("--labels", LABELS[0], "--image-size", 32, "--cache", cache, *CPU)
    return run("probe", "--shards", root, "--backbone-from", source, "--output", output, *shared, *words)


def described(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return content


@pytest.mark.parametrize("method", ["probe", "finetune"])
def test_weights_that_stand_alone_are_refused_before_anything_is_trained(
    method: str, labelled_root: Path, weights: Path, tmp_path: Path
) -> None:
    words = ("--shards", labelled_root, "--backbone-from", weights, "--labels", LABELS[0], "--image-size", 32, *CPU)
    result = run(method, *words, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "not known whether the weights have seen patients of the valid split" in said(result)
    assert f"{weights} stands alone" in said(result)
    assert "--seen-patients none|FILE" in said(result)
    assert not (tmp_path / "out").exists()


def test_a_declaration_is_recorded_and_is_part_of_what_the_model_is(
    labelled_root: Path, weights: Path, embeddings_cache: Path, tmp_path: Path
) -> None:
    given = (labelled_root, weights, tmp_path / "out", embeddings_cache)
    assert probe(*given, "--seen-patients", "none").exit_code == 0
    recorded = described(tmp_path / "out")["leakage"]["test"]
    assert (recorded["declared_patients"], recorded["unknown_patients"]) == (["none"], [])
    assert "holds this probe already" in probe(*given, "--seen-patients", "none").output
    other = probe(*given, "--allow-unknown-patients")
    assert other.exit_code == 1
    assert "seen_patients: ['none'] there, None here" in said(other)
    predicted = evaluate(
        *("predict", "--shards", labelled_root, "--model", tmp_path / "out", "--output", tmp_path / "p.csv", *CPU)
    )
    assert predicted.exit_code == 0, predicted.output
    sidecar = json.loads((tmp_path / "p.csv.json").read_text())
    assert (sidecar["declared_patients"], sidecar["unknown_patients"]) == (["none"], [])


def test_declared_patients_of_the_test_split_are_refused(
    labelled_root: Path, weights: Path, embeddings_cache: Path, tmp_path: Path
) -> None:
    rows = select(open_dataset(labelled_root), "test")
    pd.DataFrame({"dataset": "labelled", "patient_id": rows["patient_id"].unique()}).to_csv(
        tmp_path / "seen.csv", index=False
    )
    words = (labelled_root, weights, tmp_path / "out", embeddings_cache, "--seen-patients", tmp_path / "seen.csv")
    result = probe(*words)
    assert result.exit_code == 1
    assert "have seen 4 of the test split's patients" in said(result)
    assert probe(*words, "--allow-seen-patients").exit_code == 0
    recorded = described(tmp_path / "out")["leakage"]
    assert [recorded[split]["seen_patients"] for split in ("valid", "test")] == [0, 4]
    assert recorded["test"]["declared_patients"] == ["seen.csv, 4 patients"]


def test_what_was_allowed_is_repeated_from_the_model_to_the_result(
    labelled_root: Path, weights: Path, embeddings_cache: Path, tmp_path: Path
) -> None:
    model, table = tmp_path / "out", tmp_path / "p.csv"
    assert probe(labelled_root, weights, model, embeddings_cache, "--allow-unknown-patients").exit_code == 0
    assert described(model)["leakage"]["test"]["allow_unknown_patients"]
    words = ("predict", "--shards", labelled_root, "--model", model, "--output", table, *CPU)
    refused = evaluate(*words)
    assert refused.exit_code == 1
    assert "stands alone" in said(refused)
    assert evaluate(*words, "--allow-unknown-patients").exit_code == 0
    (reason,) = json.loads((tmp_path / "p.csv.json").read_text())["unknown_patients"]
    judge = ("bootstrap", "--labels", labelled_root, "--model", table, "--replicates", 400, "--output")
    judged = (*judge, tmp_path / "r.json")
    refused = evaluate(*judged)
    assert refused.exit_code == 1
    assert "arm model: it is not known whether the weights have seen the patients" in said(refused)
    assert evaluate(*judged, "--allow-unknown-patients").exit_code == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert (result["allow_unknown_patients"], result["allow_seen_patients"]) == (True, False)
    assert result["selected_on"] == {"model": {"C": "train"}}
    assert any(reason in warning and "as was allowed" in warning for warning in result["warnings"])
    report = evaluate("report", tmp_path, "--output", tmp_path / "report.html")
    assert report.exit_code == 0, report.output
    assert "It is not known whether the weights had seen patients" in (tmp_path / "report.html").read_text()


def test_images_that_were_seen_under_another_dataset_name_are_refused(
    labelled_root: Path, probed: Path, tmp_path: Path
) -> None:
    """The same JPEGs built under another name, with patients of other numbers."""
    model, dataset = Path(shutil.copytree(probed, tmp_path / "model")), open_dataset(labelled_root)
    other = seen_of_rows(dataset, select(dataset, "test"))
    other = Seen(patients=other.patients.assign(dataset="twin"), images=other.images.assign(dataset="twin"))
    write_seen(model, read_seen(model) + other)
    words = ("predict", "--shards", labelled_root, "--model", model, "--output", tmp_path / "p.csv", *CPU)
    refused = evaluate(*words)
    assert refused.exit_code == 1
    assert "have seen 11 of the test split's images under another dataset name" in said(refused)
    assert evaluate(*words, "--allow-seen-patients").exit_code == 0
    sidecar = json.loads((tmp_path / "p.csv.json").read_text())
    assert (sidecar["seen_images"], sidecar["seen_patients"], sidecar["allow_seen_patients"]) == (11, 0, True)


def test_pretraining_from_weights_that_stand_alone_warns_and_hands_on_that_it_is_unknown(
    labelled_root: Path, weights: Path, tmp_path: Path
) -> None:
    words = ("--shards", labelled_root, "--image-size", 32, "--batch-size", 8, "--epochs", 1, "--queue-size", 16, *CPU)
    result = run("pretrain", *words, "--init", weights, "--output", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "What is predicted from this run is refused" in said(result)
    assert read_seen(tmp_path / "run").unknown
    refused = probe(labelled_root, tmp_path / "run", tmp_path / "out", tmp_path / "cache")
    assert refused.exit_code == 1
    assert "stands alone" in said(refused)
    again = run("pretrain", *words, "--init", weights, "--output", tmp_path / "run", "--seen-patients", "none")
    assert again.exit_code == 1
    assert "--seen-patients: the run has nothing, asked for is none" in said(again)
    result = run("pretrain", *words, "--init", weights, "--output", tmp_path / "said", "--seen-patients", "none")
    assert result.exit_code == 0, result.output
    assert "refused" not in result.output
    for at in ("start", "end"):
        done = probe(labelled_root, tmp_path / "said", tmp_path / at, tmp_path / "cache", "--at", at)
        assert done.exit_code == 0, done.output
        assert described(tmp_path / at)["leakage"]["test"]["declared_patients"] == ["none"]


def test_weights_copied_out_of_a_run_or_a_run_without_its_list_are_refused(
    labelled_root: Path, probed: Path, tmp_path: Path
) -> None:
    words = ("--shards", labelled_root, "--image-size", 32, "--batch-size", 8, "--epochs", 1, "--queue-size", 16, *CPU)
    assert run("pretrain", *words, "--init", "random", "--output", tmp_path / "run").exit_code == 0
    shutil.copy(tmp_path / "run" / "backbone.safetensors", tmp_path / "copied.safetensors")
    alone = probe(labelled_root, tmp_path / "copied.safetensors", tmp_path / "out", tmp_path / "cache")
    assert "stands alone" in said(alone)
    list_of_run = tmp_path / "run" / "patients.parquet"
    given = ("--seen-patients", list_of_run, "--image-size", 32)
    assert (
        probe(labelled_root, tmp_path / "copied.safetensors", tmp_path / "c", tmp_path / "cache", *given).exit_code == 0
    )
    assert len(read_seen(tmp_path / "c").patients) == 14
    list_of_run.unlink()
    lost = probe(labelled_root, tmp_path / "run", tmp_path / "out", tmp_path / "cache")
    assert (lost.exit_code, "holds no patients.parquet" in said(lost)) == (1, True)
    start = probe(labelled_root, tmp_path / "run", tmp_path / "out", tmp_path / "cache", "--at", "start")
    assert (start.exit_code, "holds no patients.parquet" in said(start)) == (1, True)


def test_an_import_without_shards_warns_and_is_unknown_afterwards(labelled_root: Path, tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "c.pth.tar", published()[0])
    result = run("import", checkpoint, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "refused as long as it is not known" in said(result)
    refused = run(
        *("probe", "--shards", labelled_root, "--backbone-from", tmp_path / "out", "--labels", LABELS[0], *CPU),
        *("--output", tmp_path / "model", "--cache", tmp_path / "cache"),
    )
    assert "c.pth.tar were imported without --shards" in said(refused)
    for name, words in (("with", ("--shards", labelled_root)), ("none", ("--seen-patients", "none"))):
        result = run("import", checkpoint, tmp_path / name, *words)
        assert result.exit_code == 0, result.output
        assert "refused" not in result.output
        assert read_seen(tmp_path / name).unknown == ()
    assert read_seen(tmp_path / "none").declared == ("none",)


def test_what_has_seen_nobody_is_known_by_itself(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random, torchvision's ImageNet weights by name, and torchvision's own file wherever it lies, by its digest."""
    for init in ("random", "imagenet"):
        assert initial_seen(init).unknown == ()
    official = tmp_path / "renamed.pth"
    torch.save(build_backbone("resnet18", 1).state_dict(), official)
    assert initial_seen(str(official)).unknown
    digest = hashlib.sha256(official.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(weight_files, "imagenet_path", lambda name: Path(f"/cache/{name}-{digest}.pth"))
    assert initial_seen(str(official)).unknown == ()
    assert initial_seen(str(weights)).unknown


def test_embeddings_say_what_was_declared(labelled_root: Path, weights: Path, tmp_path: Path) -> None:
    words = (
        "embed",
        "--shards",
        labelled_root,
        "--backbone-from",
        weights,
        "--image-size",
        32,
        "--split",
        "test",
        *CPU,
    )
    assert evaluate(*words, "--output", tmp_path / "a.zarr").exit_code == 0
    assert evaluate(*words, "--output", tmp_path / "b.zarr", "--seen-patients", "none").exit_code == 0
    one, two = (
        dict(zarr.open_group(tmp_path / name, mode="r").attrs)["seen_patients"] for name in ("a.zarr", "b.zarr")
    )
    assert isinstance(one, dict)
    assert isinstance(two, dict)
    assert (one["declared"], len(one["unknown"])) == ([], 1)
    assert (two["declared"], two["unknown"]) == (["none"], [])
