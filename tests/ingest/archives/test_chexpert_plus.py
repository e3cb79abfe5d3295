from pathlib import Path

import numpy as np
import pytest

from ingest.archives.chexpert import Chexpert
from ingest.archives.chexpert_labels import LABELS
from ingest.archives.chexpert_plus import ChexpertPlus
from shards.errors import DatasetError
from tests.ingest.archives.archives_made import plus_row, put, write_plus
from tests.ingest.archives.layouts import row, write_csv

ONE, TWO, THREE = (
    "train/patient40001/study5/view1_frontal.jpg",
    "train/patient40001/study5/view2_lateral.jpg",
    "valid/patient64541/study1/view1_frontal.jpg",
)
ROWS = [
    plus_row(ONE),
    plus_row(TWO, view=("Lateral", "LL")),
    plus_row(THREE, split="valid", age="0.0", sex="Unknown", view=("Frontal", "")),
]
GIVEN = {ONE: {"Edema": 1.0, "Fracture": -1.0}, THREE: {"No Finding": 0.0}}


@pytest.mark.parametrize("images", ["PNG", "PNG/PNG", "DICOM/Uncompressed", "DICOM"])
def test_rows_with_reports_take_their_labels_from_json_and_their_images_from_either_format(
    tmp_path: Path, images: str
) -> None:
    reader = ChexpertPlus(write_plus(tmp_path / "plus", ROWS, GIVEN, images).parent)
    found = reader.read()
    assert found.rejected.empty
    samples = found.samples
    assert samples["where"].str.extract(r"line (\d+)$")[0].tolist() == ["2", "11", "20"]
    assert samples["split"].tolist() == ["train", "train", "valid"]
    assert samples["projection"].tolist() == ["frontal", "lateral", "frontal"]
    assert samples["ap_pa"].tolist() == ["AP", "LL", None]
    assert samples["sex"].tolist() == ["female", "female", None]
    np.testing.assert_array_equal(samples["age"], [61, 61, np.nan])
    assert [samples[list(LABELS)].iloc[n].dropna().to_dict() for n in range(3)] == [GIVEN[ONE], {}, GIVEN[THREE]]
    assert all((reader.roots["source"] / file).is_file() for file in samples["file"])
    assert samples["file"].iloc[0].startswith(f"{images}/train/")
    assert samples["source_path"].tolist() == [ONE, TWO, THREE]


def test_an_image_has_the_key_and_patient_that_it_has_in_chexpert(tmp_path: Path) -> None:
    plus = ChexpertPlus(write_plus(tmp_path / "plus", ROWS, GIVEN)).read().samples
    write_csv(tmp_path / "small" / "train.csv", [row(f"CheXpert-v1.0-small/{path}") for path in (ONE, TWO)])
    small = Chexpert(tmp_path / "small").read().samples
    for column in ("key", "patient_id", "study_id"):
        assert plus[column].tolist()[:2] == small[column].tolist()


def test_png_is_taken_where_both_formats_are_there(tmp_path: Path) -> None:
    write_plus(tmp_path, ROWS, GIVEN, "DICOM/Uncompressed")
    write_plus(tmp_path, ROWS, GIVEN, "PNG")
    assert set(ChexpertPlus(tmp_path).read().samples["file"].str[:4]) == {"PNG/"}


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        (["findings_fixed.json", "impression_fixed.json", "report_fixed.json"], "impression_fixed.json"),
        (["findings_fixed.json", "chexbert_labels/report_fixed.json"], "report_fixed.json"),
        (["CheXpert_Labels/findings_fixed.json"], "findings_fixed.json"),
        (["impression.json"], "impression.json"),
    ],
)
def test_labels_of_the_impression_are_taken_first_wherever_they_lie(
    tmp_path: Path, files: list[str], taken: str
) -> None:
    for name in files:
        write_plus(tmp_path, ROWS, GIVEN, label_file=name)
    assert list(ChexpertPlus(tmp_path).fingerprint()) == ["df_chexpert_plus_240401.csv", taken]


def test_without_a_label_file_it_says_what_to_do(tmp_path: Path) -> None:
    write_plus(tmp_path, ROWS, {})
    (tmp_path / "impression_fixed.json").unlink()
    with pytest.raises(DatasetError, match=r"impression_fixed\.json .* empty file"):
        ChexpertPlus(tmp_path)
    put(tmp_path / "impression_fixed.json", b"")
    assert ChexpertPlus(tmp_path).read().samples[list(LABELS)].isna().all(axis=None)


def test_bad_rows_and_bad_lines_of_labels_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = "train/patient4000{}/study1/view1_frontal.jpg"
    rows = [
        *ROWS,
        plus_row(path.format(2), patient="patient50000"),
        plus_row(path.format(3), split="holdout"),
        plus_row("train/../../patient40004/study1/view1_frontal.jpg"),
        plus_row(path.format(5)),
        plus_row(path.format(6)),
        plus_row(path.format(6), age="12"),
    ]
    write_plus(tmp_path, rows, {**GIVEN, path.format(5): {"Edema": 3.0}})
    with (tmp_path / "impression_fixed.json").open("ab") as file:
        file.write(b'{"path_to_image": "x"\n[1, 2]\n\xff\n{"Edema": 1.0}\n\n{"path_to_image": 7}\n' + b"[" * 100_000)
    found = ChexpertPlus(tmp_path).read()
    assert found.samples["source_path"].tolist() == [ONE, TWO, THREE]
    assert found.rejected["reason"].tolist() == [
        *(
            f"malformed line: no JSON object with path_to_image (impression_fixed.json line {n})"
            for n in (4, 5, 6, 7, 9, 10)
        ),
        f"conflicting rows: '{path.format(2)}' is said to be of 'patient50000' (df_chexpert_plus_240401.csv line 29)",
        "no split: the table says 'holdout' (df_chexpert_plus_240401.csv line 38)",
        "path leaves the source: 'train/../../patient40004/study1/view1_frontal.jpg' "
        "(df_chexpert_plus_240401.csv line 47)",
        "label out of range: Edema is '3.0', not 1, 0, -1 or null, at impression_fixed.json line 3 "
        "(df_chexpert_plus_240401.csv line 56)",
        "conflicting rows: age is 61.0 here and 12.0 in df_chexpert_plus_240401.csv line 74 "
        "(df_chexpert_plus_240401.csv line 65)",
        "conflicting rows: age is 12.0 here and 61.0 in df_chexpert_plus_240401.csv line 65 "
        "(df_chexpert_plus_240401.csv line 74)",
    ]


def test_nan_whole_numbers_and_booleans_in_json_are_labels_and_words_are_not(tmp_path: Path) -> None:
    write_plus(tmp_path, ROWS, {})
    lines = [
        f'"path_to_image": "{ONE}", "Edema": NaN, "Fracture": -1, "Pneumonia": true, "Atelectasis": false',
        f'"path_to_image": "{TWO}", "Edema": "yes", "Fracture": true',
    ]
    put(tmp_path / "impression_fixed.json", "\n".join(f"{{{line}}}" for line in lines).encode())
    found = ChexpertPlus(tmp_path).read()
    assert found.samples["source_path"].tolist() == [ONE, THREE]
    assert found.samples[list(LABELS)].iloc[0].dropna().to_dict() == {
        "Fracture": -1.0,
        "Pneumonia": 1.0,
        "Atelectasis": 0.0,
    }
    assert "Edema is 'yes'" in found.rejected["reason"].iloc[0]
