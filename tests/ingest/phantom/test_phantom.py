"""make_phantom: layouts as the real releases have them, the same bytes however it is run, and what it refuses."""

import csv
import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner
from PIL import Image

from ingest.archives.chexpert import LABELS, Chexpert
from ingest.archives.shenzhen import Shenzhen
from ingest.cli.main import main
from ingest.phantom import PhantomSummary, generate, make_phantom
from ingest.phantom.chexpert_release import patients_of
from shards.errors import DatasetError

PATIENTS, CASES = 9, 7


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> PhantomSummary:
    return make_phantom(
        tmp_path_factory.mktemp("phantom") / "out", chexpert_patients=PATIENTS, shenzhen_images=CASES, seed=3
    )


def tree(folder: Path) -> dict[str, str]:
    """Path to SHA-256 of every file, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def tables(phantom: PhantomSummary) -> Iterator[tuple[Path, list[dict[str, str]]]]:
    """Each table that names images, and the folder in which its paths start."""
    assert phantom.chexpert is not None
    assert phantom.chexpert_test is not None
    for name in ("train.csv", "valid.csv"):
        yield phantom.out, rows_of(phantom.chexpert / name)
    yield phantom.chexpert_test, rows_of(phantom.chexpert_test / "test_labels.csv")


def test_train_and_valid_tables_have_chexperts_header_and_the_test_table_has_no_demographics(
    phantom: PhantomSummary,
) -> None:
    columns = [list(rows[0]) for _, rows in tables(phantom)]
    full = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS]
    assert columns == [full, full, ["Path", *LABELS]]


def test_every_row_has_an_image_and_every_image_a_row(phantom: PhantomSummary) -> None:
    named = {(root / row["Path"]).resolve() for root, rows in tables(phantom) for row in rows}
    drawn = {path.resolve() for path in phantom.out.rglob("*.jpg")}
    assert named == drawn
    assert len(named) == sum(count for name, count in phantom.images.items() if name != "shenzhen")


def test_lateral_rows_have_a_blank_ap_pa_and_only_they(phantom: PhantomSummary, tmp_path: Path) -> None:
    rows = [row for _, rows in list(tables(phantom))[:2] for row in rows]
    assert {row["Frontal/Lateral"] for row in rows} == {"Frontal", "Lateral"}
    for row in rows:
        lateral = row["Frontal/Lateral"] == "Lateral"
        assert row["AP/PA"] == "" if lateral else row["AP/PA"] in ("AP", "PA")
        assert row["Path"].endswith("lateral.jpg") == lateral


def test_train_labels_are_floats_or_blank_and_the_others_are_known(phantom: PhantomSummary) -> None:
    train, valid, test = ([row[label] for row in rows for label in LABELS] for _, rows in tables(phantom))
    assert set(train) == {"1.0", "0.0", "-1.0", ""}
    assert set(valid) == {"1.0", "0.0"}
    assert set(test) == {"1", "0"}


def test_groundtruth_has_one_row_a_study_with_the_labels_of_its_images(phantom: PhantomSummary) -> None:
    assert phantom.chexpert_test is not None
    truth = {row.pop("Study"): row for row in rows_of(phantom.chexpert_test / "groundtruth.csv")}
    images = {row.pop("Path"): row for row in rows_of(phantom.chexpert_test / "test_labels.csv")}
    assert {f"CheXpert-v1.0/{path.rpartition('/')[0]}" for path in images} == set(truth)
    for path, labels in images.items():
        assert truth[f"CheXpert-v1.0/{path.rpartition('/')[0]}"] == labels


def test_images_are_grey_jpegs_of_the_small_release_in_more_than_one_orientation(phantom: PhantomSummary) -> None:
    sizes = set()
    for path in phantom.out.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("JPEG", "L")
            sizes.add(image.size)
    assert all(min(size) == 320 and max(size) <= 390 for size in sizes)
    assert any(width > height for width, height in sizes)
    assert any(width < height for width, height in sizes)


def test_shenzhen_has_a_png_and_a_reading_a_case_and_half_of_them_are_tuberculous(phantom: PhantomSummary) -> None:
    assert phantom.shenzhen is not None
    images = sorted(path.stem for path in (phantom.shenzhen / "CXR_png").iterdir())
    readings = sorted(path.stem for path in (phantom.shenzhen / "ClinicalReadings").iterdir())
    assert images == readings
    assert [name[:11] for name in images] == [f"CHNCXR_{number:04d}" for number in range(1, CASES + 1)]
    assert abs(sum(name.endswith("_1") for name in images) - CASES / 2) <= 0.5
    for path in (phantom.shenzhen / "CXR_png").iterdir():
        with Image.open(path) as image:
            assert image.mode in ("L", "RGB")
            assert max(image.size) == 400


def test_the_readers_of_the_real_sets_reject_nothing_and_understand_every_reading(phantom: PhantomSummary) -> None:
    assert phantom.chexpert is not None
    assert phantom.shenzhen is not None
    chexpert = Chexpert(phantom.chexpert, phantom.chexpert_test).read()
    shenzhen = Shenzhen(phantom.shenzhen).read()
    assert chexpert.rejected.empty
    assert shenzhen.rejected.empty
    assert dict(chexpert.samples["split"].value_counts()) == {
        split: phantom.images[split] for split in ("train", "valid", "test")
    }
    assert shenzhen.samples[["sex", "age"]].notna().all(axis=None)


def test_one_and_two_processes_draw_the_same_bytes(
    phantom: PhantomSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "_WORTH_PROCESSES", 0)
    make_phantom(tmp_path / "two", chexpert_patients=PATIENTS, shenzhen_images=CASES, seed=3, workers=2)
    assert tree(tmp_path / "two") == tree(phantom.out)


def test_a_smaller_phantom_is_the_beginning_of_a_larger_one(phantom: PhantomSummary, tmp_path: Path) -> None:
    smaller = make_phantom(tmp_path, chexpert_patients=4, shenzhen_images=3, seed=3)
    small, large = tree(tmp_path), tree(phantom.out)
    images = {path: digest for path, digest in small.items() if not path.endswith((".csv", ".json"))}
    assert images.items() <= large.items()
    for name in ("train.csv", "valid.csv"):
        assert smaller.chexpert is not None
        assert phantom.chexpert is not None
        assert (phantom.chexpert / name).read_bytes().startswith((smaller.chexpert / name).read_bytes())


def test_another_seed_draws_other_patients(phantom: PhantomSummary, tmp_path: Path) -> None:
    make_phantom(tmp_path, chexpert_patients=1, shenzhen_images=1, seed=4)
    pictures = {digest for path, digest in tree(tmp_path).items() if path.endswith((".jpg", ".png"))}
    assert not pictures & set(tree(phantom.out).values())


def test_a_phantom_with_files_missing_is_completed_to_the_same_bytes(phantom: PhantomSummary, tmp_path: Path) -> None:
    first = make_phantom(tmp_path, chexpert_patients=3, shenzhen_images=4, seed=3)
    whole = tree(tmp_path)
    assert first.chexpert is not None
    lost = [*sorted(tmp_path.rglob("*.jpg"))[::2], *sorted(tmp_path.rglob("*.png"))[1:]]
    for path in (*lost, first.chexpert / "train.csv", *tmp_path.rglob("*.txt")):
        path.unlink()
    (lost[0].parent / ".view1_frontal.jpg.0123456789abcdef.tmp").write_bytes(b"half")
    again = make_phantom(tmp_path, chexpert_patients=3, shenzhen_images=4, seed=3)
    assert tree(tmp_path) == whole
    assert (again.drawn, again.images) == (len(lost), first.images)


def test_a_killed_command_is_finished_by_running_it_again(phantom: PhantomSummary, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ingest.cli.main", "make-phantom", str(tmp_path / "out"), "--seed", "3"]
    command += ["--chexpert-patients", str(PATIENTS), "--shenzhen-images", str(CASES)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while process.poll() is None and len(list(tmp_path.rglob("*.jpg"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(tmp_path.rglob("*.csv")), "the kill came too late to mean anything"
    subprocess.run(command, check=True, capture_output=True)
    assert tree(tmp_path / "out") == tree(phantom.out)


def test_the_full_size_is_the_full_releases(tmp_path: Path) -> None:
    summary = make_phantom(tmp_path, chexpert_patients=1, shenzhen_images=1, full_size=True)
    assert summary.chexpert == tmp_path / "CheXpert-v1.0"
    assert rows_of(tmp_path / "CheXpert-v1.0" / "train.csv")[0]["Path"].startswith("CheXpert-v1.0/train/")
    for path in tmp_path.rglob("*.jpg"):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        assert min(image.shape) == 2320
    (png,) = tmp_path.rglob("*.png")
    with Image.open(png) as picture:
        assert max(picture.size) == 3000


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 4}, "seed 3 there, 4 asked for"),
        ({"chexpert_patients": 10}, "chexpert_patients 9 there, 10 asked for"),
        ({"full_size": True}, "full_size False there, True asked for"),
    ],
)
def test_another_phantom_in_the_folder_is_refused_and_left_alone(
    phantom: PhantomSummary, changed: dict[str, int], said: str
) -> None:
    before = tree(phantom.out)
    same = {"chexpert_patients": PATIENTS, "shenzhen_images": CASES, "seed": 3}
    with pytest.raises(DatasetError, match=said):
        make_phantom(phantom.out, **{**same, **changed})  # type: ignore[arg-type]
    assert tree(phantom.out) == before


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DatasetError, match="not an empty folder"):
        make_phantom(tmp_path, chexpert_patients=1, shenzhen_images=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_record_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "phantom.json").write_text(content)
    with pytest.raises(DatasetError, match="no phantom's record"):
        make_phantom(tmp_path, chexpert_patients=1, shenzhen_images=0)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file/below: Not a directory"):
        make_phantom(tmp_path / "file" / "below", chexpert_patients=1, shenzhen_images=0)


@pytest.mark.parametrize(("patients", "cases", "seed"), [(64_541, 0, 0), (0, 10_000, 0), (-1, 0, 0), (0, 0, -1)])
def test_more_than_the_names_can_count_is_refused(tmp_path: Path, patients: int, cases: int, seed: int) -> None:
    with pytest.raises(DatasetError, match="at most 64540 patients and 9999 images"):
        make_phantom(tmp_path / "out", chexpert_patients=patients, shenzhen_images=cases, seed=seed)
    assert not (tmp_path / "out").exists()


def test_one_set_can_be_left_out(tmp_path: Path) -> None:
    summary = make_phantom(tmp_path, chexpert_patients=0, shenzhen_images=2)
    assert (summary.chexpert, summary.chexpert_test) == (None, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ChinaSet_AllFiles", "phantom.json"]


def test_valid_and_test_grow_with_train_up_to_chexperts_own_sizes() -> None:
    assert patients_of(0) == {"train": 0, "valid": 0, "test": 0}
    assert patients_of(1) == {"train": 1, "valid": 1, "test": 1}
    assert patients_of(600) == {"train": 600, "valid": 72, "test": 90}
    assert patients_of(64_540) == {"train": 64_540, "valid": 200, "test": 500}


def test_the_command_says_what_lies_where_and_refuses_with_status_1(tmp_path: Path) -> None:
    command = ["make-phantom", str(tmp_path), "--chexpert-patients", "1", "--shenzhen-images", "1"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    for name in ("CheXpert-v1.0-small", "CheXpert-test", "ChinaSet_AllFiles"):
        assert str(tmp_path / name) in done.output
    assert json.loads((tmp_path / "phantom.json").read_text())["seed"] == 0
    refused = CliRunner().invoke(main, [*command, "--seed", "1"])
    assert refused.exit_code == 1
    assert "seed 0 there, 1 asked for" in refused.output
