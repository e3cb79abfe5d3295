"""Joining truth and predictions: ids, splits, studies, clusters, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr

from evaluation.tables.comparison import ArmTables, Comparison, compare
from evaluation.tables.table import TableError, read_predictions
from evaluation.tables.truth import read_truth, study_label
from tests.evaluation.files import build_dataset, write_csv, write_sidecar


def join(truth: Path, *predictions: Path, cluster: str | None = None) -> Comparison:
    tables = [table for path in predictions for table in read_predictions(path)]
    return compare(read_truth(truth, tables), [ArmTables("model", tuple(tables))], cluster)


def predictions(folder: Path, ids: list[str], column: str = "key", name: str = "p.csv") -> Path:
    """Edema's probability is (place + 1) / 100."""
    return write_csv(folder / name, [column, "Edema"], [[v, (i + 1) / 100] for i, v in enumerate(ids)])


def test_rows_are_joined_by_id_whatever_their_order(tmp_path: Path) -> None:
    truth = write_csv(tmp_path / "t.csv", ["key", "Edema"], [["c", 1], ["a", 0], ["b", -1]])
    comparison = join(truth, predictions(tmp_path, ["a", "b", "c"]))
    np.testing.assert_array_equal(comparison.truth[:, 0], [0, np.nan, 1])
    np.testing.assert_array_equal(comparison.arms[0].scores[0, :, 0], [0.01, 0.02, 0.03])
    assert comparison.unit_name == "key"
    assert not comparison.clustered


def test_only_labels_that_all_files_share_are_used_in_the_truths_order(tmp_path: Path) -> None:
    truth = write_csv(
        tmp_path / "t.csv", ["id", "Sex", "b", "a", "c"], [["x", "Male", 1, 0, 1], ["y", "Male", 0, 1, 0]]
    )
    one = write_csv(tmp_path / "1.csv", ["id", "a", "b", "c"], [["x", 0.1, 0.2, 0.3], ["y", 0.4, 0.5, 0.6]])
    two = write_csv(tmp_path / "2.csv", ["id", "b", "a"], [["x", 0.2, 0.1], ["y", 0.4, 0.5]])
    assert join(truth, one, two).labels == ("b", "a")


def test_no_shared_label_is_refused_with_both_sides(tmp_path: Path) -> None:
    truth = write_csv(tmp_path / "t.csv", ["key", "Pneumonia"], [["a", 1]])
    with pytest.raises(TableError, match=r"no label is in .*t\.csv \('Pneumonia'\) and in all predictions \('Edema'\)"):
        join(truth, predictions(tmp_path, ["a"]))


def test_missing_ids_are_counted_and_the_first_few_named(tmp_path: Path) -> None:
    truth = write_csv(tmp_path / "t.csv", ["key", "Edema"], [[f"k{i}", 1] for i in range(7)])
    with pytest.raises(
        TableError, match=r"p\.csv has no prediction for 5 of the 7 ids .*: 'k2', 'k3', 'k4' and 2 more"
    ):
        join(truth, predictions(tmp_path, ["k0", "k1"]))


def test_predictions_without_truth_are_refused_too(tmp_path: Path) -> None:
    truth = write_csv(tmp_path / "t.csv", ["key", "Edema"], [["a", 1], ["b", 0]])
    with pytest.raises(
        TableError,
        match=r"no row for 1 of the 3 ids of .*p\.csv: 'c'.* First ids there: 'a', 'b'; in .*: 'a', 'b', 'c'",
    ):
        join(truth, predictions(tmp_path, ["a", "b", "c"]))


def test_truth_by_image_path_meets_predictions_by_study(tmp_path: Path) -> None:
    """As CheXpert's valid.csv, with another root than the predictions'."""
    rows = [
        ["CheXpert-v1.0-small/valid/patient1/study1/view1_frontal.jpg", 0],
        ["CheXpert-v1.0-small/valid/patient1/study1/view2_lateral.jpg", 1],
        ["CheXpert-v1.0-small/valid/patient2/study1/view1_frontal.jpg", 0],
    ]
    truth = write_csv(tmp_path / "t.csv", ["Path", "Edema"], rows)
    studies = ["CheXpert-v1.0/valid/patient2/study1", "CheXpert-v1.0/valid/patient1/study1"]
    comparison = join(truth, predictions(tmp_path, studies, "Study"))
    np.testing.assert_array_equal(comparison.truth[:, 0], [1, 0])
    np.testing.assert_array_equal(comparison.arms[0].scores[0, :, 0], [0.02, 0.01])
    assert comparison.unit_name == "patient_id"


