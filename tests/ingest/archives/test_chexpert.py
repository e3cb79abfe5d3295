import shutil
from pathlib import Path

import numpy as np
import pytest

from ingest.archives.chexpert import LABELS, Chexpert
from ingest.archives.source import SourceRows
from ingest.build.header import Options
from ingest.build.plan import place
from shards.errors import DatasetError
from tests.ingest.archives.layouts import HEADER, jpeg, row, write_chexpert, write_csv

ONE = "train/patient00001/study1/view1_frontal.jpg"


def read_one(tmp_path: Path, *rows: list[str]) -> Chexpert:
    write_csv(tmp_path / "train.csv", rows)
    return Chexpert(tmp_path)


def test_labels_stay_exactly_as_the_source_says(tmp_path: Path) -> None:
    values = ["1.0", "0.0", "-1.0", "", "1", "0", "-1", " 1.0 ", "0", "", "", "1", "-1.0", ""]
    samples = read_one(tmp_path, row(ONE, values)).read().samples
    expected = [1, 0, -1, np.nan, 1, 0, -1, 1, 0, np.nan, np.nan, 1, -1, np.nan]
    np.testing.assert_array_equal(samples[list(LABELS)].to_numpy()[0], np.array(expected, dtype=np.float32))


@pytest.mark.parametrize("prefix", ["CheXpert-v1.0/", "CheXpert-v1.0-small/", ""])
@pytest.mark.parametrize("depth", ["itself", "parent"])
def test_every_prefix_gives_the_same_keys_from_the_folder_or_its_parent(
    tmp_path: Path, prefix: str, depth: str
) -> None:
    folder = tmp_path / "some-folder"
    paths = write_chexpert(folder, prefix=prefix)
    reader = Chexpert(folder if depth == "itself" else tmp_path)
    samples = reader.read().samples
    assert samples["source_path"].tolist() == paths
    assert samples["key"].tolist() == ["_".join(path[:-4].split("/")[1:]) for path in paths]
    assert all((reader.roots["source"] / file).is_file() for file in samples["file"])


def test_images_may_lie_in_a_folder_of_the_release_beside_the_tables(tmp_path: Path) -> None:
    write_chexpert(tmp_path, prefix="CheXpert-v1.0/")
    (tmp_path / "CheXpert-v1.0").mkdir()
    for split in ("train", "valid"):
        shutil.move(tmp_path / split, tmp_path / "CheXpert-v1.0" / split)
    reader = Chexpert(tmp_path)
    samples = reader.read().samples
    assert samples["source_path"].str.startswith(("train/", "valid/")).all()
    assert all((reader.roots["source"] / file).is_file() for file in samples["file"])


@pytest.mark.parametrize(
    ("demographics", "expected"),
    [
        (("Male", "63", "Frontal", "AP"), ("frontal", "AP", "male", 63.0)),
        (("Female", "0", "Frontal", "PA"), ("frontal", "PA", "female", 0.0)),
        (("Female", "90", "Lateral", ""), ("lateral", None, "female", 90.0)),
        (("Male", "5", "Frontal", "LL"), ("frontal", "LL", "male", 5.0)),
        (("Male", "5", "Frontal", "RL"), ("frontal", "RL", "male", 5.0)),
        (("Unknown", "0", "Frontal", "AP"), ("frontal", "AP", None, None)),
        (("", "", "", ""), ("frontal", None, None, None)),
        (("?", "old", "Oblique", "XX"), ("frontal", None, None, None)),
        (("Male", "-3", "Frontal", "AP"), ("frontal", "AP", "male", None)),
    ],
)
def test_projection_sex_and_age_are_read_and_unknown_ones_are_null(
    tmp_path: Path, demographics: tuple[str, ...], expected: tuple[object, ...]
) -> None:
    sample = read_one(tmp_path, row(ONE, demographics=demographics)).read().samples.iloc[0]
    found = sample[["projection", "ap_pa", "sex", "age"]].astype(object)
    assert tuple(found.where(found.notna(), None)) == expected


def test_patient_and_study_come_from_the_path(tmp_path: Path) -> None:
    sample = read_one(tmp_path, row(f"CheXpert-v1.0/{ONE}")).read().samples.iloc[0]
    assert (sample["patient_id"], sample["study_id"], sample["split"]) == ("patient00001", "study1", "train")


