"""Row filters: how the options become one condition, what they leave, and how they meet splits, fractions, damage."""

from pathlib import Path

import pytest

from shards.errors import SubsetError
from shards.format.dataset import open_dataset
from shards.format.quarantine import Quarantined, write_quarantine
from shards.format.subsets import label_fraction, planned, select
from shards.selection.row_filter import filtered, row_filter
from tests.shards.small_datasets import write_small_dataset


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_dataset(tmp_path_factory.mktemp("selection") / "shards")


def test_the_options_make_one_condition_and_none_where_nothing_is_asked_for() -> None:
    assert row_filter() is None
    assert row_filter("all", "all", None) is None
    assert row_filter("frontal") == row_filter(where='projection=="frontal"') == "projection == 'frontal'"
    assert row_filter("lateral", "PA", "age > 3 and (sex is None or Edema==1)") == (
        "projection == 'lateral' and ap_pa == 'PA' and age > 3 and (sex is null or Edema == 1)"
    )
    assert row_filter(where="age > 3 or sex is null", ap_pa="AP") == "ap_pa == 'AP' and (age > 3 or sex is null)"


def test_only_rows_that_fulfil_the_condition_are_selected_in_every_split(root: Path) -> None:
    dataset = open_dataset(root)
    frontal = filtered(dataset, row_filter("frontal"))
    assert (frontal.row_filter, frontal.digest) == ("projection == 'frontal'", dataset.digest)
    for split in ("train", "valid", "test", None):
        whole = select(dataset, split)
        expected = whole[whole["projection"] == "frontal"]
        assert select(frontal, split)["key"].tolist() == expected["key"].tolist()
        assert 0 < len(expected) < len(whole)
    assert filtered(dataset, None) is dataset


def test_a_filter_goes_with_quarantine_exclusions_and_label_fractions(tmp_path: Path) -> None:
    root = write_small_dataset(tmp_path / "shards", changes={3: {"excluded": "duplicate of another"}})
    dataset = open_dataset(root)
    damaged = select(dataset, "train")["key"].iloc[0]
    write_quarantine(root, dataset.name, dataset.digest, [Quarantined(damaged, "train-000000", "crc32c")])
    frontal = filtered(open_dataset(root), row_filter("frontal"))
    rows = select(frontal, "train")
    assert damaged not in rows["key"].to_list()
    assert damaged in planned(frontal, "train")["key"].to_list()
    assert rows["excluded"].isna().all()
    assert len(rows) == 4  # 0, 3, 6, 9, 12, 15 are frontal; 0 is damaged, 3 is a duplicate
    assert 2 <= len(label_fraction(rows, dataset.name, 0.5, 0)) <= 4


def test_a_filter_that_leaves_nothing_says_what_each_part_left(root: Path) -> None:
    with pytest.raises(SubsetError) as refusal:
        filtered(open_dataset(root), row_filter("frontal", "PA", "age > 3"), ("train",))
    assert str(refusal.value) == (
        f"{root}: no image of the train split is left: projection == 'frontal' leaves 6 of 17, ap_pa == 'PA' leaves 0 "
        "of 6 (ap_pa: AP 6). Change --projection, --ap-pa or --where"
    )
    with pytest.raises(SubsetError, match=r"valid split is left: age > 60 leaves 0 of 4 \(age: .*unknown 1\)"):
        filtered(open_dataset(root), row_filter(where="age > 60"), ("valid",))
    with pytest.raises(
        SubsetError, match=r"no image is left: age > 600 leaves 0 of 23 \(age: 20.1 to 42.1, unknown 5\)"
    ):
        filtered(open_dataset(root), row_filter(where="age > 600"), (None,))


def test_a_split_that_the_dataset_does_not_have_is_not_the_filters_fault(tmp_path: Path) -> None:
    dataset = open_dataset(write_small_dataset(tmp_path / "shards", shards={"train-000000": 6}))
    assert len(select(filtered(dataset, row_filter("frontal")), "train")) == 2


def test_an_unknown_column_names_the_dataset_and_the_columns(root: Path) -> None:
    with pytest.raises(SubsetError, match=f"{root}: there is no column Oedema; did you mean Edema[?] there are key, "):
        filtered(open_dataset(root), row_filter(where="Oedema == 1"))
