"""Patients' data: no text in JPEGs of shards, no table of hash and path, no patient in exports, omissions said."""

import io
import json
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import simplejpeg
from click.testing import CliRunner
from PIL import Image

from evaluation.cli.main import main as cxr_eval
from ingest.build.sealed_places import seal, unseal
from ingest.cli.main import main as cxr_ingest
from shards.errors import DatasetError
from shards.format.dataset import open_dataset
from shards.format.quarantine import Quarantined, write_quarantine
from shards.images.jpeg_markers import without_metadata
from shards.images.shard_image import encode_gray, ingest_image
from shards.images.unusable_image import MAX_PIXELS, UnusableImage
from tests.ingest.archives.layouts import write_chexpert
from tests.robustness.trees import tree
from tests.shards.small_datasets import smooth_image
from tests.training.backbones.test_export import a_run
from training.cli.main import main as cxr_train
from training.seen_patients import Seen, read_seen, write_seen

NAME = b"Anna Example, born 1950-01-01, patient 12345"
"""What must be in no shard."""


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(payload)) + payload


def behind_start(content: bytes, extra: bytes) -> bytes:
    return content[:2] + extra + content[2:]


def before_scan(content: bytes, extra: bytes) -> bytes:
    place = content.index(b"\xff\xda")
    return content[:place] + extra + content[place:]


def before_end(content: bytes, extra: bytes) -> bytes:
    return content[:-2] + extra + content[-2:]


def text_table(first: int) -> bytes:
    """A DQT's or DHT's table that holds the name. first: its number, and for a DHT its class."""
    return bytes([first]) + (NAME + bytes(64))[:64]


def huffman(first: int) -> bytes:
    return bytes([first]) + bytes([0] * 7 + [len(NAME)] + [0] * 8) + NAME


HIDDEN: dict[str, Callable[[bytes], bytes]] = {
    "comment": lambda jpeg: behind_start(jpeg, segment(0xFE, NAME)),
    "Exif": lambda jpeg: behind_start(jpeg, segment(0xE1, b"Exif\0\0" + NAME)),
    "application segment 15": lambda jpeg: before_scan(jpeg, segment(0xEF, NAME)),
    "DNL": lambda jpeg: before_end(jpeg, segment(0xDC, NAME)),
    "comment behind the scan": lambda jpeg: before_end(jpeg, segment(0xFE, NAME)),
    "reserved segment": lambda jpeg: before_scan(jpeg, segment(0x02, NAME)),
    "JPEG extension": lambda jpeg: before_scan(jpeg, segment(0xF3, NAME)),
    "unused DQT": lambda jpeg: before_scan(jpeg, segment(0xDB, text_table(3))),
    "DQT that is defined again": lambda jpeg: behind_start(jpeg, segment(0xDB, text_table(0))),
    "two tables of one number in a DQT": lambda jpeg: behind_start(jpeg, segment(0xDB, text_table(0) + text_table(1))),
    "DQT behind the scan": lambda jpeg: before_end(jpeg, segment(0xDB, text_table(0))),
    "unused DHT": lambda jpeg: before_scan(jpeg, segment(0xC4, huffman(0x13))),
    "DHT that is defined again": lambda jpeg: behind_start(jpeg, segment(0xC4, huffman(0x10))),
    "behind the end": lambda jpeg: jpeg + NAME,
    "fill bytes": lambda jpeg: before_scan(jpeg, b"\xff" * 50 + segment(0xFE, NAME)),
    "restart intervals": lambda jpeg: behind_start(
        jpeg, b"".join(segment(0xDD, NAME[n : n + 2]) for n in range(0, len(NAME), 2)) + segment(0xDD, bytes(2))
    ),
}
REFUSED: dict[str, Callable[[bytes], bytes]] = {
    "data behind the scan's": lambda jpeg: before_end(jpeg, NAME),
    "padding in the header of the scan": lambda jpeg: jpeg.replace(
        b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00", segment(0xDA, b"\x01\x01\x00\x00\x3f\x00" + NAME)
    ),
    "padding in the frame": lambda jpeg: jpeg.replace(
        (frame := jpeg[(at := jpeg.index(b"\xff\xc0")) : at + 13]), segment(0xC0, frame[4:] + NAME)
    ),
    "padding in a DQT": lambda jpeg: jpeg.replace(
        (table := jpeg[(at := jpeg.index(b"\xff\xdb")) : at + 69]), segment(0xDB, table[4:] + NAME)
    ),
    "a restart that is none": lambda jpeg: before_end(jpeg, b"\xff\xd0" + NAME),
}
"""What no decoder takes without a warning: such a file is rejected."""


