import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.archives.shenzhen import LABEL, Shenzhen, parse_reading
from shards.errors import DatasetError
from tests.ingest.archives.layouts import png, write_shenzhen


@pytest.mark.parametrize(
    ("text", "sex", "age"),
    [
        ("male 45yrs\nnormal\n", "male", 45),
        ("Female, 32 yrs\nPTB in the right upper field\n", "female", 32),
        ("Male35 yr\nnormal", "male", 35),
        ("female24yrs\nnormal", "female", 24),
        ("femal 32yrs\nnormal", "female", 32),
        ("male , 29yrs  \t\nbilateral secondary PTB", "male", 29),
        ("male 16month\nnormal", "male", 16 / 12),
        ("female 64days\nnormal", "female", 64 / 365.25),
        ("\ufeffFEMALE 7 YEARS OLD", "female", 7),
        ("\r\n\r\nmale, 5 months\r\n", "male", 5 / 12),
        ("F 19y", "female", 19),
        ("45 years old male", "male", 45),
        ("male 45yrs, 3 m of cough", "male", 45),
        ("male 42\nnormal", "male", None),  # stands in the archive; 42 what?
        ("mail 30yrs", None, 30),
        ("male female 30yrs", None, 30),
        ("male 999yrs", "male", None),
        ("", None, None),
        ("no reading", None, None),
        ("\0\0", None, None),
    ],
)
def test_sex_and_age_are_read_from_the_wordings_that_occur(text: str, sex: str | None, age: float | None) -> None:
    assert parse_reading(text) == (sex, age if age is None else pytest.approx(age))


@given(st.text())
@example("²³yrs")
@example("male 1" * 50)
def test_no_text_is_an_error_and_no_age_is_impossible(text: str) -> None:
    sex, age = parse_reading(text)
    assert sex in ("male", "female", None)
    assert age is None or 0 <= age <= 130


def test_the_last_digit_of_the_name_is_the_label(tmp_path: Path) -> None:
    write_shenzhen(tmp_path)
    samples = Shenzhen(tmp_path).read().samples
    assert len(samples) == 31
    assert samples[LABEL].tolist() == samples["key"].str[-1].astype(float).tolist()
    assert samples["patient_id"].iloc[0] == "CHNCXR_0001"
    assert samples["source_path"].iloc[0] == "CXR_png/CHNCXR_0001_1.png"
    assert samples["age"].tolist() == [20.0 + i for i in range(31)]


def test_missing_and_unreadable_readings_are_unknown(tmp_path: Path) -> None:
    write_shenzhen(tmp_path, 3)
    readings = tmp_path / "ChinaSet_AllFiles" / "ClinicalReadings"
    (readings / "CHNCXR_0001_1.txt").unlink()
    (readings / "CHNCXR_0002_0.txt").write_bytes(b"\xff\xfe\x00\x80")
    samples = Shenzhen(tmp_path).read().samples
    assert samples["sex"].isna().tolist() == [True, True, False]
    assert samples["age"].isna().tolist() == [True, True, False]


def test_a_name_without_a_label_is_rejected_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_shenzhen(tmp_path, 3)
    images = tmp_path / "ChinaSet_AllFiles" / "CXR_png"
    for name in ("CHNCXR_0009_2.png", "mask.png"):
        (images / name).write_bytes(png(0, 8, 8))
    found = Shenzhen(tmp_path / "ChinaSet_AllFiles").read()
    assert len(found.samples) == 3
    assert found.rejected["path"].tolist() == ["CXR_png/CHNCXR_0009_2.png", "CXR_png/mask.png"]
    assert found.rejected["reason"].str.startswith("label out of range:").all()


def test_a_changed_reading_or_a_new_image_changes_the_fingerprint(tmp_path: Path) -> None:
    write_shenzhen(tmp_path, 3)
    folder = tmp_path / "ChinaSet_AllFiles"
    before = Shenzhen(tmp_path).fingerprint()
    (folder / "ClinicalReadings" / "CHNCXR_0002_0.txt").write_text("male 3days")
    (folder / "CXR_png" / "CHNCXR_0004_0.png").write_bytes(png(0, 8, 8))
    after = Shenzhen(tmp_path).fingerprint()
    assert {name for name in before if before[name] != after[name]} == {"CXR_png", "ClinicalReadings"}


def test_a_test_release_is_refused(tmp_path: Path) -> None:
    write_shenzhen(tmp_path, 1)
    with pytest.raises(DatasetError, match="--test-fraction"):
        Shenzhen(tmp_path, tmp_path)


def test_a_name_that_is_no_utf_8_is_rejected_in_words_that_are(tmp_path: Path) -> None:
    write_shenzhen(tmp_path, 3)
    images = tmp_path / "ChinaSet_AllFiles" / "CXR_png"
    (images / os.fsdecode(b"CHNCXR_\xff\t_0.png")).write_bytes(png(0, 8, 8))
    found = Shenzhen(tmp_path).read()
    assert len(found.samples) == 3
    assert found.rejected["path"].tolist() == ["CXR_png/CHNCXR_\\\\xff\\t_0.png"]
    assert found.rejected["reason"].str.startswith("unusable name:").tolist() == [True]


def test_readings_that_are_odd_files_are_read_as_far_as_they_can_be(tmp_path: Path) -> None:
    write_shenzhen(tmp_path, 4)
    readings = tmp_path / "ChinaSet_AllFiles" / "ClinicalReadings"
    (readings / "CHNCXR_0001_1.txt").write_bytes(b"female 40yrs\n" + b"x" * 1_000_000)
    (readings / "CHNCXR_0002_0.txt").unlink()
    (readings / "CHNCXR_0002_0.txt").mkdir()
    (readings / os.fsdecode(b"\xff.txt")).write_bytes(b"male 3yrs")
    before = Shenzhen(tmp_path).fingerprint()
    samples = Shenzhen(tmp_path).read().samples
    assert samples["sex"].isna().tolist() == [False, True, False, False]
    (readings / "CHNCXR_0003_0.txt").write_bytes(b"female 3yrs")
    assert Shenzhen(tmp_path).fingerprint() != before


def test_images_that_are_no_folder_are_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "CXR_png").write_bytes(b"")
    with pytest.raises(DatasetError, match="CXR_png cannot be read: Not a directory"):
        Shenzhen(tmp_path)