@pytest.mark.parametrize("value", ["2", "0.5", "yes", "n", "inf", "-1.5"])
def test_a_label_out_of_range_rejects_its_row_and_no_other(tmp_path: Path, value: str) -> None:
    good = ONE.replace("00001", "00002")
    found = read_one(tmp_path, row(ONE, ["1.0", value]), row(good)).read()
    assert found.samples["source_path"].tolist() == [good]
    kind, detail, where = "label out of range", f"{LABELS[1]} is '{value}', not 1, 0, -1 or blank", "train.csv line 2"
    assert list(found.rejected.columns) == ["path", "reason", "kind", "detail", "where"]
    assert found.rejected.values.tolist() == [[ONE, f"{kind}: {detail} ({where})", kind, detail, where]]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("train/../../secret/study1/view1.jpg", "path leaves the source"),
        ("/etc/patient1/study1/view1.jpg", "path leaves the source"),
        ("C:/data/patient1/study1/view1.jpg", "path leaves the source"),
        ("train\\patient1\\study1\\view1.jpg", "unusable path"),
        ("train/patient1/view1.jpg.exe", "unusable path"),
        ("train/patient1/view1.jpg", "unusable path"),
        ("view1.jpg", "unusable path"),
        ("", "unusable path"),
        ("train/patient1/study.1/view1.jpg", "unusable name"),
        ("train/patient1/study1/view 1.jpg", "unusable name"),
        ("train//patient1/study1/view1.jpg", "unusable path"),
        ("./train/patient1/study1/view1.jpg", "unusable path"),
        ("tr\0ain/patient1/study1/view1.jpg", "unusable path"),
        (f"train/patient1/study1/{'v' * 90}.jpg", "unusable name"),
    ],
)
def test_a_path_that_cannot_be_used_is_rejected_with_its_line(tmp_path: Path, path: str, kind: str) -> None:
    found = read_one(tmp_path, row(ONE), row(path)).read()
    assert len(found.samples) == 1
    assert found.rejected["reason"].str.startswith(f"{kind}:").tolist() == [True]
    assert found.rejected["reason"].str.endswith("(train.csv line 3)").all()


