"""Your own radiographs: a table with any columns, a folder of images, a reader of your own."""

import csv
import gzip
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from ingest.cli.main import main
from shards.format.dataset import Dataset, open_dataset
from shards.format.verify import verify
from tests.ingest.archives.archives_made import put
from tests.ingest.archives.layouts import jpeg, picture, png
from tests.shards.images.test_dicom import dicom

ODD_NAMES = [
    "a_b/c.png",
    "a/b_c.png",
    "a_b_c.png",
    "Müller, Jörg/Aufnahme 1.jpg",
    "1.2.840.113619.2.176.3596.3364818.7819.1259708454.105",
    "[scan] #7 (copy).png",
    "no suffix",
    "x" * 120 + ".png",
    "x" * 121 + ".png",
    "same.png",
    "same.jpg",
    "plain-name_1.png",
]


def image(number: int, name: str) -> bytes:
    """JPEG, PNG or DICOM in turn: the name does not tell which."""
    if number % 3 == 0:
        return jpeg(number, 60, 70 + number)
    return png(number, 60, 70 + number) if number % 3 == 1 else dicom(picture(number, 60, 70 + number))


def write_images(folder: Path, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        put(folder / name, image(number, name))


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def build(source: Path, out: Path, *words: str) -> Result:
    command = ["build-shards", str(source), str(out), "--workers", "1", "--short-side", "48"]
    return CliRunner().invoke(main, [*command, *words])


def built(source: Path, out: Path, *words: str) -> Dataset:
    result = build(source, out, *words)
    assert result.exit_code == 0, result.output
    assert verify(out, decode=True) == []
    return open_dataset(out)


def test_a_table_of_your_own_is_read_by_its_columns(tmp_path: Path) -> None:
    names = [f"img/{number}.x" for number in range(6)]
    write_images(tmp_path / "hospital-7", names)
    header = ["file", "PID", "exam", "part", "view", "gender", "years", "Edema", "Mass, solid", "report"]
    rows = [
        [names[0], "123.0", "e1", "training", "PA", "F", "58", "1.0", "0", "line one\nline two"],
        ["./" + names[1], "123.0", "e1", "train", "LL", "female", "058Y", "True", "nan", ""],
        [str(tmp_path / "hospital-7" / names[2]), "124.0", "", "val", "AP", "M", "", "-1", "NULL", 'a "quote"'],
        [names[3], "125.0", "e4", "Test", "", "", "", "1.00", "False", ""],
        [names[4], "126.0", "e5", "somewhere", "PA", "M", "5", "1", "1", ""],
        [names[5], "", "e6", "train", "PA", "M", "5", "1", "1", ""],
    ]
    table = write_table(tmp_path / "labels.csv", header, rows)
    (tmp_path / "columns.yaml").write_text(
        "table: labels.csv\npath_column: file\npatient-column: PID\nstudy_column: exam\nsplit_column: part\n"
        'projection_column: view\nsex_column: wrong\nage_column: years\nlabel_columns: ["Edema", "Mass, solid"]\n'
    )
    words = ["--dataset", "table", "--mapping", str(tmp_path / "columns.yaml"), "--sex-column", "gender"]
    dataset = built(tmp_path / "hospital-7", tmp_path / "out", *words, "--max-rejected", "0.5")
    samples = dataset.samples.sort_values("source_path").reset_index(drop=True)
    assert samples["patient_id"].tolist() == ["123", "123", "124", "125"]
    assert samples["study_id"].fillna("-").tolist() == ["e1", "e1", "-", "e4"]
    assert samples["split"].tolist() == ["train", "train", "valid", "test"]
    assert samples["projection"].fillna("-").tolist() == ["frontal", "lateral", "frontal", "-"]
    assert samples["sex"].fillna("-").tolist() == ["female", "female", "male", "-"]
    np.testing.assert_array_equal(samples["age"], np.array([58, 58, np.nan, np.nan], dtype=np.float32))
    np.testing.assert_array_equal(samples["Edema"], np.array([1, 1, -1, 1], dtype=np.float32))
    np.testing.assert_array_equal(samples["Mass, solid"], np.array([0, np.nan, np.nan, 0], dtype=np.float32))
    assert (dataset.name, dataset.variant) == ("hospital-7", "table")
    assert dataset.description.licence.startswith("not known")
    rejected = (tmp_path / "out" / "rejected.csv").read_text()
    assert "no split: the table says 'somewhere', not train, valid or test" in rejected
    assert "no patient: the column PID is blank" in rejected
    shutil.copy(table, tmp_path / "zipped")
    (tmp_path / "labels.csv").write_bytes(gzip.compress((tmp_path / "zipped").read_bytes()))
    again = built(tmp_path / "hospital-7", tmp_path / "out2", *words, "--max-rejected", "0.5")
    assert again.samples.equals(dataset.samples)


def test_a_typed_table_says_the_same_as_its_text(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(4)]
    write_images(tmp_path / "mine", names)
    frame = pd.DataFrame(
        {
            "path": names,
            "patient": pd.array([7, None, 8, 9], dtype="Int64"),
            "sex": pd.Categorical(["M", None, "F", "M"]),
            "age": [50.0, np.nan, 4.5, 70.0],
            "A": [1.0, 0.0, np.nan, -1.0],
            "B": pd.array([True, False, None, True], dtype="boolean"),
            "C": pd.Series([1, None, "0", "1.0"], dtype="str"),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    columns = ["--patient-column", "patient", "--sex-column", "sex", "--age-column", "age", "--label-columns", "A,B,C"]
    words = ["--dataset", "table", "--table", str(tmp_path / "t.parquet"), *columns, "--max-rejected", "0.3"]
    fractions = ["--valid-fraction", "0", "--test-fraction", "0"]
    samples = built(tmp_path / "mine", tmp_path / "out", *words, *fractions).samples.sort_values("source_path")
    assert samples["patient_id"].tolist() == ["7", "8", "9"]
    assert samples["sex"].tolist() == ["male", "female", "male"]
    np.testing.assert_array_equal(
        samples[["age", "A", "B", "C"]], np.array([[50, 1, 1, 1], [4.5, np.nan, np.nan, 0], [70, -1, 1, 1]])
    )
    assert "no patient: the column patient is blank (t.parquet row 2)" in (tmp_path / "out/rejected.csv").read_text()


def test_without_a_patient_column_each_image_is_its_own_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_images(tmp_path / "mine", ["1.png", "2.png", "3.png"])
    table = write_table(tmp_path / "mine" / "t.csv", ["path", "A"], [["1", "1"], ["2", "0"], ["3", ""]])
    words = ["--dataset", "table", "--table", str(table), "--label-columns", "A", "--test-fraction", "0"]
    samples = built(tmp_path / "mine", tmp_path / "out", *words).samples
    assert samples["patient_id"].nunique() == 3
    assert sorted(samples["key"]) == ["1", "2", "3"]  # the suffix that the table leaves out is found
    assert "each image counts as a patient of its own" in caplog.text


def test_words_that_are_not_understood_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_images(tmp_path / "mine", [f"{number}.png" for number in range(4)])
    cells = [("0", "W", "58,5", "PA"), ("1", "W", "", "oblique"), ("2", "M", "131", "swimmers"), ("3", "u", "7", "")]
    table = write_table(tmp_path / "t.csv", ["path", "S", "Y", "V", "A"], [[*cell, "1"] for cell in cells])
    words = ["--dataset", "table", "--table", str(table), "--label-columns", "A", "--test-fraction", "0"]
    columns = ["--sex-column", "S", "--age-column", "Y", "--projection-column", "V"]
    samples = built(tmp_path / "mine", tmp_path / "out", *words, *columns).samples.sort_values("source_path")
    assert samples["sex"].fillna("-").tolist() == ["-", "-", "male", "-"]
    for said in (
        "Column S: 2 different values are not understood and count as unknown, such as 'W', 'u'.",
        "Column Y: 2 different values are not understood and count as unknown, such as '58,5', '131'.",
        "Column V: 2 different values are not understood and count as unknown, such as 'oblique', 'swimmers'.",
    ):
        assert said in caplog.text


@pytest.mark.parametrize("dataset", ["table", "folder"])
def test_odd_names_have_keys_of_their_own_and_no_suffix_is_needed(tmp_path: Path, dataset: str) -> None:
    write_images(tmp_path / "mine", ODD_NAMES)
    words = ["--dataset", dataset]
    if dataset == "table":
        table = write_table(tmp_path / "t.csv", ["path", "A"], [[name, "1"] for name in ODD_NAMES])
        words += ["--table", str(table), "--label-columns", "A"]
    samples = built(tmp_path / "mine", tmp_path / "out", *words).samples
    assert sorted(samples["source_path"]) == sorted(ODD_NAMES)
    assert samples["key"].is_unique
    keys = samples.set_index("source_path")["key"]
    assert keys["plain-name_1.png"] == "plain-name_1"
    assert keys["a_b_c.png"] == "a_b_c"
    assert keys["a_b/c.png"].startswith("a_b_c--")
    (tmp_path / "salt").write_bytes(bytes(range(40)))
    hashed = built(tmp_path / "mine", tmp_path / "hashed", *words, "--hash-identifiers", str(tmp_path / "salt"))
    assert hashed.samples["key"].is_unique
    assert len(hashed.samples) == len(ODD_NAMES)
    assert "Müller" not in (tmp_path / "hashed" / "dataset.json").read_text()


def test_a_key_depends_on_the_path_alone(tmp_path: Path) -> None:
    write_images(tmp_path / "few", ODD_NAMES[:4])
    write_images(tmp_path / "more", ODD_NAMES[:7])
    words = ["--dataset", "folder", "--name", "mine"]
    few = built(tmp_path / "few", tmp_path / "out1", *words).samples.set_index("source_path")["key"]
    more = built(tmp_path / "more", tmp_path / "out2", *words).samples.set_index("source_path")["key"]
    assert more[few.index].equals(few)


@pytest.mark.parametrize(
    ("rule", "patients"),
    [
        ("parent", ["p1/s1", "p1/s2", "p2"]),
        ("stem", ["7_a", "7_b", "8_a"]),
        (r"^[^/]+", ["p1", "p1", "p2"]),
        (r"/(\d+)_", ["7", "7", "8"]),
        (r"(?P<other>p)(?P<patient>\d)", ["1", "1", "2"]),
    ],
)
def test_the_patient_of_an_image_in_a_folder(tmp_path: Path, rule: str, patients: list[str]) -> None:
    names = ["p1/s1/7_a.png", "p1/s2/7_b.png", "p2/8_a.png"]
    write_images(tmp_path / "mine", [*names, ".hidden.png", ".cache/1.png"])
    put(tmp_path / "mine" / "notes.txt", b"no image")
    samples = built(tmp_path / "mine", tmp_path / "out", "--dataset", "folder", "--patient-from", rule).samples
    assert samples.sort_values("source_path")["patient_id"].tolist() == patients
    assert samples["split"].unique().tolist() == ["train"]


def test_an_image_without_a_patient_is_rejected_by_name(tmp_path: Path) -> None:
    write_images(tmp_path / "mine", ["p1/1.png", "2.png"])
    words = ["--dataset", "folder", "--max-rejected", "0.5", "--patient-from"]
    assert len(built(tmp_path / "mine", tmp_path / "out", *words, "parent").samples) == 1
    assert "no patient: the image lies in SOURCE itself" in (tmp_path / "out" / "rejected.csv").read_text()
    assert len(built(tmp_path / "mine", tmp_path / "out2", *words, "p[0-9]").samples) == 1
    assert "the path does not match 'p[0-9]'" in (tmp_path / "out2" / "rejected.csv").read_text()


def test_files_of_a_folder_that_are_no_images_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_images(tmp_path / "mine", ["1.png", "2"])
    for name in ("empty.png", "notes.txt", "ü.pdf", "z.json"):
        (tmp_path / "mine" / name).write_bytes(b"" if name == "empty.png" else b"{}")
    assert len(built(tmp_path / "mine", tmp_path / "out", "--dataset", "folder").samples) == 2
    said = "4 files that are no JPEG, PNG or DICOM are left out, such as empty.png, notes.txt, z.json."
    assert said in caplog.text


def test_a_linked_loop_in_a_folder_ends(tmp_path: Path) -> None:
    write_images(tmp_path / "mine", ["p1/1.png"])
    (tmp_path / "mine" / "p1" / "up").symlink_to(tmp_path / "mine", target_is_directory=True)
    (tmp_path / "mine" / "above").symlink_to(tmp_path, target_is_directory=True)
    assert len(built(tmp_path / "mine", tmp_path / "out", "--dataset", "folder").samples) == 1


def test_a_reader_outside_this_project_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "mine", ["1.png", "2.png", "3.png"])
    (tmp_path / "my_readers.py").write_text(
        "from ingest.own.folder import OwnFolder\n\n\nclass Ours(OwnFolder):\n    variant = 'ours'\n"
        "    licence = 'ours alone'\n\n    def __init__(self, source, test_source=None):\n"
        "        super().__init__(source, 'stem')\n\n\nclass Half:\n    def __init__(self, source, test_source=None):\n"
        "        self.variant = 'half'\n"
    )
    monkeypatch.chdir(tmp_path)
    dataset = built(tmp_path / "mine", tmp_path / "out", "--dataset", "my_readers:Ours", "--name", "ours-1")
    assert (dataset.variant, dataset.name, dataset.description.licence) == ("ours", "ours-1", "ours alone")
    assert len(dataset.samples) == 3
    absent = build(tmp_path / "mine", tmp_path / "x", "--dataset", "my_readers:Other")
    assert "Start the command in the folder that holds my_readers" in absent.output
    assert (
        "has no licence, label_names" in build(tmp_path / "mine", tmp_path / "x", "--dataset", "my_readers:Half").output
    )


REFUSALS = [
    (["--dataset", "table", "--label-columns", "A"], "give --table FILE"),
    (["--dataset", "table", "--table", "t.csv"], "give --label-columns A,B,..."),
    (["--dataset", "table", "--table", "t.csv", "--label-columns", "A,"], "has an empty name"),
    (["--dataset", "table", "--table", "t.csv", "--label-columns", "A,A"], "A cannot be the name of a label"),
    (["--dataset", "table", "--table", "t.csv", "--label-columns", "age"], "age cannot be the name of a label"),
    (["--dataset", "table", "--table", "t.csv", "--label-columns", "B"], "no column 'B'; its header is: path, A, age"),
    (["--dataset", "table", "--table", "bad.csv", "--label-columns", "A"], "none of 2 images looked for is there"),
    (["--dataset", "table", "--mapping", "m.yaml"], "unknown keys paht_column"),
    (["--dataset", "table", "--mapping", "n.yaml"], "sex_column is 7: write the name of a column in quotes"),
    (["--dataset", "folder", "--table", "t.csv"], "--table goes with --dataset table, not folder"),
    (["--dataset", "chexpert", "--patient-from", "stem"], "--patient-from goes with --dataset folder, not chexpert"),
    (["--dataset", "folder", "--patient-from", "("], "is no regular expression"),
    (["--dataset", "folders"], "is not one of"),
]


@pytest.mark.parametrize(("words", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_options_that_cannot_be_meant_are_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "mine", ["1.png", "2.png"])
    write_table(tmp_path / "t.csv", ["path", "A", "age"], [["1.png", "1", "3"], ["2.png", "0", ""]])
    write_table(tmp_path / "bad.csv", ["path", "A"], [["x/1.png", "1"], ["x/2.png", "0"]])
    (tmp_path / "m.yaml").write_text("table: t.csv\npaht_column: path\n")
    (tmp_path / "n.yaml").write_text("table: t.csv\nsex_column: 7\nlabel_columns: A\n")
    result = build(Path("mine"), tmp_path / "out", *words)
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_a_folder_without_an_image_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "mine" / "x.png", b"not an image")
    assert (
        "no JPEG, PNG or DICOM file in it" in build(tmp_path / "mine", tmp_path / "out", "--dataset", "folder").output
    )


def test_a_folder_that_cannot_name_a_dataset_asks_for_a_name(tmp_path: Path) -> None:
    write_images(tmp_path / "my images", ["1.png"])
    result = build(tmp_path / "my images", tmp_path / "out", "--dataset", "folder")
    assert "give one by --name" in result.output
    assert built(tmp_path / "my images", tmp_path / "out", "--dataset", "folder", "--name", "mine").name == "mine"


def test_another_meaning_of_the_columns_is_another_build(tmp_path: Path) -> None:
    write_images(tmp_path / "mine", ["1.png", "2.png"])
    table = write_table(tmp_path / "t.csv", ["path", "A", "B"], [["1.png", "1", "0"], ["2.png", "0", "1"]])
    words = ["--dataset", "table", "--table", str(table), "--test-fraction", "0", "--label-columns"]
    built(tmp_path / "mine", tmp_path / "out", *words, "A")
    assert "nothing to do" in build(tmp_path / "mine", tmp_path / "out", *words, "A").output
    assert "finished dataset of something else" in build(tmp_path / "mine", tmp_path / "out", *words, "A,B").output


def test_deep_pngs_of_your_own_take_the_range_of_the_dataset(tmp_path: Path) -> None:
    for number in range(4):
        deep = (picture(number, 60, 70).astype(np.uint16) << 4) | 15
        put(tmp_path / "mine" / f"{number}.png", cv2.imencode(".png", deep)[1].tobytes())
    built(tmp_path / "mine", tmp_path / "out", "--dataset", "folder")
    assert json.loads((tmp_path / "out" / "dataset.json").read_bytes())["options"]["png_range"] == "12"
