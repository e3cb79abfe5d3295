"""Names and hashes against literal values (from `printf ... | sha256sum`): every result refers to them."""

import pytest

from shards.format.identity import is_key, patient_hash, sample_id

KEY = "patient00001-study1-view1_frontal"


def test_a_sample_id_is_the_first_63_bits_of_the_sha256_of_name_and_key() -> None:
    # printf chexpert/patient00001-study1-view1_frontal | sha256sum -> e0fb9ceeabf27aa4...
    assert sample_id("chexpert", KEY) == 0xE0FB9CEEABF27AA4 >> 1 == 8105861916275588434


def test_sample_ids_fit_a_non_negative_int64_and_differ_between_datasets() -> None:
    ids = {sample_id(name, f"key-{number}") for name in ("chexpert", "nih") for number in range(500)}
    assert len(ids) == 1000
    assert all(0 <= value < 2**63 for value in ids)


def test_patients_are_ordered_by_a_hash_of_name_and_patient_and_of_the_draw_where_there_is_one() -> None:
    by_name = "3853b79607b16b0bac8b7ae92d074139d7280e7faadcb189d5bbe5ed4e2d91eb"  # chexpert/patient00001
    by_draw = "e9608432843c614b2b7b21930a8802ee0b00072bebec4d8f79a9bda36cebd027"  # 0/chexpert/patient00001
    assert patient_hash("chexpert", "patient00001") == by_name
    assert patient_hash("chexpert", "patient00001", draw=0) == by_draw


@pytest.mark.parametrize("key", ["a", "A-b_9", KEY])
def test_letters_digits_hyphen_and_underscore_make_a_key(key: str) -> None:
    assert is_key(key)


@pytest.mark.parametrize("key", ["", "1.2.840", "a/b", "a b", "ä", "a\n", "a.jpg", "a\x00", "٣"])
def test_anything_else_is_no_key(key: str) -> None:
    assert not is_key(key)
