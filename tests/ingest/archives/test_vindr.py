from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from ingest.archives.vindr import LABELS, OTHER, Vindr
from shards.errors import DatasetError
from tests.ingest.archives.archives_made import write_vindr

A, B, C = "a" * 32, "b" * 32, "c" * 32
TRAIN = [
    (A, "R1", {"Edema": "1", "COPD": "1", OTHER: "1"}),
    (A, "R2", {"Edema": "1"}),
    (B, "R1", {"No finding": "1"}),
    (A, "R9", {OTHER: "1"}),
    (B, "R3", {"No finding": "1"}),
    (B, "R2", {"No finding": "1"}),
]
TEST = [(C, {"Lung tumor": "1", OTHER: "1"})]


def test_three_readings_become_one_label(tmp_path: Path) -> None:
    reader = Vindr(write_vindr(tmp_path / "1.0.0", TRAIN, TEST).parent)
    found = reader.read()
    assert found.rejected.empty
    samples = found.samples.set_index("key")
    assert samples["split"].to_dict() == {A: "train", B: "train", C: "test"}
    labels = samples[list(LABELS)]
    votes = {"Edema": 1.0, "COPD": -1.0, OTHER: 1.0}
    assert labels.loc[A].to_dict() == {label: votes.get(label, 0.0) for label in LABELS}
    assert labels.loc[B].to_dict() == {label: float(label == "No finding") for label in LABELS}
    assert labels.loc[C].to_dict() == {label: float(label in ("Lung tumor", OTHER)) for label in LABELS}
    assert samples["where"].tolist() == [
        "image_labels_train.csv line 2", "image_labels_train.csv line 4", "image_labels_test.csv line 2",
    ]  # fmt: skip
    assert all((reader.roots["source"] / file).is_file() for file in samples["file"])
    assert samples["source_path"].tolist() == [f"train/{A}", f"train/{B}", f"test/{C}"]
    assert samples["patient_id"].tolist() == [A, B, C]
    assert set(samples["ap_pa"]) == {"PA"}


def test_uncertain_as_zero_is_the_majority_and_as_one_is_any_reader(tmp_path: Path) -> None:
    votes = list(product("01", repeat=3))
    readings = [(f"i{n}", f"R{r}", {"Edema": vote[r]}) for n, vote in enumerate(votes) for r in range(3)]
    labels = Vindr(write_vindr(tmp_path, readings, TEST)).read().samples["Edema"].iloc[: len(votes)]
    assert labels.replace(-1.0, 0.0).tolist() == [float(vote.count("1") >= 2) for vote in votes]
    assert labels.replace(-1.0, 1.0).tolist() == [float("1" in vote) for vote in votes]


def test_a_bad_reading_is_named_and_the_other_readers_decide(tmp_path: Path) -> None:
    train = [
        *TRAIN,
        (A, "R4", {"Edema": "2"}),
        (B, "R5", {"Edema": "1"}),
        (B, "R5", {"Edema": "0"}),
        (B, "R3", {"No finding": "1"}),
        ("../../x", "R1", {}),
        (C, "R1", {}),
    ]
    found = Vindr(write_vindr(tmp_path, train, TEST)).read()
    assert found.samples["key"].tolist() == [A, B]
    assert found.samples["Edema"].tolist() == [1.0, 0.0]
    assert found.rejected["reason"].tolist() == [
        "label out of range: Edema is '2', not 1, 0, -1 or blank (image_labels_train.csv line 8)",
        "conflicting rows: Edema is 1.0 here and 0.0 in image_labels_train.csv line 10 (image_labels_train.csv line 9)",
        "conflicting rows: Edema is 0.0 here and 1.0 in image_labels_train.csv line 9 (image_labels_train.csv line 10)",
        f"duplicate key: '{B}' was read by 'R3' before (image_labels_train.csv line 11)",
        "unusable path: image 'train/../../x' (image_labels_train.csv line 12)",
        "conflicting rows: source_split is train here and test in image_labels_test.csv line 2 "
        "(image_labels_train.csv line 13)",
        "conflicting rows: source_split is test here and train in image_labels_train.csv line 13 "
        "(image_labels_test.csv line 2)",
    ]


@pytest.mark.parametrize("ending", [".dcm", ".png"])
def test_images_may_have_been_renamed_or_converted(tmp_path: Path, ending: str) -> None:
    write_vindr(tmp_path, TRAIN, TEST)
    for image in tmp_path.rglob("*.dicom"):
        image.rename(image.with_suffix(ending))
    reader = Vindr(tmp_path)
    assert all((tmp_path / file).is_file() for file in reader.read().samples["file"])


def test_without_the_test_table_a_test_split_is_carved(tmp_path: Path) -> None:
    write_vindr(tmp_path, TRAIN, TEST)
    assert Vindr(tmp_path).test_fraction == 0.0
    (tmp_path / "annotations" / "image_labels_test.csv").unlink()
    assert Vindr(tmp_path).test_fraction == 0.20
    assert set(Vindr(tmp_path).read().samples["split"]) == {"train"}


def test_a_table_of_another_schema_is_refused(tmp_path: Path) -> None:
    write_vindr(tmp_path, TRAIN, TEST)
    path = tmp_path / "annotations" / "image_labels_train.csv"
    path.write_text(path.read_text().replace("Lung cyst", "Bronchitis"))
    with pytest.raises(DatasetError, match=r"no column 'Lung cyst', which image_labels_test\.csv has"):
        Vindr(tmp_path)


def test_fewer_columns_of_labels_are_read_and_the_others_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_vindr(tmp_path, TRAIN, TEST)
    kept = ("Edema", "Lung tumor", OTHER)
    for name in ("image_labels_train.csv", "image_labels_test.csv"):
        path = tmp_path / "annotations" / name
        table = pd.read_csv(path, dtype=str)
        table = table[[column for column in table if column not in set(LABELS) - set(kept)]]
        table.rename(columns={"Other diseases": "Other disease"}).to_csv(path, index=False)
    with caplog.at_level("INFO"):
        reader = Vindr(tmp_path)
    assert reader.label_names == kept
    assert "no column Aortic enlargement, " in caplog.text
    samples = reader.read().samples.set_index("key")
    assert list(samples.columns[-3:]) == list(kept)
    assert samples.loc[[A, B, C], list(kept)].to_numpy().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 1]]
