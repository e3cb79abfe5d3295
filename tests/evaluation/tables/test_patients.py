"""Patients as units: from a Path or Study, beside a patient_id, and with blanks of every kind."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.tables.comparison import ArmTables, Comparison, compare
from evaluation.tables.table import TableError, read_table
from evaluation.tables.truth import read_truth
from tests.evaluation.files import build_dataset, write_csv

PATH = "CheXpert-v1.0/valid/patient{}/study1/view{}_frontal.jpg"


def join(truth: Path, column: str, ids: list[str], cluster: str | None = None) -> Comparison:
    path = write_csv(truth.parent / "p.csv", [column, "Edema"], [[v, (i + 1) / 100] for i, v in enumerate(ids)])
    table = read_table(path)
    return compare(read_truth(truth, [table]), [ArmTables("model", (table,))], cluster)


def test_a_path_and_a_study_name_their_patient(tmp_path: Path) -> None:
    ids = [PATH.format(2, 1), PATH.format(1, 1), PATH.format(2, 2)]
    by_path = join(write_csv(tmp_path / "t.csv", ["Path", "Edema"], [[v, 1] for v in ids]), "Path", ids)
    assert (by_path.unit_name, by_path.units, by_path.unit.tolist()) == ("patient_id", 2, [0, 1, 1])
    studies = ["x/valid/patient1/study1", "x/valid/patient1/study2", "x/valid/patient2/study1"]
    by_study = join(write_csv(tmp_path / "s.csv", ["Study", "Edema"], [[v, 1] for v in studies]), "Study", studies)
    assert (by_study.unit_name, by_study.unit.tolist()) == ("patient_id", [0, 0, 1])


def test_a_path_column_beside_a_key_names_the_patient_too(tmp_path: Path) -> None:
    rows = [["a", PATH.format(1, 1), 1], ["b", PATH.format(2, 1), 0], ["c", PATH.format(1, 2), 0]]
    comparison = join(write_csv(tmp_path / "t.csv", ["key", "Path", "Edema"], rows), "key", ["a", "b", "c"])
    assert (comparison.unit_name, comparison.unit.tolist()) == ("patient_id", [0, 0, 1])


def test_a_patient_id_that_contradicts_the_path_is_an_error_that_names_the_row(tmp_path: Path) -> None:
    rows = [[PATH.format(1, 1), "patient1", 1], [PATH.format(2, 1), "patient1", 0]]
    truth = write_csv(tmp_path / "t.csv", ["Path", "patient_id", "Edema"], rows)
    with pytest.raises(TableError, match=r"t\.csv, line 3: patient_id is 'patient1', .* of patient 'patient2'"):
        join(truth, "Path", [str(row[0]) for row in rows])


def test_patients_named_otherwise_agree_where_each_has_one_name(tmp_path: Path) -> None:
    rows = [[PATH.format(1, 1), "A-7", 1], [PATH.format(2, 1), "B-9", 0], [PATH.format(1, 2), "A-7", 0]]
    truth = write_csv(tmp_path / "t.csv", ["Path", "patient_id", "Edema"], rows)
    assert join(truth, "Path", [str(row[0]) for row in rows]).units == 2
    rows[2][1] = "C-1"
    truth = write_csv(tmp_path / "t.csv", ["Path", "patient_id", "Edema"], rows)
    with pytest.raises(TableError, match=r"line 4: patient_id is 'C-1', .*line 2 has 'A-7'"):
        join(truth, "Path", [str(row[0]) for row in rows])


def test_studies_are_clusters_within_their_patient(tmp_path: Path) -> None:
    keys = [(p, s, v) for p in ("p1", "p2") for s in ("study1", "study2") for v in ("v1", "v2")]
    rows = [{"key": f"{p}_{s}_{v}", "patient_id": p, "study_id": s, "split": "test", "Edema": 1.0} for p, s, v in keys]
    build_dataset(tmp_path / "shards", rows, ["Edema"])
    ids = [str(row["key"]) for row in rows]
    assert join(tmp_path / "shards", "key", ids).units == 2
    assert join(tmp_path / "shards", "key", ids, "study_id").units == 4


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["x", "y", None], dtype=object),
        pd.Series([1.0, 2.0, np.nan]),
        pd.array([1, 2, pd.NA], dtype="Int64"),
        pd.Categorical(["x", "y", None]),
        pd.Series(["x", "y", "  "], dtype="string"),
    ],
    ids=["None", "NaN", "NA", "category", "space"],
)
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_blank_cluster_is_refused_however_it_is_written(tmp_path: Path, column: object, kind: str) -> None:
    frame = pd.DataFrame({"key": ["a", "b", "c"], "site": column, "Edema": [1, 0, 1]})
    path = tmp_path / f"t.{kind}"
    frame.to_parquet(path, index=False) if kind == "parquet" else frame.to_csv(path, index=False)
    with pytest.raises(TableError, match=r"site is blank for 1 rows \(c\)"):
        join(path, "key", ["a", "b", "c"], "site")


def test_units_have_one_order_in_csv_and_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"key": ["a", "b", "c"], "site": [10.0, 2.0, 10.0], "Edema": [1, 0, 1]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    found = [join(tmp_path / f"t.{kind}", "key", ["a", "b", "c"], "site") for kind in ("csv", "parquet")]
    assert [one.unit.tolist() for one in found] == [[0, 0, 1]] * 2
    for one in found:
        np.testing.assert_array_equal(one.arms[0].scores[0, :, 0], [0.01, 0.03, 0.02])


def test_one_unit_is_refused(tmp_path: Path) -> None:
    rows = [["a", "p", 1], ["b", "p", 0]]
    truth = write_csv(tmp_path / "t.csv", ["key", "patient_id", "Edema"], rows)
    with pytest.raises(TableError, match=r"all 2 rows are of one patient_id .* nothing to resample"):
        join(truth, "key", ["a", "b"])