def gray_jpegs() -> dict[str, bytes]:
    pixels = smooth_image(80, 96, 3)
    found = {"libjpeg-turbo": encode_gray(pixels)}
    encoders: dict[str, dict[str, Any]] = {
        "Pillow": {},
        "progressive": {"progressive": True},
        "optimised": {"optimize": True, "quality": 60},
        "with restarts": {"restart_marker_blocks": 3},
    }
    for name, options in encoders.items():
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", **options)
        found[name] = stream.getvalue()
    return found


JPEGS = gray_jpegs()


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("kind", JPEGS)
def test_text_in_segments_that_decoding_does_not_need_is_in_no_shard(kind: str, hidden: str) -> None:
    jpeg = JPEGS[kind]
    spoiled = HIDDEN[hidden](jpeg)
    if hidden == "restart intervals" and kind == "with restarts":
        spoiled = behind_start(jpeg, b"".join(segment(0xDD, NAME[n : n + 2]) for n in range(0, len(NAME), 2)))
    stored = ingest_image(spoiled, None, MAX_PIXELS)
    assert stored.passed_through
    assert not any(NAME[n : n + 8] in stored.jpeg for n in range(len(NAME) - 8))
    np.testing.assert_array_equal(
        simplejpeg.decode_jpeg(stored.jpeg, colorspace="GRAY"), simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")
    )
    assert len(stored.jpeg) <= len(without_metadata(jpeg)) + 6, "a DRI of 0 says what its absence says"


@pytest.mark.parametrize("hidden", REFUSED)
def test_text_where_a_decoder_would_stumble_is_rejected_with_its_image(hidden: str) -> None:
    spoiled = REFUSED[hidden](JPEGS["libjpeg-turbo"])
    assert NAME in spoiled
    with pytest.raises(UnusableImage):
        ingest_image(spoiled, None, MAX_PIXELS)


@pytest.mark.parametrize("kind", JPEGS)
def test_of_an_ordinary_jpeg_only_its_application_segments_go(kind: str) -> None:
    jpeg = JPEGS[kind]
    place = jpeg.index(b"\xff\xe0")
    length = 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    assert without_metadata(jpeg) == jpeg[:place] + jpeg[place + length :]


