from pathlib import Path

import numpy as np
import pytest

from ingest.challenges.rsna import Rsna
from shards.errors import DatasetError
from tests.ingest.archives.archives_made import write_rsna

A, B, C = ("0004cfab-14fd-4e49-80ba-63a80b6bddd6", "00313ee0-9eaa-42f4-b0ab-c148ed3241cd", "c" * 36)
BOXES = [(A, "0"), (B, "1"), (B, "1"), (C, "0")]
CLASSES = [
    *((A, "No Lung Opacity / Not Normal"), (B, "Lung Opacity")),
    *((B, "Lung Opacity"), (C, "Normal")),
]


def test_boxes_become_one_row_an_image(tmp_path: Path) -> None:
    reader = Rsna(write_rsna(tmp_path / "rsna", BOXES, CLASSES).parent)
    found = reader.read()
    assert found.rejected.empty
    samples = found.samples.set_index("key")
    assert samples["Lung Opacity"].to_dict() == {A: 0.0, B: 1.0, C: 0.0}
    assert samples["Normal"].to_dict() == {A: 0.0, B: 0.0, C: 1.0}
    assert samples["where"].tolist() == [f"stage_2_train_labels.csv line {line}" for line in (2, 3, 5)]
    assert samples["patient_id"].tolist() == [A, B, C]
    assert all((reader.roots["source"] / file).is_file() for file in samples["file"])


def test_without_the_table_of_classes_normal_is_unknown(tmp_path: Path) -> None:
    samples = Rsna(write_rsna(tmp_path, BOXES, None)).read().samples
    assert np.isnan(samples["Normal"]).all()


@pytest.mark.parametrize(
    ("boxes", "classes", "reason", "left"),
    [
        ([*BOXES, (B, "0")], CLASSES, "conflicting rows: Lung Opacity is ", 2),
        ([*BOXES, ("d" * 36, "2")], CLASSES, "label out of range: Target is '2'", 3),
        ([*BOXES, ("d" * 36, "-1")], CLASSES, "label out of range: Target is '-1'", 3),
        ([*BOXES, ("../../etc/x", "0")], CLASSES, "unusable path: '../../etc/x'", 3),
        (BOXES, [*CLASSES, (A, "Normal")], "conflicting rows: class is ", 2),
        (BOXES, [*CLASSES[1:], (A, "Healthy")], "label out of range: 'Healthy' is no class of the challenge", 2),
    ],
)
def test_a_bad_row_is_named_and_the_rest_is_read(
    tmp_path: Path, boxes: list[tuple[str, str]], classes: list[tuple[str, str]], reason: str, left: int
) -> None:
    found = Rsna(write_rsna(tmp_path, boxes, classes)).read()
    assert found.rejected["reason"].str.startswith(reason).any()
    assert len(found.samples) == left


def test_a_test_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="leave --test-source out"):
        Rsna(write_rsna(tmp_path, BOXES, CLASSES), tmp_path)