def test_truth_by_image_path_meets_predictions_by_key(tmp_path: Path) -> None:
    """Keys as CheXpert's reader makes them: patient, study and file."""
    path = "CheXpert-v1.0-small/valid/patient{}/study1/view1_frontal.jpg"
    truth = write_csv(tmp_path / "t.csv", ["Path", "Edema"], [[path.format(1), 0], [path.format(2), 1]])
    comparison = join(truth, predictions(tmp_path, ["patient2_study1_view1_frontal", "patient1_study1_view1_frontal"]))
    np.testing.assert_array_equal(comparison.truth[:, 0], [0, 1])
    np.testing.assert_array_equal(comparison.arms[0].scores[0, :, 0], [0.02, 0.01])
    assert comparison.unit_name == "patient_id"


def test_truth_by_study_and_predictions_by_key_are_refused_with_the_way_out(tmp_path: Path) -> None:
    truth = write_csv(tmp_path / "t.csv", ["Study", "Edema"], [["a/b", 0]])
    with pytest.raises(TableError, match=r"by Study, the predictions are by key.*shards folder"):
        join(truth, predictions(tmp_path, ["a"]))


def test_a_path_without_patient_and_study_cannot_be_taken_by_study(tmp_path: Path) -> None:
    truth = write_csv(tmp_path / "t.csv", ["Path", "Edema"], [["a/b/c.jpg", 0], ["b.jpg", 0]])
    with pytest.raises(TableError, match=r"t\.csv, line 3: no patient and study in the path b\.jpg"):
        join(truth, predictions(tmp_path, ["a/b"], "Study"))


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([1, 0], 1),
        ([1, -1], 1),
        ([0, -1], -1),
        ([np.nan, 0], 0),
        ([np.nan, -1], -1),
        ([np.nan, np.nan], np.nan),
        ([0, 0], 0),
    ],
)
def test_a_study_is_positive_if_any_image_is_then_uncertain_then_negative(images: list[float], expected: float) -> None:
    np.testing.assert_array_equal(study_label(np.array(images), np.zeros(2, np.int64), 1), [expected])


def test_patients_are_the_units_where_the_truth_names_them(tmp_path: Path) -> None:
    truth = write_csv(tmp_path / "t.csv", ["key", "patient_id", "Edema"], [["a", "p", 1], ["b", "q", 0], ["c", "p", 0]])
    comparison = join(truth, predictions(tmp_path, ["a", "b", "c"]))
    assert comparison.unit_name == "patient_id"
    np.testing.assert_array_equal(comparison.unit, [0, 0, 1])
    assert comparison.clustered


def test_a_cluster_column_beats_the_patient_and_the_id_beats_both(tmp_path: Path) -> None:
    header = ["key", "patient_id", "site", "Edema"]
    truth = write_csv(tmp_path / "t.csv", header, [["a", "p", "x", 1], ["b", "q", "x", 0], ["c", "p", "y", 0]])
    given = predictions(tmp_path, ["a", "b", "c"])
    by_site = join(truth, given, cluster="site")
    assert (by_site.unit_name, by_site.unit.tolist()) == ("site", [0, 0, 1])
    by_row = join(truth, given, cluster="key")
    assert (by_row.unit_name, by_row.unit.tolist(), by_row.clustered) == ("key", [0, 1, 2], False)


def test_an_unknown_or_blank_cluster_is_refused(tmp_path: Path) -> None:
    truth = write_csv(tmp_path / "t.csv", ["key", "site", "Edema"], [["a", "x", 1], ["b", None, 0]])
    given = predictions(tmp_path, ["a", "b"])
    with pytest.raises(TableError, match=r"no column 'ward'.*choose one of key, site"):
        join(truth, given, cluster="ward")
    with pytest.raises(TableError, match=r"site is blank for 1 rows \(b\)"):
        join(truth, given, cluster="site")


def shards_rows() -> list[dict[str, object]]:
    """Two patients in test (one with two studies, one study of two images), one excluded image, one in train."""
    test: list[tuple[str, str, str, float | None]] = [
        ("p1", "study1", "v1", 1.0),
        ("p1", "study1", "v2", 0.0),
        ("p1", "study2", "v1", 0.0),
    ]
    test += [("p2", "study1", "v1", None), ("p2", "study2", "v1", -1.0)]
    rows: list[dict[str, object]] = [
        {"key": f"{p}_{s}_{v}", "patient_id": p, "study_id": s, "split": "test", "Edema": label}
        for p, s, v, label in test
    ]
    rows.append({**rows[0], "key": "p1_study9_v1", "study_id": "study9", "excluded": "duplicate"})
    rows.append({**rows[0], "key": "p3_study1_v1", "patient_id": "p3", "split": "train"})
    rows.append({**rows[0], "key": "p4_study1_v1", "patient_id": "p4", "split": "train"})
    return rows


