"""The held-out part of the training patients."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.format.subsets import label_fraction
from training.regression.holdout import EVERY, folds, held_out

PATIENTS = st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=150)
FEW = settings(max_examples=40, deadline=None)


def table(images: list[tuple[int, bool]]) -> tuple[pd.DataFrame, "pd.Series[bool]"]:
    """Rows and labels of images given as (patient, positive)."""
    rows = pd.DataFrame({"patient_id": [f"p{patient}" for patient, _ in images]}, dtype=object)
    return rows, pd.Series([positive for _, positive in images], dtype=bool)


@given(PATIENTS)
@FEW
def test_no_patient_is_on_both_sides(images: list[tuple[int, bool]]) -> None:
    rows, positive = table(images)
    apart = held_out(rows, "set", positive)
    assert apart.index.equals(rows.index)
    assert not set(rows.loc[apart, "patient_id"]) & set(rows.loc[~apart, "patient_id"])


@given(PATIENTS)
@FEW
def test_of_each_class_of_patients_one_in_four_is_held_out(images: list[tuple[int, bool]]) -> None:
    rows, positive = table(images)
    apart = held_out(rows, "set", positive)
    with_label = {patient for patient, label in images if label}  # any image is enough
    for of_class in (with_label, {patient for patient, _ in images} - with_label):
        ids = {f"p{patient}" for patient in of_class}
        assert len(ids & set(rows.loc[apart, "patient_id"])) == len(ids) // EVERY


@given(PATIENTS)
@FEW
def test_the_choice_does_not_depend_on_the_order_of_the_rows(images: list[tuple[int, bool]]) -> None:
    rows, positive = table(images)
    apart = set(rows.loc[held_out(rows, "set", positive), "patient_id"])
    turned = rows.iloc[::-1].reset_index(drop=True)
    of_turned = held_out(turned, "set", positive[::-1].reset_index(drop=True))
    assert set(turned.loc[of_turned, "patient_id"]) == apart


@given(PATIENTS, st.integers(2, 6))
@FEW
def test_folds_keep_patients_whole_and_have_as_many_of_each_class_as_can_be(
    images: list[tuple[int, bool]], count: int
) -> None:
    rows, positive = table(images)
    of = pd.Series(folds(rows, "set", positive, count), index=rows.index, dtype=np.int64)
    assert (of.groupby(rows["patient_id"]).nunique() == 1).all()
    with_label = {f"p{patient}" for patient, label in images if label}
    for of_class in (with_label, {f"p{patient}" for patient, _ in images} - with_label):
        sizes = [len(of_class & set(rows.loc[of == fold, "patient_id"])) for fold in range(count)]
        assert sum(sizes) == len(of_class)
        assert max(sizes) - min(sizes) <= 1
    sizes = [rows.loc[of == fold, "patient_id"].nunique() for fold in range(count)]
    assert max(sizes) - min(sizes) <= 1 + (len(with_label) % count > 0)
    turned = folds(rows.iloc[::-1], "set", positive[::-1], count)
    assert turned[::-1].tolist() == of.tolist()


def test_another_dataset_holds_out_others() -> None:
    rows, positive = table([(number, number % 2 == 0) for number in range(200)])
    one, two = held_out(rows, "one", positive), held_out(rows, "two", positive)
    assert one.sum() == two.sum() == 50
    assert (one != two).any()


def test_what_is_held_out_is_spread_over_the_fractions_of_every_draw() -> None:
    """If the hash were that of a draw, its first patients, and so the small fractions, would be kept together."""
    rows, positive = table([(number, False) for number in range(4000)])
    apart = held_out(rows, "set", positive)
    for draw in range(3):
        prefix = label_fraction(rows, "set", 0.25, draw).index
        assert 0.2 < apart.loc[prefix].mean() < 0.3