def test_a_repeated_row_is_rejected_and_names_the_first(tmp_path: Path) -> None:
    other = "other/" + ONE.partition("/")[2]
    found = read_one(tmp_path, row(ONE, ["1"]), row(other, ["0"]), row(ONE, ["1"])).read()
    assert found.samples[LABELS[0]].tolist() == [1.0]
    key = "patient00001_study1_view1_frontal"
    assert found.rejected[["path", "reason"]].values.tolist() == [
        [other, f"duplicate key: {key} is already made by train.csv line 2 (train.csv line 3)"],
        [ONE, f"duplicate key: {key} is already made by train.csv line 2 (train.csv line 4)"],
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_rows_of_one_image_that_contradict_each_other_are_all_rejected(tmp_path: Path, order: int) -> None:
    rows = [row(ONE, ["1"]), row(ONE, ["1"]), row(ONE, ["0"]), row(ONE.replace("00001", "00002"))]
    found = read_one(tmp_path, *rows[::order]).read()
    assert found.samples["patient_id"].tolist() == ["patient00002"]
    assert found.rejected["path"].tolist() == [ONE] * 3
    here, there = ("1.0", "0.0") if order == 1 else ("0.0", "1.0")
    lines = (2, 3, 4) if order == 1 else (3, 4, 5)
    assert found.rejected["reason"].iloc[0] == (
        f"conflicting rows: {LABELS[0]} is {here} here and {there} in train.csv line {lines[2 if order == 1 else 1]} "
        f"(train.csv line {lines[0]})"
    )


def test_one_image_in_two_official_splits_is_in_neither(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", [row(ONE), row(ONE.replace("00001", "00002"))])
    write_csv(tmp_path / "valid.csv", [row(ONE)])
    found = Chexpert(tmp_path).read()
    assert found.samples["patient_id"].tolist() == ["patient00002"]
    assert found.rejected["reason"].tolist() == [
        "conflicting rows: source_split is train here and valid in valid.csv line 2 (train.csv line 2)",
        "conflicting rows: source_split is valid here and train in train.csv line 2 (valid.csv line 2)",
    ]


def test_a_patient_in_two_splits_is_an_error_that_names_both_rows(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", [row(ONE.replace("00001", "00007")), row(ONE)])
    write_csv(tmp_path / "valid.csv", [row("valid/patient00001/study2/view1_frontal.jpg")])
    reader = Chexpert(tmp_path)
    with pytest.raises(DatasetError, match=r"patient00001 .*train\.csv line 3.*valid\.csv line 2"):
        place(reader.read().samples, reader, Options("chexpert", 320, 10, 0, 0.0, 0.0))


@pytest.mark.parametrize("column", ["AP/PA", "Path", "Sex"])
def test_a_missing_column_is_an_error_for_the_whole_table(tmp_path: Path, column: str) -> None:
    place_ = HEADER.index(column)
    lines = [[cell for i, cell in enumerate(row(ONE)) if i != place_]]
    write_csv(tmp_path / "train.csv", lines, [name for name in HEADER if name != column])
    with pytest.raises(DatasetError, match=f"no column '{column}'"):
        Chexpert(tmp_path).read()


class TestReleasedTestSet:
    """Its table has neither demographics nor a prefix; CheXlocalize ships it as CheXpert/test_labels.csv."""

    @pytest.mark.parametrize("layout", ["", "CheXpert"])
    def test_image_labels_without_demographics_are_the_test_split(self, tmp_path: Path, layout: str) -> None:
        write_chexpert(tmp_path / "train-release")
        release = tmp_path / "chexlocalize" / layout
        names = ("Path", *reversed(LABELS))
        paths = [f"test/patient64741/study1/view{view}.jpg" for view in ("1_frontal", "2_lateral")]
        write_csv(release / "test_labels.csv", [[path, "1", *["0"] * 13] for path in paths], names)
        reader = Chexpert(tmp_path / "train-release", tmp_path / "chexlocalize")
        test = reader.read().samples.query("split == 'test'")
        assert test["projection"].tolist() == ["frontal", "lateral"]
        assert test[["sex", "age", "ap_pa"]].isna().all(axis=None)
        assert test["Support Devices"].tolist() == [1.0, 1.0]
        assert test["No Finding"].tolist() == [0.0, 0.0]
        assert test["root"].unique().tolist() == ["test"]
        assert reader.roots["test"] == release

    def test_study_labels_go_to_every_image_of_the_study(self, tmp_path: Path) -> None:
        write_chexpert(tmp_path / "train-release")
        release = tmp_path / "release"
        studies = [f"CheXpert-v1.0/test/patient{number}/study1" for number in (64741, 64742, 64743)]
        write_csv(release / "groundtruth.csv", [[study, *["0"] * 14] for study in studies], ("Study", *LABELS))
        for path in (
            "64741/study1/view1_frontal.jpg",
            "64741/study1/view2_lateral.jpg",
            "64742/study1/view1_frontal.jpg",
        ):
            file = release / "test" / f"patient{path}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(jpeg(1, 40, 30))
        test = Chexpert(tmp_path / "train-release", release).read().samples.query("split == 'test'")
        # The third study has no image: its row stays, and is rejected as missing when it is filled.
        assert test["patient_id"].tolist() == ["patient64741", "patient64741", "patient64742", "patient64743"]
        assert [(release / file).is_file() for file in test["file"]] == [True, True, True, False]

    def test_a_folder_that_is_no_test_release_is_refused(self, tmp_path: Path) -> None:
        write_chexpert(tmp_path / "train-release")
        (tmp_path / "empty").mkdir()
        with pytest.raises(DatasetError, match=r"test_labels\.csv"):
            Chexpert(tmp_path / "train-release", tmp_path / "empty")


def test_a_folder_without_train_csv_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no train\.csv"):
        Chexpert(tmp_path)


def test_two_releases_side_by_side_are_not_chosen_between(tmp_path: Path) -> None:
    for release in ("CheXpert-v1.0", "CheXpert-v1.0-small"):
        write_csv(tmp_path / release / "train.csv", [row(ONE)])
    with pytest.raises(DatasetError, match=r"CheXpert-v1\.0, CheXpert-v1\.0-small"):
        Chexpert(tmp_path)


@pytest.mark.parametrize(
    ("path", "kind", "detail"),
    [
        (f"./{ONE}", "unusable path", "has a part that is only a dot"),
        ("train/./patient00001/study1/view1.jpg", "unusable path", "has a part that is only a dot"),
        ("train//patient00001/study1/view1.jpg", "unusable path", "has an empty part (//, or / at its end)"),
        (f"{ONE}/", "unusable path", "has an empty part (//, or / at its end)"),
        (ONE.replace("/", "\\"), "unusable path", "has a backslash, where a path of this table has /"),
        (f"..\\{ONE}", "path leaves the source", ""),
        (f"C:\\{ONE}", "path leaves the source", ""),
        (f"train/../../{ONE}", "path leaves the source", ""),
        (f"/{ONE}", "path leaves the source", ""),
        ("", "unusable path", "is blank"),
        ("train/patient1\t/study1/view1.jpg", "unusable path", "has control characters"),
        ("train/patient1/view1.jpg", "unusable path", "is not .../patient/study/image.jpg"),
    ],
)
def test_the_reason_names_what_is_wrong_with_a_path(tmp_path: Path, path: str, kind: str, detail: str) -> None:
    rejected = read_one(tmp_path, row(ONE.replace("00001", "00009")), row(path)).read().rejected.iloc[0]
    assert rejected["kind"] == kind
    assert rejected["detail"].endswith(f"' {detail}".rstrip())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((blank, np.nan) for blank in ("nan", "NaN", "NULL", "null", "<NA>", "#N/A", "  ")),
        *(("True", 1.0), ("TRUE", 1.0), ("false", 0.0), ("1.00", 1.0), ("-1.000", -1.0), ("0.00", 0.0), ("1e0", 1.0)),
    ],
)
def test_labels_are_read_as_programs_write_them(tmp_path: Path, text: str, value: float) -> None:
    found = read_one(tmp_path, row(ONE, [text, "1"])).read()
    assert found.rejected.empty
    np.testing.assert_array_equal(found.samples[LABELS[0]].to_numpy(), np.array([value], dtype=np.float32))


FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")


def test_a_table_may_have_the_five_labels_of_the_competition(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "train.csv", [[ONE, "Male", "50", "Frontal", "AP", "1", "0", "-1", "", "1"]], HEADER[:5] + FIVE
    )
    write_csv(tmp_path / "valid.csv", [row(ONE.replace("00001", "00002"), ["1"])])
    reader = Chexpert(tmp_path)
    assert reader.label_names == LABELS  # valid.csv has them all
    (tmp_path / "valid.csv").unlink()
    reader = Chexpert(tmp_path)
    assert reader.label_names == tuple(label for label in LABELS if label in FIVE)
    sample = reader.read().samples.iloc[0]
    values = {"Atelectasis": 1, "Cardiomegaly": 0, "Consolidation": -1, "Pleural Effusion": 1}
    assert sample[[*values]].to_dict() == values
    assert np.isnan(sample["Edema"])


def test_a_table_without_any_label_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", [[ONE, "Male", "50", "Frontal", "AP"]], HEADER[:5])
    with pytest.raises(DatasetError, match=r"no column of labels; one of them is 'No Finding'"):
        Chexpert(tmp_path)


def test_a_table_is_read_with_an_index_unnamed_columns_comments_and_a_report_of_many_lines(tmp_path: Path) -> None:
    two, three = ONE.replace("00001", "00002"), ONE.replace("00001", "00003")
    header = ["", *HEADER, "Report", ""]
    lines = [["0", *row(ONE, ["1"]), "one\nline, and\n\nanother", ""], ["1", *row(two, ["0"]), "short", ""]]
    write_csv(
        tmp_path / "train.csv", [*lines, ["2", *row(three, ["-1"]), 'said ""so""\r\n# not a comment', ""]], header
    )
    text = (tmp_path / "train.csv").read_text()
    (tmp_path / "train.csv").write_text("# exported on Monday, by hand\n\n" + text + "# the end\n")
    found = read_again(tmp_path)
    assert found.rejected.empty
    assert found.samples["source_path"].tolist() == [ONE, two, three]
    assert found.samples[LABELS[0]].tolist() == [1, 0, -1]
    assert found.samples["where"].tolist() == ["train.csv line 4", "train.csv line 8", "train.csv line 9"]


def read_again(folder: Path) -> SourceRows:
    return Chexpert(folder).read()
