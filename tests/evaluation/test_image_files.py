"""predict and embed of plain files: the pixels of a build, what cannot be used, and what the sidecar says."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import simplejpeg
from click.testing import CliRunner
from PIL import Image

from evaluation.image_files import decoded_files
from ingest.cli.main import main as cxr_ingest
from shards.errors import SubsetError
from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import select
from shards.loading.sample_reader import SampleReader
from tests.evaluation.commands import run
from tests.ingest.images.test_png_range import deep_picture, encoded
from tests.shards.images.test_dicom import dicom
from tests.shards.small_datasets import jpeg_of, smooth_image
from tests.training.labelled_shards import BACKBONE
from training.downstream.embeddings import read_embeddings

CPU = ("--device", "cpu", "--threads", 1)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind, in folders, with and without suffixes."""
    root = tmp_path_factory.mktemp("files") / "scans"
    (root / "clinic B").mkdir(parents=True)
    (root / "small.jpg").write_bytes(jpeg_of(smooth_image(61, 47, 1)))  # passed through by a build
    (root / "large.jpg").write_bytes(jpeg_of(smooth_image(700, 810, 2)))
    colours = np.stack([smooth_image(500, 420, seed) for seed in (3, 4, 5)], axis=-1)
    turned = Image.Exif()
    turned[274] = 6
    Image.fromarray(colours).save(root / "clinic B" / "Röntgen 1.jpeg", quality=90, exif=turned)
    Image.fromarray(smooth_image(90, 80, 6)).save(root / "clinic B" / "eight.png")
    (root / "clinic B" / "twelve.png").write_bytes(encoded(deep_picture(7, 12)))
    (root / "IM0001").write_bytes(dicom(smooth_image(400, 380, 8).astype(np.uint16) * 13))
    return root


