import gzip
from pathlib import Path

import numpy as np
import pytest

from ingest.archives.padchest import LABELS, Padchest
from shards.errors import DatasetError
from tests.ingest.archives.archives_made import padchest_row, put, write_padchest

ROWS = [
    padchest_row("1001_00-001.png", "['pneumonia', 'unchanged', 'callus rib fracture']"),
    padchest_row("1002_00-002.png", "['normal']", patient="p2", projection="L", sex="M"),
    padchest_row("1003_00-003.png", "['normal', 'scoliosis']", patient="p2", projection="AP_horizontal", birth=""),
    padchest_row("1004_00-004.png", "", patient="p3", projection="EXCLUDE", folder="12", birth="1850"),
    padchest_row("1005_00-005.png", "['unchanged', 'Normal', ' normal ']", patient="p3", projection="COSTAL", sex=""),
]


@pytest.mark.parametrize("flat", [False, True])
def test_rows_with_reports_of_many_lines_are_read_and_images_found(tmp_path: Path, flat: bool) -> None:
    reader = Padchest(write_padchest(tmp_path / "padchest", ROWS, flat).parent)
    found = reader.read()
    assert found.rejected.empty
    samples = found.samples
    assert samples["key"].tolist() == [row[1][:-4] for row in ROWS]
    assert samples["where"].str.extract(r"line (\d+)$")[0].tolist() == ["2", "5", "8", "11", "14"]
    assert all((reader.roots["source"] / file).is_file() for file in samples["file"])
    assert samples["file"].iloc[3] == ("images/1004_00-004.png" if flat else "12/1004_00-004.png")
    assert samples["projection"].tolist() == ["frontal", "lateral", "frontal", None, None]
    assert samples["ap_pa"].tolist() == ["PA", None, "AP", None, None]
    assert samples["sex"].tolist() == ["female", "male", "female", "female", None]
    np.testing.assert_array_equal(samples["age"], [64, 64, np.nan, np.nan, 64])
    assert samples["study_id"].tolist() == [f"study-of-{patient}" for patient in ("p1", "p2", "p2", "p3", "p3")]


def test_what_is_listed_is_there_and_the_rest_is_missing_but_for_normal_reports(tmp_path: Path) -> None:
    samples = Padchest(write_padchest(tmp_path, ROWS)).read().samples
    labels = samples[list(LABELS)]
    assert labels.iloc[0].dropna().to_dict() == {"pneumonia": 1.0}
    assert labels.iloc[1].to_dict() == {label: float(label == "normal") for label in LABELS}
    assert labels.iloc[2].dropna().to_dict() == {"normal": 1.0, "scoliosis": 1.0}
    assert labels.iloc[3].isna().all()
    assert labels.iloc[4].to_dict() == labels.iloc[1].to_dict()


def test_a_gzipped_table_is_found_and_read(tmp_path: Path) -> None:
    write_padchest(tmp_path, ROWS)
    path = next(tmp_path.glob("*.csv"))
    put(tmp_path / f"{path.name}.gz", gzip.compress(path.read_bytes()))
    path.unlink()
    assert len(Padchest(tmp_path).read().samples) == len(ROWS)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (padchest_row("2001.png", "pneumonia"), "label out of range: 'pneumonia' is no list of terms"),
        (padchest_row("2001.png", "['pneumonia'] + [open('x')]"), "label out of range: "),
        (padchest_row("2001.png", "[]", patient=""), "no patient: PatientID is blank"),
        (padchest_row("2001.png", "[]", folder="../1"), "path leaves the source: '../1'"),
        (padchest_row("/etc/passwd.png", "[]"), "path leaves the source: '/etc/passwd.png'"),
        (padchest_row("1001_00-001.png", ROWS[0][14], patient="p9"), "conflicting rows: patient_id is p9 here and p1 "),
        (ROWS[0], "duplicate key: 1001_00-001 is already made by PADCHEST"),
    ],
)
def test_a_bad_row_is_named_and_the_rest_goes_on(tmp_path: Path, row: list[str], reason: str) -> None:
    found = Padchest(write_padchest(tmp_path, [*ROWS, row])).read()
    assert len(found.samples) == len(ROWS) - reason.startswith("conflicting")
    last = found.rejected["reason"].iloc[-1]
    assert last.startswith(reason)
    assert last.endswith("(PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv line 17)")


def test_images_that_are_nowhere_are_an_error_that_says_where_it_looked(tmp_path: Path) -> None:
    write_padchest(tmp_path, ROWS)
    for image in tmp_path.rglob("*.png"):
        image.unlink()
    with pytest.raises(DatasetError, match=r"3/1001_00-001\.png, images/3/1001.*Unpack the images"):
        Padchest(tmp_path).read()
