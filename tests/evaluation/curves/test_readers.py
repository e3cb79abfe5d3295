"""Readers' operating points: from their calls, from published rates, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score
from statsmodels.stats.proportion import proportion_confint

from evaluation.curves.readers import reader_points
from evaluation.tables.comparison import ArmTables, Comparison, compare
from evaluation.tables.table import TableError, read_predictions
from evaluation.tables.truth import read_truth
from tests.evaluation.files import write_csv

ROWS = 80


def judged(folder: Path, patients: int = ROWS) -> Comparison:
    """Two labels, the second unknown in every fourth row."""
    generator = np.random.default_rng(0)
    truth = (generator.random((ROWS, 2)) < 0.4).astype(int)
    write_csv(
        folder / "truth.csv",
        ["key", "patient_id", "Edema", "Mass"],
        [
            [f"k{row}", f"p{row % patients}", truth[row, 0], None if row % 4 == 0 else truth[row, 1]]
            for row in range(ROWS)
        ],
    )
    scores = generator.random((ROWS, 2))
    write_csv(folder / "a.csv", ["key", "Edema", "Mass"], [[f"k{row}", *scores[row]] for row in range(ROWS)])
    tables = read_predictions(folder / "a.csv")
    return compare(read_truth(folder / "truth.csv", tables), [ArmTables("model", tuple(tables))])


def calls(folder: Path, comparison: Comparison, wrong: float) -> tuple[Path, np.ndarray]:
    """Two readers, the second of whom reads half the rows and leaves Mass blank."""
    generator = np.random.default_rng(1)
    order = {name: row for row, name in enumerate(comparison.ids)}
    truth = np.array([np.nan_to_num(comparison.truth[order[f"k{row}"]]) for row in range(ROWS)])
    called = np.abs(truth - (generator.random((ROWS, 2)) < wrong)).astype(int)
    rows: list[list[object]] = [[f"k{row}", "Dr <b>A", *called[row]] for row in range(ROWS)]
    rows += [[f"k{row}", "B", called[row, 0], None] for row in range(0, ROWS, 2)]
    return write_csv(folder / "calls.csv", ["key", "reader", "Edema", "Mass"], rows), called


def test_points_from_calls_are_scikit_learns_with_wilsons_intervals(tmp_path: Path) -> None:
    comparison = judged(tmp_path)
    path, called = calls(tmp_path, comparison, 0.2)
    points, cited = reader_points(path, comparison, 0.95)
    assert cited.path == str(path)
    assert list(points["Edema"]) == ["Dr <b>A", "B"]
    assert list(points["Mass"]) == ["Dr <b>A"]
    order = {name: row for row, name in enumerate(comparison.ids)}
    for reader, rows, column, label in (
        ("Dr <b>A", range(ROWS), 0, "Edema"),
        ("B", range(0, ROWS, 2), 0, "Edema"),
        ("Dr <b>A", [row for row in range(ROWS) if row % 4], 1, "Mass"),
    ):
        point = points[label][reader]
        truth = np.array([comparison.truth[order[f"k{row}"], column] for row in rows])
        own = called[list(rows), column]
        assert point.sensitivity.value == pytest.approx(recall_score(truth, own), abs=1e-12)
        assert point.specificity.value == pytest.approx(recall_score(1 - truth, 1 - own), abs=1e-12)
        assert point.precision == pytest.approx(precision_score(truth, own), abs=1e-12)
        assert (point.positives, point.negatives) == (truth.sum(), (1 - truth).sum())
        right = int((own * truth).sum())
        expected = proportion_confint(right, int(truth.sum()), method="wilson")
        assert point.sensitivity.ci == pytest.approx(expected, abs=1e-9)


def test_intervals_are_wider_where_patients_have_several_rows(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    widths = []
    for name, patients in (("one", ROWS), ("many", 12)):
        comparison = judged(tmp_path / name, patients)
        points, _ = reader_points(calls(tmp_path / name, comparison, 0.2)[0], comparison, 0.95)
        ci = points["Edema"]["Dr <b>A"].sensitivity.ci
        assert ci is not None
        widths.append(ci[1] - ci[0])
    assert widths[1] > widths[0]


def test_published_rates_are_taken_as_they_are_and_have_intervals_where_the_rows_are_given(tmp_path: Path) -> None:
    comparison = judged(tmp_path)
    header = ["reader", "label", "sensitivity", "specificity", "positives", "negatives"]
    path = write_csv(
        tmp_path / "rates.csv",
        header,
        [["A", "Edema", 0.8, 0.9, 40, 160], ["B", "Edema", 0.7, 1, None, None], ["A", "Fracture", 0.5, 0.5, 3, 3]],
    )
    points, _ = reader_points(path, comparison, 0.9)
    assert list(points) == ["Edema"]
    one, two = points["Edema"]["A"], points["Edema"]["B"]
    assert one.sensitivity.ci == pytest.approx(proportion_confint(32, 40, alpha=0.1, method="wilson"), abs=1e-9)
    assert one.precision == pytest.approx(32 / (32 + 16))
    assert (two.sensitivity.value, two.sensitivity.ci, two.precision) == (0.7, None, 1.0)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (["key", "Edema"], [["k0", 1]], "has no column 'reader'"),
        (["reader", "Edema"], [["A", 1]], "its first column has to be the id"),
        (["key", "reader", "Edema"], [["k0", "A", 2]], "line 2: Edema is '2': a reader's call is 1, 0 or blank"),
        (["key", "reader", "Edema"], [["k0", "", 1]], "line 2: reader is blank"),
        (["key", "reader", "Edema"], [["x9", "A", 1]], "1 of 1 rows are not judged here: 'x9'"),
        (["key", "reader", "Edema"], [["k0", "A", 1], ["k0", "A", 0]], "line 3: A read k0 in .*line 2 already"),
        (["key", "reader", "Nodule"], [["k0", "A", 1]], "none of the labels that are judged: Edema, Mass"),
        (
            ["reader", "label", "sensitivity", "specificity"],
            [["A", "Edema", 80, 0.9]],
            "sensitivity is '80', not a frac",
        ),
        (["reader", "label", "sensitivity", "specificity"], [["A", "Edema", "", 0.9]], "sensitivity is '', not a frac"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_its_row(
    tmp_path: Path, header: list[str], rows: list[list[object]], message: str
) -> None:
    comparison = judged(tmp_path)
    with pytest.raises(TableError, match=message):
        reader_points(write_csv(tmp_path / "readers.csv", header, rows), comparison, 0.95)
