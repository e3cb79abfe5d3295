import csv
import shutil
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.archives.chexpert import Chexpert
from ingest.build.dataset_build import Execution, build
from ingest.build.duplicates import count_duplicates, find_duplicates
from ingest.build.header import Options
from shards import open_dataset
from shards.format.subsets import select
from shards.format.verify import verify
from tests.ingest.archives.layouts import tree, write_chexpert

SPLITS = ("test", "valid", "train")

rows = st.lists(st.tuples(st.sampled_from(SPLITS), st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=12).map(
    lambda drawn: pd.DataFrame(
        {
            "key": [f"k{(7 * number) % 12:02d}" for number in range(len(drawn))],
            "source_path": [f"{number}.jpg" for number in range(len(drawn))],
            "split": [split for split, _, _ in drawn],
            "patient_id": [f"{split}{patient}" for split, patient, _ in drawn],
            "pixels": [str(pixels) for _, _, pixels in drawn],
        }
    )
)


@given(rows)
@settings(max_examples=100)
def test_all_but_the_first_of_each_group_are_found_as_by_looking_at_every_pair(frame: pd.DataFrame) -> None:
    samples = sorted(frame.to_dict("records"), key=lambda row: (SPLITS.index(row["split"]), row["key"]))
    same_as: dict[str, str] = {}
    for one, other in combinations(samples, 2):
        if one["pixels"] == other["pixels"]:
            same_as.setdefault(other["key"], same_as.get(one["key"], one["key"]))
    found = find_duplicates(frame)
    assert dict(zip(found["key"], found["same_as"], strict=True)) == same_as
    counts = count_duplicates(found, frame)
    groups = [group for _, group in frame.groupby("pixels") if len(group) > 1]
    assert counts.images == len(same_as)
    assert counts.groups == len(groups) == counts.within_a_patient + counts.across_patients
    assert counts.across_patients == sum(group["patient_id"].nunique() > 1 for group in groups)
    assert counts.across_splits == sum(group["split"].nunique() > 1 for group in groups)


def test_the_order_of_the_rows_does_not_matter() -> None:
    frame = pd.DataFrame(
        {
            "key": ["b", "a", "d", "c"],
            "source_path": list("1234"),
            "split": ["train", "train", "valid", "train"],
            "patient_id": list("pqrs"),
            "pixels": ["x", "x", "y", "y"],
        }
    )
    found = find_duplicates(frame)
    pd.testing.assert_frame_equal(found, find_duplicates(frame.iloc[::-1]))
    assert found[["key", "same_as"]].to_numpy().tolist() == [["b", "a"], ["c", "d"]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Chexpert:
    """Two copies within a patient, one across patients, one of a valid image in train."""
    root = tmp_path_factory.mktemp("source")
    write_chexpert(root)
    patient = "train/patient00002"
    for study in ("study2", "study3"):
        shutil.copy(root / patient / "study1/view1_frontal.jpg", root / patient / study / "view1_frontal.jpg")
    shutil.copy(root / "train/patient00004/study1/view1_frontal.jpg", root / "train/patient00007/study1")
    shutil.copy(root / "valid/patient00024/study1/view1_frontal.jpg", root / "train/patient00009/study1")
    return Chexpert(root)


def build_it(source: Chexpert, out: Path, *, drop: bool) -> str:
    options = Options("chexpert", 64, 7, 0, 0.0, 0.0, drop_duplicates=drop)
    return str(build(out, source, options, Execution(workers=1, max_rejected=0)))


def test_duplicates_are_always_reported_and_left_in_unless_asked_for(source: Chexpert, tmp_path: Path) -> None:
    said = build_it(source, tmp_path / "out", drop=False)
    assert "4 equal to another image pixel by pixel; groups of equal images: 3" in said
    assert "1 within a patient, 2 across patients; 1 across splits" in said
    with (tmp_path / "out" / "duplicates.csv").open(newline="") as file:
        found = {row["key"]: row["same_as"] for row in csv.DictReader(file)}
    first = "patient00002_study1_view1_frontal"
    assert found == {
        "patient00002_study2_view1_frontal": first,
        "patient00002_study3_view1_frontal": first,
        "patient00007_study1_view1_frontal": "patient00004_study1_view1_frontal",
        "patient00009_study1_view1_frontal": "patient00024_study1_view1_frontal",
    }
    assert open_dataset(tmp_path / "out").samples["excluded"].isna().all()


def test_dropped_duplicates_are_in_no_subset_and_the_shards_stay_as_they_are(source: Chexpert, tmp_path: Path) -> None:
    build_it(source, tmp_path / "kept", drop=False)
    build_it(source, tmp_path / "dropped", drop=True)
    dataset = open_dataset(tmp_path / "dropped")
    excluded = dataset.samples.set_index("key")["excluded"].dropna()
    assert len(excluded) == 4
    assert excluded["patient00009_study1_view1_frontal"] == "duplicate of patient00024_study1_view1_frontal"
    assert not set(select(dataset)["key"]) & set(excluded.index)
    assert len(select(dataset)) == len(dataset.samples) - 4
    assert verify(tmp_path / "dropped", decode=True) == []
    kept, dropped = tree(tmp_path / "kept"), tree(tmp_path / "dropped")
    assert {name for name in kept if kept[name] != dropped[name]} == {"dataset.json", "samples.parquet"}


def test_damage_in_a_shard_with_excluded_samples_is_pinned_to_the_one_that_is_damaged(
    source: Chexpert, tmp_path: Path
) -> None:
    build_it(source, tmp_path, drop=True)
    samples = open_dataset(tmp_path).samples
    shard = samples.loc[samples["excluded"].notna(), "shard"].iloc[0]
    damaged = samples[(samples["shard"] == shard) & samples["excluded"].isna()].iloc[0]
    with (tmp_path / f"{shard}.tar").open("r+b") as file:
        file.seek(damaged["offset"] + damaged["bytes"] // 2)
        file.write(b"\x5a\xa5")
    assert [finding.key for finding in verify(tmp_path)] == [damaged["key"]]
