from pathlib import Path

import pytest

from ingest.archives.montgomery import Montgomery
from ingest.archives.shenzhen import LABEL, Shenzhen
from shards.errors import DatasetError
from tests.ingest.archives.archives_made import put
from tests.ingest.archives.layouts import png, write_shenzhen


def write_montgomery(root: Path) -> Path:
    for number in range(6):
        name = f"MCUCXR_{number + 1:04d}_{number % 2}"
        put(root / "MontgomerySet" / "CXR_png" / f"{name}.png", png(number, 30, 29))
        put(root / "MontgomerySet" / "ManualMask" / "leftMask" / f"{name}.png", png(number, 30, 29))
        reading = f"Patient's Sex: {'FM'[number % 2]} \r\nPatient's Age: {27 + number:03d}Y\r\nnormal, 3 m of cough"
        put(root / "MontgomerySet" / "ClinicalReadings" / f"{name}.txt", reading.encode())
    return root


def test_names_and_readings_give_labels_sex_and_age(tmp_path: Path) -> None:
    reader = Montgomery(write_montgomery(tmp_path))
    samples = reader.read().samples
    assert samples["patient_id"].tolist() == [f"MCUCXR_{number:04d}" for number in range(1, 7)]
    assert samples[LABEL].tolist() == [0.0, 1.0] * 3
    assert samples["sex"].tolist() == ["female", "male"] * 3
    assert samples["age"].tolist() == [27.0, 28.0, 29.0, 30.0, 31.0, 32.0]
    assert "Montgomery County" in reader.licence
    assert (reader.stratify, reader.valid_fraction, reader.test_fraction) == (LABEL, 0.15, 0.20)


@pytest.mark.parametrize(
    ("reading", "sex", "age"),
    [
        ("Patient\u2019s Sex: M\nPatient\u2019s Age: 008Y\nnormal", "male", 8.0),
        ("Patient's Sex: O\nPatient's Age: 061Y", None, 61.0),
        ("Patient's Age: 006M", None, 0.5),
        ("female 32yrs\nnormal", "female", 32.0),
        ("normal", None, None),
        ("", None, None),
    ],
)
def test_what_a_reading_does_not_say_is_unknown(tmp_path: Path, reading: str, sex: str, age: float) -> None:
    assert Montgomery(write_montgomery(tmp_path)).describe(reading) == (sex, age)


def test_the_archives_are_not_taken_for_each_other(tmp_path: Path) -> None:
    write_montgomery(tmp_path)
    write_shenzhen(tmp_path, 4)
    with pytest.raises(DatasetError, match="use --dataset montgomery"):
        Shenzhen(tmp_path / "MontgomerySet")
    with pytest.raises(DatasetError, match="use --dataset shenzhen"):
        Montgomery(tmp_path / "ChinaSet_AllFiles")


def test_of_both_archives_in_one_folder_each_reader_takes_its_own(tmp_path: Path) -> None:
    write_montgomery(tmp_path)
    write_shenzhen(tmp_path, 4)
    for image in (tmp_path / "ChinaSet_AllFiles" / "CXR_png").glob("CHNCXR*.png"):
        image.rename(tmp_path / "MontgomerySet" / "CXR_png" / image.name)
    assert len(Montgomery(tmp_path / "MontgomerySet").read().samples) == 6
    assert len(Shenzhen(tmp_path / "MontgomerySet").read().samples) == 4