def test_shards_are_the_truth_of_the_split_that_the_sidecar_names(tmp_path: Path) -> None:
    dataset = build_dataset(tmp_path / "shards", shards_rows(), ["Edema", "Fracture"])
    keys = ["p2_study1_v1", "p1_study1_v1", "p1_study1_v2", "p1_study2_v1", "p2_study2_v1"]
    given = predictions(tmp_path, keys)
    write_sidecar(given, split="test", dataset=dataset.citation)
    comparison = join(tmp_path / "shards", given)
    np.testing.assert_array_equal(comparison.truth[:, 0], [1, 0, 0, np.nan, np.nan])
    np.testing.assert_array_equal(comparison.unit, [0, 0, 0, 1, 1])
    assert comparison.unit_name == "patient_id"
    assert comparison.labels == ("Edema",)
    assert comparison.truth_origin.digest == dataset.digest


def test_shards_are_taken_by_study_where_the_predictions_are(tmp_path: Path) -> None:
    build_dataset(tmp_path / "shards", shards_rows(), ["Edema"])
    studies = [f"chexpert/test/{study}" for study in ("p1/study1", "p1/study2", "p2/study1", "p2/study2")]
    given = predictions(tmp_path, studies, "Study")
    write_sidecar(given, split="test")
    comparison = join(tmp_path / "shards", given)
    np.testing.assert_array_equal(comparison.truth[:, 0], [1, 0, np.nan, np.nan])
    np.testing.assert_array_equal(comparison.unit, [0, 0, 1, 1])
    assert comparison.truth_origin.images == 5


def test_sample_ids_of_a_zarr_group_meet_shards(tmp_path: Path) -> None:
    dataset = build_dataset(tmp_path / "shards", shards_rows(), ["Edema"])
    rows = dataset.samples[(dataset.samples["split"] == "test") & dataset.samples["excluded"].isna()]
    ids = rows["sample_id"].to_numpy()[::-1].copy()
    scores = np.linspace(0.1, 0.9, 2 * len(ids)).reshape(2, len(ids), 1)
    group = zarr.create_group(tmp_path / "p.zarr")
    group.create_array("scores", data=scores)
    group.create_array("sample_id", data=ids)
    group.attrs["labels"] = ["Edema"]
    comparison = join(tmp_path / "shards", tmp_path / "p.zarr")
    row_of = {str(value): row for row, value in enumerate(ids)}
    order = [
        row_of[value] for value in rows.sort_values(["patient_id", "sample_id"], key=_as_text)["sample_id"].map(str)
    ]
    np.testing.assert_array_equal(comparison.arms[0].scores, scores[:, order])


def _as_text(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return column.astype(str)


def test_without_a_sidecar_the_split_is_that_of_the_first_key(tmp_path: Path) -> None:
    build_dataset(tmp_path / "shards", shards_rows(), ["Edema"])
    comparison = join(tmp_path / "shards", predictions(tmp_path, ["p3_study1_v1", "p4_study1_v1"]))
    assert comparison.truth_origin.split == "train"
    with pytest.raises(TableError, match="its first id zzz is no key"):
        join(tmp_path / "shards", predictions(tmp_path, ["zzz"]))


def test_predictions_of_two_splits_or_of_another_dataset_are_refused(tmp_path: Path) -> None:
    build_dataset(tmp_path / "shards", shards_rows(), ["Edema"])
    one, two = predictions(tmp_path, ["p3_study1_v1"]), predictions(tmp_path, ["p3_study1_v1"], name="q.csv")
    write_sidecar(one, split="train")
    write_sidecar(two, split="valid")
    with pytest.raises(TableError, match="different splits: train, valid"):
        join(tmp_path / "shards", one, two)
    write_sidecar(two, split="train", dataset={"name": "shenzhen"})
    with pytest.raises(TableError, match="predicts the dataset 'shenzhen'"):
        join(tmp_path / "shards", one, two)


def test_predictions_by_different_columns_are_refused(tmp_path: Path) -> None:
    truth = write_csv(tmp_path / "t.csv", ["key", "Edema"], [["a", 1]])
    with pytest.raises(TableError, match=r"p\.csv is by key, .*q\.csv by Study"):
        join(truth, predictions(tmp_path, ["a"]), predictions(tmp_path, ["a"], "Study", "q.csv"))
