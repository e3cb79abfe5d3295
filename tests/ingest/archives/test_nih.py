from pathlib import Path

import numpy as np
import pytest

from ingest.archives.nih import FINDINGS, NO_FINDING, Nih
from ingest.build.header import Options
from ingest.build.plan import place
from shards.errors import DatasetError
from tests.ingest.archives.archives_made import NIH_HEADER, nih_row, put, write_nih
from tests.ingest.archives.layouts import png, write_csv

ROWS = [
    nih_row("00000001_000.png", "Cardiomegaly|Effusion"),
    nih_row("00000001_001.png", "No Finding", age="59", view="AP"),
    nih_row("00000002_000.png", "Hernia", age="011M", sex="F"),
    nih_row("00000013_004.png", "Pleural_Thickening", age="414", sex=""),
]


def test_the_official_lists_are_the_splits_and_every_image_is_found(tmp_path: Path) -> None:
    reader = Nih(write_nih(tmp_path / "nih", ROWS, test=["00000002_000.png"]).parent)
    found = reader.read()
    assert found.rejected.empty
    samples = found.samples.set_index("key")
    assert samples["split"].to_dict() == {
        "00000001_000": "train", "00000001_001": "train", "00000002_000": "test", "00000013_004": "train",
    }  # fmt: skip
    assert samples["source_split"].tolist() == ["train_val", "train_val", "test", "train_val"]
    assert samples["patient_id"].tolist() == ["00000001", "00000001", "00000002", "00000013"]
    assert samples["source_path"].tolist() == [row[0] for row in ROWS]
    assert samples["file"].iloc[1] == "images_002/images/00000001_001.png"
    assert all((reader.roots["source"] / file).is_file() for file in samples["file"])
    assert (reader.valid_fraction, reader.test_fraction) == (0.125, 0.0)


def test_a_finding_that_is_not_listed_is_absent(tmp_path: Path) -> None:
    samples = Nih(write_nih(tmp_path, ROWS)).read().samples
    labels = samples[[*FINDINGS, NO_FINDING]]
    assert labels.iloc[0].to_dict() == {
        name: float(name in ("Cardiomegaly", "Effusion")) for name in (*FINDINGS, NO_FINDING)
    }
    assert labels.iloc[1].to_dict() == {name: float(name == NO_FINDING) for name in (*FINDINGS, NO_FINDING)}
    assert labels.dtypes.eq("float32").all()


def test_ages_in_years_months_and_of_414_are_understood(tmp_path: Path) -> None:
    samples = Nih(write_nih(tmp_path, ROWS)).read().samples
    np.testing.assert_allclose(samples["age"], [58, 59, 11 / 12, np.nan], rtol=1e-6)
    assert samples["sex"].tolist() == ["male", "male", "female", None]
    assert samples["ap_pa"].tolist() == ["PA", "AP", "PA", "PA"]
    assert set(samples["projection"]) == {"frontal"}


def test_the_header_of_2020_and_its_other_word_for_sex_are_read(tmp_path: Path) -> None:
    write_nih(tmp_path, ROWS)
    (tmp_path / "Data_Entry_2017.csv").unlink()
    header = ["Patient Sex" if name == "Patient Gender" else name for name in NIH_HEADER[:-1]]
    write_csv(tmp_path / "Data_Entry_2017_v2020.csv", [row[:-1] for row in ROWS], header)
    assert Nih(tmp_path).read().samples["sex"].tolist() == ["male", "male", "female", None]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (nih_row("00000003_000.png", "Cardiomegaly|Fluid"), "label out of range: 'Fluid' is none of"),
        (nih_row("00000003_000.png", "No Finding|Mass"), "label out of range: 'No Finding|Mass' has a finding and"),
        (nih_row("../00000003_000.png", "Mass"), "path leaves the source: "),
        (nih_row("portrait.png", "Mass"), "unusable path: 'portrait.png' is not <patient>_<number>.png"),
        ([*nih_row("00000003_000.png", "Mass")[:3], "4", *nih_row("x_0", "")[4:]], "conflicting rows: '00000003_000.p"),
        (
            nih_row("00000002_000.png", "Mass"),
            "conflicting rows: sex is male here and female in Data_Entry_2017.csv line 4",
        ),
    ],
)
def test_a_bad_row_is_named_and_the_rest_goes_on(tmp_path: Path, row: list[str], reason: str) -> None:
    found = Nih(write_nih(tmp_path, [*ROWS, row])).read()
    assert len(found.samples) == len(ROWS) - (row[0] == "00000002_000.png")
    last = found.rejected["reason"].iloc[-1]
    assert last.startswith(reason)
    assert last.endswith("(Data_Entry_2017.csv line 6)")


def test_an_image_in_no_list_or_in_both_is_rejected(tmp_path: Path) -> None:
    write_nih(tmp_path, ROWS, test=["00000002_000.png"])
    (tmp_path / "train_val_list.txt").write_text("00000001_000.png\r\n00000002_000.png\n00000013_004.png")
    found = Nih(tmp_path).read()
    assert found.samples["key"].tolist() == ["00000001_000", "00000013_004"]
    assert found.rejected["reason"].str.partition(":")[0].tolist() == ["no split", "conflicting rows"]


def test_without_the_lists_patients_are_carved_as_in_the_paper_and_with_one_it_is_an_error(tmp_path: Path) -> None:
    write_nih(tmp_path, [nih_row(f"{number:08d}_000.png", "Mass") for number in range(1, 201)])
    (tmp_path / "test_list.txt").unlink()
    with pytest.raises(DatasetError, match=r"only one of train_val_list\.txt and test_list\.txt"):
        Nih(tmp_path)
    (tmp_path / "train_val_list.txt").unlink()
    reader = Nih(tmp_path)
    options = Options("nih", 32, 100, 0, reader.valid_fraction, reader.test_fraction)
    placed = place(reader.read().samples, reader, options)
    assert placed["split"].value_counts().to_dict() == {"train": 140, "test": 40, "valid": 20}


def test_images_may_lie_in_one_folder_and_a_missing_one_is_left_for_the_build_to_reject(tmp_path: Path) -> None:
    write_csv(tmp_path / "Data_Entry_2017.csv", ROWS, NIH_HEADER)
    put(tmp_path / "images" / "images" / "00000001_000.png", png(1, 20, 20))
    files = Nih(tmp_path).read().samples["file"].tolist()
    assert files == ["images/images/00000001_000.png", *(f"images/{row[0]}" for row in ROWS[1:])]


def test_two_tables_are_not_chosen_between(tmp_path: Path) -> None:
    write_nih(tmp_path, ROWS)
    write_csv(tmp_path / "Data_Entry_2017_v2020.csv", ROWS, NIH_HEADER)
    with pytest.raises(DatasetError, match=r"Data_Entry_2017\.csv, Data_Entry_2017_v2020\.csv"):
        Nih(tmp_path)
