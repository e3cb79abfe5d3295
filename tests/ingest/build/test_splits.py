import hashlib
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.build.splits import carve
from shards.errors import DatasetError

patients = st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0.0, 1.0, None])), min_size=4, max_size=40)
fractions = st.sampled_from([0.0, 0.1, 0.15, 0.2, 0.33])


def rows_of(sizes: list[tuple[int, float | None]]) -> pd.DataFrame:
    records = [
        {"patient_id": f"p{i}", "split": "valid" if i % 7 == 3 else "train", "tb": label}
        for i, (size, label) in enumerate(sizes)
        for _ in range(size)
    ]
    return pd.DataFrame(records).astype({"tb": "float32"})


def carve_slowly(rows: pd.DataFrame, name: str, valid: float, test: float, stratify: str | None) -> list[str]:
    """The definition, one patient at a time."""
    train = rows[rows["split"] == "train"]
    by_class: dict[object, list[str]] = {}
    for patient, group in train.groupby("patient_id"):
        label = group[stratify].iloc[0] if stratify else None
        by_class.setdefault("none" if label is None or math.isnan(label) else label, []).append(str(patient))
    new: dict[str, str] = {}
    for members in by_class.values():
        members.sort(key=lambda patient: hashlib.sha256(f"{name}/{patient}".encode()).hexdigest())
        total = train["patient_id"].isin(members).sum()
        for split, fraction in (("test", test), ("valid", valid)):
            reached = 0
            for patient in members:
                if patient not in new and reached < fraction * total - 1e-6:
                    new[patient] = split
                    reached += int((train["patient_id"] == patient).sum())
    return [new.get(p, "train") if s == "train" else s for p, s in zip(rows["patient_id"], rows["split"], strict=True)]


@given(sizes=patients, valid=fractions, test=fractions, stratify=st.sampled_from([None, "tb"]))
def test_carving_agrees_with_the_definition(
    sizes: list[tuple[int, float | None]], valid: float, test: float, stratify: str | None
) -> None:
    rows = rows_of(sizes)
    expected = carve_slowly(rows, "set", valid, test, stratify)
    if "train" in expected:
        assert carve(rows, "set", valid, test, stratify).tolist() == expected
    else:
        with pytest.raises(DatasetError, match="leave no patient to train on"):
            carve(rows, "set", valid, test, stratify)


def test_official_splits_stay_and_patients_stay_whole() -> None:
    rows = rows_of([(i % 4 + 1, float(i % 2)) for i in range(200)])
    split = carve(rows, "set", 0.15, 0.2, None)
    assert (split[rows["split"] == "valid"] == "valid").all()
    assert rows.assign(split=split).groupby("patient_id")["split"].nunique().max() == 1
    train = rows["split"] == "train"
    assert (split[train] == "test").mean() == pytest.approx(0.2, abs=0.02)
    assert (split[train] == "valid").mean() == pytest.approx(0.15, abs=0.02)


def test_the_test_split_does_not_depend_on_the_valid_fraction_nor_on_the_order_of_rows() -> None:
    rows = rows_of([(2, None)] * 50)
    one = carve(rows, "set", 0.0, 0.2, None)
    other = carve(rows, "set", 0.3, 0.2, None)
    backwards = carve(rows.iloc[::-1], "set", 0.3, 0.2, None)
    assert ((one == "test") == (other == "test")).all()
    pd.testing.assert_series_equal(backwards.sort_index(), other)


def test_another_name_carves_other_patients() -> None:
    rows = rows_of([(1, None)] * 60)
    assert (carve(rows, "a", 0, 0.3, None) != carve(rows, "b", 0, 0.3, None)).any()