def build_words(source: Path, out: Path, *more: object) -> list[str]:
    words = ("build-shards", source, out, "--dataset", "chexpert", "--name", "hashed", "--short-side", 32)
    return [str(word) for word in (*words, "--samples-per-shard", 8, "--max-rejected", 0, *more)]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of which one image is broken and one is not there: a build of it fails at its end."""
    source = tmp_path / "CheXpert-v1.0-small"
    paths = write_chexpert(source)
    (source / paths[3]).write_bytes(b"no image")
    (source / paths[5]).unlink()
    (tmp_path / "salt").write_bytes(b"0123456789abcdef0123456789abcdef")
    return source


def everything_in(folder: Path) -> bytes:
    """All that a person could read of a folder: names and bytes, Parquet unpacked."""
    found = b""
    for path in sorted(folder.rglob("*")):
        found += str(path.relative_to(folder)).encode() + b"\n"
        if path.suffix == ".parquet":
            found += pq.read_table(path).to_pandas().to_csv().encode()
        if path.is_file():
            found += path.read_bytes()
    return found


def names_nobody(folder: Path) -> None:
    content = everything_in(folder)
    assert len(content) > 1000
    for name in (b"patient0", b"view1_frontal", b"study1/"):
        where = content.find(name)
        assert where < 0, content[max(where - 200, 0) : where + 100]


def test_a_hashed_build_that_fails_keeps_no_table_of_hash_and_path_and_can_be_resumed(
    archive: Path, tmp_path: Path
) -> None:
    salt, out = ("--hash-identifiers", tmp_path / "salt"), tmp_path / "out"
    failed = CliRunner().invoke(cxr_ingest, build_words(archive, out, *salt, "--workers", 1))
    assert failed.exit_code == 1
    assert "2 of" in failed.output
    assert "were rejected" in failed.output
    assert "patient0" not in failed.output
    assert (out / ".build" / "plan.parquet").is_file(), "a failed build can be resumed"
    assert list((out / ".build" / "done").glob("*.json"))
    names_nobody(out)
    planned = pq.read_table(out / ".build" / "plan.parquet").to_pandas()
    assert planned[["root", "file", "where", "source_path"]].isna().all(axis=None)
    assert planned["place"].notna().all()

    (archive / "x.jpg").write_bytes(encode_gray(smooth_image(40, 40, 1)))
    for path in (archive / one for one in archive.rglob("*.jpg") if one.read_bytes() == b"no image"):
        path.write_bytes((archive / "x.jpg").read_bytes())
    resumed = CliRunner().invoke(cxr_ingest, [*build_words(archive, out, *salt), "--max-rejected", "0.1"])
    assert resumed.exit_code == 0, resumed.output
    assert "shards are there already" in resumed.output
    assert not (out / ".build").exists()
    names_nobody(out)
    again = tmp_path / "again"
    assert CliRunner().invoke(cxr_ingest, [*build_words(archive, again, *salt), "--max-rejected", "0.1"]).exit_code == 0
    assert tree(again) == tree(out)


def test_a_hashed_build_that_is_killed_keeps_no_table_of_hash_and_path(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = build_words(archive, out, "--hash-identifiers", tmp_path / "salt", "--workers", 2)
    process = subprocess.Popen([sys.executable, "-m", "ingest.cli.main", *words], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.glob(".build/done/*.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (out / ".build" / "plan.parquet").is_file()
    names_nobody(out)


def test_a_plan_of_another_salt_is_refused(archive: Path, tmp_path: Path) -> None:
    sealed = seal(("chexpert", "train/patient1/a.jpg", "train.csv line 2"), b"0123456789abcdef")
    assert unseal(sealed, b"0123456789abcdef") == ["chexpert", "train/patient1/a.jpg", "train.csv line 2"]
    assert sealed == seal(("chexpert", "train/patient1/a.jpg", "train.csv line 2"), b"0123456789abcdef")
    assert len(sealed) == len(seal(("chexpert", "train/patient1/b.jpg", "train.csv line 333"), b"0123456789abcdef"))
    for other in (b"0123456789abcdeg", None):
        with pytest.raises(DatasetError, match="sealed with another salt"):
            unseal(sealed, other)


def test_tars_of_ordinary_jpegs_keep_their_bytes(tmp_path: Path) -> None:
    source, out = tmp_path / "CheXpert-v1.0-small", tmp_path / "out"
    write_chexpert(source)
    # None is so large that it would shrink: the data of all are kept.
    result = CliRunner().invoke(cxr_ingest, [*build_words(source, out), "--short-side", "300"])
    assert result.exit_code == 0, result.output
    rows = open_dataset(out).samples
    assert len(rows) > 30
    for shard, offset, size, path in rows[["shard", "offset", "bytes", "source_path"]].itertuples(index=False):
        stored = (out / f"{shard}.tar").read_bytes()[offset : offset + size]
        assert stored == without_application_segments((source / path).read_bytes())


def without_application_segments(jpeg: bytes) -> bytes:
    """As an earlier release stored it: without APPn, COM and what follows the end; an obvious reference."""
    place, kept = 2, jpeg[:2]
    while jpeg[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
        if not (0xE0 <= jpeg[place + 1] <= 0xEF or jpeg[place + 1] == 0xFE):
            kept += jpeg[place:end]
        place = end
    return kept + jpeg[place : jpeg.rindex(b"\xff\xd9") + 2]


PATIENT = "patient00042-of-the-run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that has seen one patient."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    a_run(folder, "resnet18")
    write_seen(folder, Seen(patients=pd.DataFrame({"dataset": ["tiny"], "patient_id": [PATIENT]})))
    return folder


@pytest.mark.parametrize("words", [("--format", "torchvision"), ("--format", "onnx"), ("--format", "hub")])
def test_an_export_names_no_patient(words: tuple[str, ...], run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cxr_train, ["export", str(run), str(tmp_path / "out"), *words])
    assert result.exit_code == 0, result.output
    assert not list((tmp_path / "out").glob("*.parquet"))
    assert PATIENT.encode() not in everything_in(tmp_path / "out")


def test_an_export_names_the_patients_where_it_is_asked_to(run: Path, tmp_path: Path) -> None:
    words = ("export", str(run), str(tmp_path / "out"), "--format", "torchvision", "--with-patients")
    assert CliRunner().invoke(cxr_train, words).exit_code == 0
    assert read_seen(tmp_path / "out").patients["patient_id"].tolist() == [PATIENT]
    published = CliRunner().invoke(cxr_train, [*words[:2], str(tmp_path / "hub"), "--format", "hub", "--with-patients"])
    assert published.exit_code == 2
    assert "names no patient: leave --with-patients out" in published.output


def test_an_export_without_patients_says_what_to_do_where_leakage_is_looked_for(
    run: Path, labelled_root: Path, tmp_path: Path
) -> None:
    words = ["export", str(run), str(tmp_path / "out"), "--format", "torchvision"]
    assert CliRunner().invoke(cxr_train, words).exit_code == 0
    asked = ("--backbone-from", tmp_path / "out", "--labels", "Edema", "--device", "cpu", "--output", tmp_path / "m")
    probe = CliRunner().invoke(cxr_train, ["probe", "--shards", str(labelled_root), *map(str, asked)])
    assert probe.exit_code == 1
    assert "export it again with --with-patients" in probe.output


def test_predictions_and_the_result_say_what_was_quarantined_and_excluded(
    labelled_root: Path, probed: Path, tmp_path: Path
) -> None:
    shards = tmp_path / "shards"
    shutil.copytree(labelled_root, shards)
    dataset = open_dataset(shards)
    first = dataset.samples[dataset.samples["split"] == "test"].iloc[0]
    write_quarantine(shards, dataset.name, dataset.digest, [Quarantined(first["key"], first["shard"], "damaged")])
    excluded = int((dataset.samples.loc[dataset.samples["split"] == "test", "excluded"].notna()).sum())
    words = ("predict", "--shards", shards, "--model", probed, "--device", "cpu", "--output", tmp_path / "p.csv")
    predicted = CliRunner().invoke(cxr_eval, [*map(str, words), "--split", "test"])
    assert predicted.exit_code == 0, predicted.output
    sidecar = json.loads((tmp_path / "p.csv.json").read_bytes())
    assert sidecar["left_out"] == {"excluded": excluded, "quarantined": 1}
    asked = ("--labels", shards, "--arm", f"a={tmp_path / 'p.csv'}", "--output", tmp_path / "result.json")
    judged = CliRunner().invoke(cxr_eval, ["bootstrap", *map(str, asked)])
    assert judged.exit_code == 0, judged.output
    said = f"1 quarantined and {excluded} excluded samples of the split are in none of these predictions"
    assert any(said in warning for warning in json.loads((tmp_path / "result.json").read_bytes())["warnings"])
    assert said in " ".join(judged.output.split())
