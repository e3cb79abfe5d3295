"""Splits and label fractions: nested, whole patients, shortest prefix, against a slow, obvious reference."""

import hashlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.errors import SubsetError
from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import image_fraction, label_fraction, select, single_label
from tests.shards.small_datasets import LABELS, write_small_dataset

FRACTIONS = ("0.001", "0.01", "0.07", "0.1", "0.25", "0.5", "1")


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Rows of up to 12 patients with 1 to 7 samples each, in any order, labels 1, 0, -1 or unknown."""
    patients = draw(st.lists(st.integers(0, 11), max_size=60))
    labels = draw(st.lists(st.sampled_from([1.0, 0.0, -1.0, np.nan]), min_size=len(patients), max_size=len(patients)))
    return pd.DataFrame({"patient_id": [f"p{n}" for n in patients], "label": np.array(labels, dtype=np.float32)})


def reference(rows: pd.DataFrame, fraction: str, draw: int) -> set[str]:
    """The definition, word by word: take patients by hash until fraction x N samples are reached."""
    patients = sorted(
        set(rows["patient_id"]), key=lambda patient: hashlib.sha256(f"{draw}/name/{patient}".encode()).hexdigest()
    )
    for count in range(len(patients) + 1):
        taken = set(patients[:count])
        if rows["patient_id"].isin(taken).sum() >= Fraction(fraction) * len(rows):
            return taken
    raise AssertionError


@settings(max_examples=40, deadline=None)
@given(tables(), st.sampled_from(FRACTIONS), st.integers(0, 5))
def test_a_fraction_is_the_shortest_prefix_of_hashed_patients_that_reaches_it(
    rows: pd.DataFrame, fraction: str, draw: int
) -> None:
    chosen = label_fraction(rows, "name", float(fraction), draw)
    assert set(chosen["patient_id"]) == reference(rows, fraction, draw)
    pd.testing.assert_frame_equal(chosen, rows[rows["patient_id"].isin(set(chosen["patient_id"]))])


@settings(max_examples=40, deadline=None)
@given(tables(), st.sampled_from(FRACTIONS), st.integers(0, 5))
def test_a_stratified_fraction_is_that_prefix_within_each_class_of_patients(
    rows: pd.DataFrame, fraction: str, draw: int
) -> None:
    chosen = label_fraction(rows, "name", float(fraction), draw, stratify="label")
    positive = set(rows.loc[rows["label"] == 1, "patient_id"])
    inside = rows["patient_id"].isin(positive)
    expected = reference(rows[inside], fraction, draw) | reference(rows[~inside], fraction, draw)
    assert set(chosen["patient_id"]) == expected
    assert len(chosen) == rows["patient_id"].isin(expected).sum()


@settings(max_examples=40, deadline=None)
@given(tables(), st.floats(0.001, 1), st.floats(0.001, 1), st.sampled_from([None, "label"]))
def test_fractions_of_a_draw_are_nested(rows: pd.DataFrame, one: float, other: float, stratify: str | None) -> None:
    small, large = (label_fraction(rows, "name", f, 3, stratify) for f in sorted((one, other)))
    assert set(small.index) <= set(large.index)


@settings(max_examples=40, deadline=None)
@given(tables(), st.sampled_from([None, "label"]))
def test_the_whole_fraction_is_every_row(rows: pd.DataFrame, stratify: str | None) -> None:
    pd.testing.assert_frame_equal(label_fraction(rows, "name", 1.0, 0, stratify), rows)


def image_tables(draw: st.DrawFn) -> pd.DataFrame:
    """The same with a key a row."""
    rows: pd.DataFrame = draw(tables())
    return rows.assign(key=[f"k{number}" for number in range(len(rows))])


def image_reference(rows: pd.DataFrame, fraction: str, draw: int) -> set[str]:
    """The definition, word by word: the nearest whole number of images, one at least, in the order of a hash."""
    keys = sorted(rows["key"], key=lambda key: hashlib.sha256(f"{draw}/name/{key}".encode()).hexdigest())
    exact = Fraction(fraction) * len(rows)
    nearest = min(range(len(rows) + 1), key=lambda count: (abs(count - exact), -count))
    return set(keys[: max(nearest, 1)])


@settings(max_examples=40, deadline=None)
@given(st.composite(image_tables)(), st.sampled_from(FRACTIONS), st.integers(0, 5), st.booleans())
def test_a_fraction_of_images_is_the_nearest_number_of_hashed_images_of_each_class(
    rows: pd.DataFrame, fraction: str, draw: int, stratified: bool
) -> None:
    chosen = image_fraction(rows, "name", float(fraction), draw, "label" if stratified else None)
    classes = [rows[rows["label"] == 1], rows[rows["label"] != 1]] if stratified else [rows]
    expected = set[str]().union(*(image_reference(part, fraction, draw) for part in classes))
    assert set(chosen["key"]) == expected
    pd.testing.assert_frame_equal(chosen, rows[rows["key"].isin(expected)])


@settings(max_examples=40, deadline=None)
@given(st.composite(image_tables)(), st.floats(0.001, 1), st.floats(0.001, 1))
def test_fractions_of_images_are_nested_and_the_whole_one_is_every_row(
    rows: pd.DataFrame, one: float, other: float
) -> None:
    small, large = (image_fraction(rows, "name", f, 3) for f in sorted((one, other)))
    assert set(small.index) <= set(large.index)
    pd.testing.assert_frame_equal(image_fraction(rows, "name", 1.0, 3), rows)


def test_a_thousandth_of_chexpert_is_the_published_number_of_images() -> None:
    rows = pd.DataFrame({"key": [f"patient{n:06d}" for n in range(223_414)]})
    assert len(image_fraction(rows, "chexpert", 0.001, 0)) == 223


def test_seven_hundredths_of_a_hundred_samples_are_seven() -> None:
    rows = pd.DataFrame({"patient_id": [f"p{n}" for n in range(100)]})
    assert 0.07 * 100 > 7  # what floating point makes of it
    assert len(label_fraction(rows, "name", 0.07, 0)) == 7


def test_draws_and_datasets_choose_independently() -> None:
    rows = pd.DataFrame({"patient_id": [f"p{n}" for n in range(2000)]})
    first, draw, name = (
        set(label_fraction(rows, *arguments).index) for arguments in (("a", 0.1, 0), ("a", 0.1, 1), ("b", 0.1, 0))
    )
    for other in (draw, name):  # 20 expected in common of 200, standard deviation 4
        assert 4 < len(first & other) < 36


def test_the_choice_is_the_same_on_every_machine() -> None:
    rows = pd.DataFrame({"patient_id": [f"patient{n:05d}" for n in range(50)]})
    chosen = label_fraction(rows, "chexpert", 0.1, 0)["patient_id"]
    # Five lines of: for p in patient000{00..49}; do printf "0/chexpert/$p" | sha256sum; done | sort
    assert [patient[-2:] for patient in chosen] == ["05", "20", "34", "35", "41"]


@pytest.mark.parametrize("fraction", [0, -0.1, 1.001, float("nan")])
def test_a_fraction_outside_zero_to_one_is_refused(fraction: float) -> None:
    for subset in (label_fraction, image_fraction):
        with pytest.raises(SubsetError, match="above 0 and at most 1"):
            subset(pd.DataFrame({"patient_id": ["p"], "key": ["k"]}), "name", fraction, 0)


def test_a_split_is_its_rows_in_storage_order(dataset: Dataset) -> None:
    assert list(select(dataset, "valid").index) == [17, 18, 19, 20]
    assert list(select(dataset, "test")["split"]) == ["test", "test"]
    assert list(select(dataset).index) == list(range(23))


def test_excluded_rows_are_in_no_subset(tmp_path: Path) -> None:
    changes = {1: {"excluded": "lateral"}, 18: {"excluded": "too small"}}
    dataset = open_dataset(write_small_dataset(tmp_path / "x", changes=changes))
    assert len(dataset.samples) == 23
    assert 1 not in select(dataset, "train").index
    assert len(select(dataset)) == 21


def test_an_unknown_split_is_refused_with_those_there_are(dataset: Dataset) -> None:
    with pytest.raises(SubsetError, match="'training' is no split: choose one of train, valid, test"):
        select(dataset, "training")


def test_a_split_without_samples_gives_no_rows(tmp_path: Path) -> None:
    dataset = open_dataset(write_small_dataset(tmp_path / "x", shards={"train-000000": 1}))
    assert select(dataset, "test").empty


def test_only_a_set_with_one_label_is_stratified_by_it(dataset: Dataset) -> None:
    assert single_label(dataset) is None
    one = Dataset(dataset.root, dataset.digest, replace(dataset.description, labels=LABELS[:1]), dataset.samples)
    assert single_label(one) == LABELS[0]
