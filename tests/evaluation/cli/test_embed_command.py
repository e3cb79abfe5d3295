"""`cxr-eval embed` from shards to a Zarr group."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner, Result

from evaluation.cli.main import main as cxr_eval
from shards.format.dataset import open_dataset
from shards.format.subsets import select
from tests.training.labelled_shards import BACKBONE, write_labelled_dataset
from training.downstream.embeddings import read_embeddings
from training.downstream.features import cached_features
from training.runs.backbone_from import load_backbone


def embed(shards: Path, output: Path, *words: object) -> Result:
    line = ("embed", "--shards", shards, "--output", output, *BACKBONE, *words)
    return CliRunner().invoke(cxr_eval, [str(word) for word in line])


def test_every_sample_is_embedded_once_and_zarr_alone_reads_it(labelled_root: Path, tmp_path: Path) -> None:
    result = embed(labelled_root, tmp_path / "e.zarr")
    assert result.exit_code == 0, result.output
    assert f"wrote 69 embeddings to {tmp_path / 'e.zarr'}" in result.output
    dataset = open_dataset(labelled_root)
    group = zarr.open_group(tmp_path / "e.zarr", mode="r")
    features, sample_id = group["features"], group["sample_id"]
    assert isinstance(features, zarr.Array)
    assert isinstance(sample_id, zarr.Array)
    assert (str(features.dtype), features.shape) == ("float32", (69, 512))
    np.testing.assert_array_equal(sample_id[:], select(dataset)["sample_id"])
    assert group.attrs["dataset"] == dataset.citation
    backbone = load_backbone("random", image_size=32, mean=dataset.mean, std=dataset.std)
    said = group.attrs["backbone"]
    assert isinstance(said, dict)
    assert {key: said[key] for key in ("digest", "architecture", "image_size", "mean", "std", "initial")} == {
        "digest": backbone.digest,
        "architecture": "resnet18",
        "image_size": 32,
        "mean": dataset.mean,
        "std": dataset.std,
        "initial": "random",
    }


def test_a_split_alone_has_the_features_that_probes_use(
    labelled_root: Path, embeddings_cache: Path, tmp_path: Path
) -> None:
    assert embed(labelled_root, tmp_path / "e.zarr", "--split", "valid").exit_code == 0
    dataset = open_dataset(labelled_root)
    backbone = load_backbone("random", image_size=32, mean=dataset.mean, std=dataset.std)
    expected = cached_features(backbone, dataset, "valid", cache=embeddings_cache, device="cpu", threads=1)
    found = read_embeddings(tmp_path / "e.zarr")
    np.testing.assert_array_equal(found.features, expected.features)
    np.testing.assert_array_equal(found.sample_id, expected.sample_id)


def test_a_second_time_replaces_embeddings_and_nothing_else(labelled_root: Path, tmp_path: Path) -> None:
    output = tmp_path / "e.zarr"
    assert embed(labelled_root, output, "--split", "valid").exit_code == 0
    assert embed(labelled_root, output, "--split", "test").exit_code == 0
    assert len(read_embeddings(output).sample_id) == 11
    (tmp_path / "notes.txt").write_text("mine")
    for other in (tmp_path, tmp_path / "notes.txt"):
        result = embed(labelled_root, other, "--split", "test")
        assert result.exit_code == 1
        assert "is there and holds no embeddings" in result.output
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.zarr", "notes.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--split", "test"), "has no samples to embed, or not in that --split"),
        (("--backbone-from", "gone.pth"), "no file of weights at gone.pth"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words: tuple[object, ...], message: str, tmp_path: Path) -> None:
    shards = write_labelled_dataset(tmp_path / "shards", shards={"train-000000": 3}).root
    result = embed(shards, tmp_path / "e.zarr", *words)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "e.zarr").exists()


def test_help_says_what_is_read_and_what_is_written() -> None:
    text = " ".join(CliRunner().invoke(cxr_eval, ["embed", "--help"]).output.split())
    assert "Reads a dataset of shards, or JPEG, PNG and DICOM files, and a backbone; writes a Zarr v3 group" in text
