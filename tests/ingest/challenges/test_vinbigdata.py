from pathlib import Path

import pytest

from ingest.archives.vindr import LABELS as VINDR_LABELS
from ingest.challenges.vinbigdata import LABELS, Vinbigdata
from shards.errors import DatasetError
from tests.ingest.archives.archives_made import write_vinbigdata

A, B = "a" * 32, "b" * 32
BOXES = [
    *((A, "Cardiomegaly", "R1"), (A, "Cardiomegaly", "R1"), (A, "Cardiomegaly", "R2"), (A, "ILD", "R2")),
    *((A, "No finding", "R9"), (B, "No finding", "R1"), (B, "No finding", "R2"), (B, "No finding", "R3")),
]


def test_boxes_of_three_readers_become_one_label(tmp_path: Path) -> None:
    reader = Vinbigdata(write_vinbigdata(tmp_path / "vinbigdata", BOXES).parent)
    found = reader.read()
    assert found.rejected.empty
    samples = found.samples.set_index("key")
    votes = {"Cardiomegaly": 1.0, "ILD": -1.0, "No finding": -1.0}
    assert samples.loc[A, list(LABELS)].to_dict() == {label: votes.get(label, 0.0) for label in LABELS}
    assert samples.loc[B, list(LABELS)].to_dict() == {label: float(label == "No finding") for label in LABELS}
    assert samples["where"].tolist() == ["train.csv line 2", "train.csv line 7"]
    assert all((reader.roots["source"] / file).is_file() for file in samples["file"])


def test_the_classes_are_labels_of_vindr() -> None:
    assert set(LABELS) <= set(VINDR_LABELS)
    assert len(LABELS) == 15


@pytest.mark.parametrize(
    ("row", "reason", "cardiomegaly"),
    [
        ((A, "Cardiomegalie", "R2"), "label out of range: 'Cardiomegalie' is none of", 1.0),
        ((A, "No finding", "R1"), "conflicting rows: reader 'R1' says No finding and a finding", -1.0),
        (("../x", "ILD", "R1"), "unusable path: image '../x'", 1.0),
    ],
)
def test_a_bad_row_is_named_and_the_other_readers_decide(
    tmp_path: Path, row: tuple[str, str, str], reason: str, cardiomegaly: float
) -> None:
    found = Vinbigdata(write_vinbigdata(tmp_path, [*BOXES, row])).read()
    assert found.rejected["reason"].str.startswith(reason).all()
    assert len(found.rejected) > 0
    assert found.samples.set_index("key").loc[A, "Cardiomegaly"] == cardiomegaly


def test_a_test_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="leave --test-source out"):
        Vinbigdata(write_vinbigdata(tmp_path, BOXES), tmp_path)