@pytest.fixture(scope="module")
def built(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The dataset that a build makes of the same files."""
    out = tmp_path_factory.mktemp("built") / "shards"
    words = ["build-shards", str(images), str(out), "--dataset", "folder", "--name", "scans", "--workers", "1"]
    result = CliRunner().invoke(cxr_ingest, words)
    assert result.exit_code == 0, result.output
    return open_dataset(out)


def jpegs(dataset: Dataset, rows: pd.DataFrame) -> dict[str, bytes]:
    reader = SampleReader([(dataset, rows)])
    return {path: reader.read(place).tobytes() for place, path in enumerate(rows["source_path"])}


def sidecar(output: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output.parent / f"{output.name}.json").read_text())
    return content


def test_files_have_the_pixels_that_a_build_gives_them(images: Path, built: Dataset) -> None:
    expected = jpegs(built, select(built, "train"))
    with decoded_files([images], threads=2) as files:
        found = jpegs(files.dataset, files.rows)
        assert files.png_range == "12"
        assert files.left_out == {}
    assert {os.path.relpath(path, images): jpeg for path, jpeg in found.items()} == expected
    assert len(expected) == 6
    shapes = {path: simplejpeg.decode_jpeg(jpeg, colorspace="GRAY").shape[:2] for path, jpeg in expected.items()}
    assert shapes["clinic B/Röntgen 1.jpeg"] == (320, 381)
    assert shapes["small.jpg"] == (61, 47)


def test_predictions_of_files_are_those_of_a_build(images: Path, built: Dataset, probed: Path, tmp_path: Path) -> None:
    line = ("predict", "--model", probed, *CPU)
    shards = run(*line, "--shards", built.root, "--split", "train", "--output", tmp_path / "shards.csv")
    assert shards.exit_code == 0, shards.output
    files = run(*line, "--files", images, "--output", tmp_path / "files.csv")
    assert files.exit_code == 0, files.output
    assert "wrote 6 rows" in files.output
    rows = select(built, "train")
    of_key = pd.read_csv(tmp_path / "shards.csv").set_index("key").loc[rows["key"]].reset_index(drop=True)
    of_key.insert(0, "Path", [str(images / path) for path in rows["source_path"]])
    found = pd.read_csv(tmp_path / "files.csv")
    pd.testing.assert_frame_equal(
        found.sort_values("Path", ignore_index=True), of_key.sort_values("Path", ignore_index=True), rtol=1e-5
    )


def test_the_sidecar_says_that_seen_patients_are_not_known_and_how_files_were_read(
    images: Path, probed: Path, tmp_path: Path
) -> None:
    line = ("predict", "--model", probed, *CPU, "--short-side", 64, "--png-range", 16)
    assert run(*line, "--files", images, "--output", tmp_path / "a.csv").exit_code == 0
    found = sidecar(tmp_path / "a.csv")
    assert found["patients"].startswith("unknown: files name no patient")
    assert (found["seen_patients"], found["run_patients"], found["id"]) == (None, None, "Path")
    assert "split" not in found
    assert found["dataset"] == {"name": "files", "digest": found["files"]["sha256"]}
    assert {key: found["files"][key] for key in ("count", "short_side", "png_range")} == {
        **{"count": 6, "short_side": 64, "png_range": "16"},
    }
    assert found["architecture"] == "resnet18"
    # The digest is of the contents: neither names nor their order count.
    (tmp_path / "other").mkdir()
    for number, file in enumerate(sorted(path for path in images.rglob("*") if path.is_file())):
        (tmp_path / "other" / f"{9 - number}").write_bytes(file.read_bytes())
    assert run(*line, "--files", tmp_path / "other", "--output", tmp_path / "b.csv").exit_code == 0
    assert sidecar(tmp_path / "b.csv")["files"] == found["files"]


def test_files_that_cannot_be_used_are_named_with_the_reason_and_the_others_kept(
    images: Path, probed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "good.jpg").write_bytes((images / "large.jpg").read_bytes())
    (folder / "cut.jpg").write_bytes((images / "large.jpg").read_bytes()[:900])
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no image")
    os.mkfifo(folder / "pipe.dcm")
    with caplog.at_level(logging.WARNING):
        result = run(
            *("predict", "--model", probed, *CPU, "--output", tmp_path / "p.parquet", "--files", folder),
            *(
                "--files",
                folder,
                folder / "not there.jpg",
                folder / "notes.txt",
                images / "small.jpg",
                folder / "good.jpg",
            ),
        )
    assert result.exit_code == 0, result.output
    assert pd.read_parquet(tmp_path / "p.parquet")["Path"].tolist() == [
        str(folder / "good.jpg"), str(images / "small.jpg"),
    ]  # fmt: skip
    left_out = {Path(path).name: reason for path, reason in sidecar(tmp_path / "p.parquet")["left_out"].items()}
    assert left_out.keys() == {"cut.jpg", "empty.png", "pipe.dcm", "not there.jpg", "notes.txt"}
    assert left_out["cut.jpg"].startswith("unreadable image: ")
    assert left_out["empty.png"] == "unreadable image: the file is empty"
    assert left_out["pipe.dcm"] == "missing file: what is there is no regular file"
    assert left_out["not there.jpg"] == "missing file: No such file or directory"
    assert left_out["notes.txt"].startswith("unreadable image: neither JPEG, PNG nor DICOM")
    assert "5 of 7 files cannot be used and are left out: " in caplog.text
    assert "1 files that are no JPEG, PNG or DICOM are left out" in caplog.text


def test_several_files_follow_the_option_as_a_shell_gives_them(images: Path, probed: Path, tmp_path: Path) -> None:
    names = [images / "small.jpg", images / "large.jpg"]
    for output, words in {
        "a": ("--files", *names, "--model", probed),
        "b": ("--model", probed, f"--files={names[0]}", names[1]),
        "c": ("--files", names[0], "--model", probed, "--files", names[1]),
    }.items():
        result = run("predict", *words, "--output", tmp_path / f"{output}.csv", *CPU)
        assert result.exit_code == 0, result.output
    tables = [(tmp_path / f"{name}.csv").read_bytes() for name in "abc"]
    assert len(set(tables)) == 1
    assert tables[0].count(b"\n") == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give either --shards or --files"),
        (("--files", "x.jpg", "--shards", "data"), "give either --shards or --files"),
        (("--files", "x.jpg", "--where", "age > 3"), "files have no table to select rows by"),
        (("--files", "x.jpg", "--aggregate", "study"), "files name no study: leave --aggregate out"),
        (("--files", "x.jpg"), "none of the files can be used"),
    ],
)
def test_what_files_cannot_have_is_refused(words: tuple[str, ...], said: str, probed: Path, tmp_path: Path) -> None:
    result = run("predict", "--model", probed, "--output", tmp_path / "p.csv", *CPU, *words)
    assert result.exit_code == 1, result.output
    assert said in result.output
    assert not (tmp_path / "p.csv").exists()


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(SubsetError, match="no JPEG, PNG or DICOM file"), decoded_files([tmp_path]):
        pass


def test_embeddings_of_files_are_those_of_a_build_and_a_table_names_the_files(
    images: Path, built: Dataset, tmp_path: Path
) -> None:
    line = ("embed", *BACKBONE, "--preprocessing", "imagenet")
    assert run(*line, "--shards", built.root, "--output", tmp_path / "shards.zarr").exit_code == 0
    result = run(*line, "--files", images, "--output", tmp_path / "files.zarr")
    assert result.exit_code == 0, result.output
    found, expected = read_embeddings(tmp_path / "files.zarr"), read_embeddings(tmp_path / "shards.zarr")
    table = pd.read_csv(tmp_path / "files.zarr.csv")
    assert list(table.columns) == ["sample_id", "Path", "sha256"]
    assert table["sample_id"].tolist() == found.sample_id.tolist()
    paths = select(built).set_index("sample_id").loc[expected.sample_id, "source_path"]
    by_path = {str(images / path): row for path, row in zip(paths, expected.features, strict=True)}
    np.testing.assert_allclose(
        found.features, np.stack([by_path[path] for path in table["Path"]]), rtol=1e-4, atol=1e-5
    )
    assert found.attributes["patients"].startswith("unknown")
    assert found.attributes["files"]["count"] == 6
    refused = run(*line, "--files", images, "--output", tmp_path / "x.zarr", "--split", "test")
    assert "files are of no split: leave --split out" in refused.output


def test_threads_decode_pngs_and_dicoms_at_once_without_a_word_on_stderr(
    images: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number in range(12):
        source = images / ("IM0001" if number % 2 else "clinic B/twelve.png")
        (tmp_path / f"{number:02d}").write_bytes(source.read_bytes())
    with decoded_files([tmp_path], threads=4) as files:
        found = jpegs(files.dataset, files.rows)
    assert len(found) == 12
    assert len(set(found.values())) == 2
    os.write(2, b"still open\n")
    assert capfd.readouterr().err.endswith("still open\n")
    assert cv2.imdecode(np.frombuffer(next(iter(found.values())), np.uint8), cv2.IMREAD_GRAYSCALE) is not None
