"""`cxr-eval predict`: probabilities, ids, studies, seen patients, the sidecar, and the way on to the bootstrap."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.model_options import PredictOptions
from evaluation.predictions import predict, prediction_table
from evaluation.sidecars import CITED, COMPARED
from shards.errors import SubsetError
from shards.format.dataset import open_dataset
from shards.format.subsets import select
from shards.loading.loaders import EvaluationLoader
from tests.evaluation.commands import run
from tests.evaluation.files import write_csv
from tests.training.labelled_shards import LABELS, write_labelled_dataset
from training.backbones.networks import images_to_input
from training.downstream.model_directory import load_model
from training.seen_patients import Seen, read_seen, write_seen

CPU = ("--device", "cpu", "--threads", 1)


def predicted(shards: Path, model: Path, output: Path, *words: object) -> pd.DataFrame:
    result = run("predict", "--shards", shards, "--model", model, "--output", output, *CPU, *words)
    assert result.exit_code == 0, result.output
    return pd.read_parquet(output) if output.suffix == ".parquet" else pd.read_csv(output)


def sidecar(output: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output.parent / f"{output.name}.json").read_text())
    return content


def test_probabilities_are_the_sigmoid_of_the_networks_logits_by_key(
    labelled_root: Path, probed: Path, tmp_path: Path
) -> None:
    table = predicted(labelled_root, probed, tmp_path / "p.csv")
    dataset, model = open_dataset(labelled_root), load_model(probed)
    rows = select(dataset, "test")
    assert list(table.columns) == ["key", *LABELS]
    assert table["key"].tolist() == rows["key"].tolist()
    with torch.no_grad():
        (batch,) = EvaluationLoader(dataset, rows, image_size=32, batch_size=16)
        logits = model.network(images_to_input(batch.image, dataset.mean, dataset.std))
    np.testing.assert_allclose(table[list(LABELS)], torch.sigmoid(logits.double()), rtol=1e-4)


def test_the_sidecar_cites_model_and_data(labelled_root: Path, tuned: Path, tmp_path: Path) -> None:
    predicted(labelled_root, tuned, tmp_path / "p.csv")
    described = json.loads((tuned / "model.json").read_text())
    found = sidecar(tmp_path / "p.csv")
    assert found == {
        "left_out": {"excluded": 0, "quarantined": 0},
        "format_version": 1,
        "id": "key",
        "labels": ["Edema"],
        "rows": 11,
        "split": "test",
        "aggregate": "image",
        "dataset": open_dataset(labelled_root).citation,
        "model": {key: described[key] for key in CITED if key != "row_filter"},
        **{key: described[key] for key in COMPARED},
        "pretraining_seed": None,
        "at": "end",
        "fraction_of": "patients",
        "backbone_digest": described["backbone_digest"],
        "selected_on": {"epoch": "valid"},
        "seen_patients": 0,
        "run_patients": 0,
        "seen_images": 0,
        "unknown_patients": [],
        "declared_patients": [],
        "allow_seen_patients": False,
        "allow_unknown_patients": False,
    }
    assert {"digest", "method", "initial", "architecture", "label_fraction", "draw", "provenance"} <= set(CITED)


def test_parquet_holds_the_same_table_and_folders_are_made(labelled_root: Path, probed: Path, tmp_path: Path) -> None:
    one = predicted(labelled_root, probed, tmp_path / "p.csv")
    two = predicted(labelled_root, probed, tmp_path / "new" / "folder" / "p.parquet")
    pd.testing.assert_frame_equal(one, two, check_dtype=False)
    assert sidecar(tmp_path / "new" / "folder" / "p.parquet") == sidecar(tmp_path / "p.csv")


def test_a_study_has_the_highest_probability_of_its_images(labelled_root: Path, probed: Path, tmp_path: Path) -> None:
    images = predicted(labelled_root, probed, tmp_path / "images.csv")
    studies = predicted(labelled_root, probed, tmp_path / "studies.csv", "--aggregate", "study")
    rows = select(open_dataset(labelled_root), "test")
    assert studies.columns[0] == "Study"
    assert studies["Study"].tolist() == list(
        dict.fromkeys(f"labelled/test/{p}/{s}" for p, s in zip(rows["patient_id"], rows["study_id"], strict=True))
    )
    for _, study in studies.iterrows():
        _, split, patient, name = study["Study"].split("/")
        of_study = images[((rows["patient_id"] == patient) & (rows["study_id"] == name)).to_numpy()]
        assert split == "test"
        for label in LABELS:
            assert study[label] == of_study[label].max()
    found = sidecar(tmp_path / "studies.csv")
    assert (found["id"], found["aggregate"], found["rows"]) == ("Study", "study", len(studies))
    assert len(studies) < len(images)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.floats(0, 1), st.floats(0, 1)), min_size=1))
@settings(deadline=None)
def test_studies_equal_a_slow_maximum(images: list[tuple[str, str, float, float]]) -> None:
    rows = pd.DataFrame(
        {"key": [f"k{n}" for n in range(len(images))], "split": "test",
         "patient_id": [p for p, *_ in images], "study_id": [s for _, s, *_ in images]}
    )  # fmt: skip
    slow: dict[str, list[float]] = {}
    for patient, study, *values in images:
        before = slow.setdefault(f"set/test/{patient}/{study}", list(values))
        slow[f"set/test/{patient}/{study}"] = [max(a, b) for a, b in zip(before, values, strict=True)]
    table = prediction_table(rows, np.array([values for _, _, *values in images]), ("A", "B"), "set", "study")
    assert {row[0]: list(row[1:]) for row in table.itertuples(index=False, name=None)} == slow
    assert list(table["Study"]) == list(slow)


def test_studies_that_a_dataset_does_not_know_are_refused() -> None:
    rows = pd.DataFrame({"key": ["a"], "split": ["test"], "patient_id": ["p"], "study_id": [None]}, dtype=object)
    with pytest.raises(SubsetError, match=r"set does not know which study.*--aggregate image"):
        prediction_table(rows, np.array([[0.5]]), ("A",), "set", "study")


def test_seen_patients_are_refused_and_the_override_is_on_record(
    labelled_root: Path, probed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "p.csv"
    words = ("predict", "--shards", labelled_root, "--model", probed, "--output", output, "--split", "train", *CPU)
    refused = run(*words)
    assert refused.exit_code == 1
    message = " ".join(refused.output.split())
    assert "the weights have seen 14 of the train split's patients (patient00000, patient00001, patient00002" in message
    assert "--allow-seen-patients" in message
    assert list(tmp_path.iterdir()) == []
    assert run(*words, "--allow-seen-patients").exit_code == 0
    assert (sidecar(output)["seen_patients"], sidecar(output)["allow_seen_patients"]) == (14, True)


def test_patients_seen_in_pretraining_are_refused_too(labelled_root: Path, probed: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(probed, tmp_path / "model"))
    one_of_test = select(open_dataset(labelled_root), "test")["patient_id"].iloc[0]
    before = pd.DataFrame({"dataset": ["labelled"], "patient_id": [one_of_test]})
    write_seen(model, Seen(patients=pd.concat([read_seen(model).patients, before])))
    options = PredictOptions(shards=labelled_root, model=model, output=tmp_path / "p.csv", device="cpu", threads=1)
    with pytest.raises(SubsetError, match=f"have seen 1 of the test split's patients \\({one_of_test}\\)"):
        predict(options)


def test_a_missing_split_is_refused_with_how_to_get_one(probed: Path, tmp_path: Path) -> None:
    shards = write_labelled_dataset(tmp_path / "shards", name="other", shards={"train-000000": 4}).root
    result = run("predict", "--shards", shards, "--model", probed, "--output", tmp_path / "p.csv", *CPU)
    assert result.exit_code == 1
    assert "has no test split: build it with --test-fraction or --test-source, or name another --split" in " ".join(
        result.output.split()
    )
    assert not (tmp_path / "p.csv").exists()


def test_a_spoiled_model_is_one_sentence(labelled_root: Path, probed: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(probed, tmp_path / "model"))
    (model / "patients.parquet").unlink()
    result = run("predict", "--shards", labelled_root, "--model", model, "--output", tmp_path / "p.csv", *CPU)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "holds no patients.parquet" in result.output


def test_help_says_what_is_read_and_what_is_written() -> None:
    text = " ".join(run("predict", "--help").output.split())
    assert (
        "Reads a dataset of shards, or JPEG, PNG and DICOM files, and a model directory; writes a table whose first"
        in text
    )
    assert "PREDICTIONS.csv.json" in text


@pytest.mark.parametrize("aggregate", ["image", "study"])
def test_the_bootstrap_joins_predictions_with_the_shards(
    aggregate: str, labelled_root: Path, probed: Path, tuned: Path, tmp_path: Path
) -> None:
    predicted(labelled_root, probed, tmp_path / "a.csv", "--aggregate", aggregate)
    predicted(labelled_root, tuned, tmp_path / "b.csv", "--aggregate", aggregate)
    words = ("--model", tmp_path / "b.csv", "--baseline", tmp_path / "a.csv", "--replicates", 400)
    allowed = ("--allow-different", "method")
    result = run("bootstrap", "--labels", labelled_root, *words, *allowed, "--output", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "r.json").read_text())
    described = json.loads((tuned / "model.json").read_text())
    assert found["unit"] == "patient_id"
    assert list(found["labels"]) == ["Edema"]
    edema = found["labels"]["Edema"]
    if aggregate == "image":
        assert edema["arms"]["model"]["value"] == described["results"]["Edema"]["test"]["auroc"]
        assert (edema["n"], edema["positives"]) == (6, 3)
    assert found["inputs"]["arms"]["model"][0]["sidecar"] == sidecar(tmp_path / "b.csv")


def test_the_bootstrap_joins_studies_with_a_csv_of_studies_under_another_root(
    labelled_root: Path, probed: Path, tmp_path: Path
) -> None:
    table = predicted(labelled_root, probed, tmp_path / "p.csv", "--aggregate", "study")
    truth = [
        [study.replace("labelled/test", "CheXpert/test"), number % 2, (number + 1) % 2]
        for number, study in enumerate(table["Study"])
    ]
    write_csv(tmp_path / "truth.csv", ["Study", *LABELS], truth[::-1])
    words = ("--labels", tmp_path / "truth.csv", "--model", tmp_path / "p.csv", "--replicates", 400)
    result = run("bootstrap", *words, "--output", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "r.json").read_text())
    assert {label: entry["n"] for label, entry in found["labels"].items()} == dict.fromkeys(LABELS, len(table))
    assert found["unit"] == "patient_id"
