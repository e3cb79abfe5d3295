"""VinDr-CXR 1.0.0 (Nguyen et al., Scientific Data 2022;9:429): the labels of annotations/*.csv.

image_labels_train.csv: `image_id,rad_id` and 28 columns of 0 and 1, a row an image and radiologist, three for each
image. image_labels_test.csv: `image_id` and the same, the consensus of five. The last column but one is `Other
diseases` in train and `Other disease` in test. Images are train/<image_id>.dicom and test/<image_id>.dicom.

Three readings become one label: 1 where most say so, 0 where all say no, -1 (uncertain) where a minority says yes. So
`--uncertain zeros` of training is the majority vote, `--uncertain ones` is any reader, and `ignore` the clear cases.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ingest.archives.assembly import assemble, find_layout
from ingest.archives.recognition import Signature, difference
from ingest.archives.source import SourceRows, find_folder, image_roots, table_path
from ingest.tables.csv_table import WHERE, present_labels, read_header, read_table
from ingest.tables.files import file_sha256
from ingest.tables.reasons import Kind
from ingest.tables.rejections import is_marked, mark, mark_conflicts, mark_labels, split_off
from shards.errors import DatasetError

OTHER = "Other diseases"
LABELS = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Clavicle fracture",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Enlarged PA",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Lung cavity",
    "Lung cyst",
    "Mediastinal shift",
    "Nodule/Mass",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    "Rib fracture",
    "Other lesion",
    "COPD",
    "Lung tumor",
    "Pneumonia",
    "Tuberculosis",
    OTHER,
    "No finding",
)
_ALIASES = {"Other disease": OTHER}
"""Names of columns that stand for another one."""
_TRAIN, _TEST = "annotations/image_labels_train.csv", "annotations/image_labels_test.csv"

# 15,000 training images, each read three times (Nguyen et al.).
_OWN = Signature("VinDr-CXR", r"^([0-9a-f]{32}),", 45_000, 15_000)


class Vindr:
    """Both tables of image labels, and the folders train and test."""

    variant = "vindr"
    licence = (
        "PhysioNet Credentialed Health Data License (VinDr-CXR: access only for who has signed; cite Nguyen et al., "
        "Scientific Data 2022;9:429, and PhysioNet)"
    )
    label_names: tuple[str, ...] = LABELS
    valid_fraction = 0.10
    test_fraction = 0.0
    stratify: str | None = None

    def __init__(self, source: Path, test_source: Path | None = None) -> None:
        if test_source is not None:
            raise DatasetError("VinDr-CXR's test images are in its own folder: leave --test-source out")
        folder = find_folder(source, _TRAIN, "VinDr-CXR")
        self.roots = image_roots(source, folder)
        self._tables = {"train": table_path(folder, _TRAIN)}
        if table_path(folder, _TEST).exists():
            self._tables["test"] = table_path(folder, _TEST)
        else:
            self.test_fraction = 0.20
        self.label_names = _labels_of_all(list(self._tables.values()))

    def another_dataset(self) -> str | None:
        """Why this is not VinDr-CXR, by the rows and patients of its table; None where it is."""
        return difference([self._tables["train"]], _OWN)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of the tables."""
        return {path.name: file_sha256(path) for path in self._tables.values()}

    def read(self) -> SourceRows:
        """One row an image. The tables know no patients: each image counts as one of its own."""
        frames, rejected = [], []
        for split, path in self._tables.items():
            readings, malformed = _read_readings(path, self.label_names)
            usable, bad = split_off(readings)
            frames.append(_vote(usable, self.label_names).assign(split=split, source_split=split))
            rejected += [malformed, bad]
        images = pd.concat(frames, ignore_index=True)
        name = images["split"] + "/" + images["image_id"]
        rows = images.assign(
            key=images["image_id"],
            patient_id=images["image_id"],
            projection="frontal",  # all 18,000 are PA, says the paper
            ap_pa="PA",
            source_path=name,
            root="source",
        )
        mark(rows, ~images["image_id"].str.fullmatch(r"[0-9a-zA-Z_-]+"), Kind.UNUSABLE_PATH, "image '" + name + "'")
        rows[["root", "file"]] = find_layout(
            self.roots, rows, [name + end for end in (".dicom", ".dcm", ".png", ".jpg")]
        )
        return assemble(rows, rejected, self.label_names, identity=["image_id"])


def _labels_of_all(paths: Sequence[Path]) -> tuple[str, ...]:
    """The labels that the tables have. Raises DatasetError where one table has a label that another does not."""
    labels = present_labels(paths, LABELS, _ALIASES)
    for path in paths:
        own = {_ALIASES.get(column, column) for column in read_header(path)}
        if absent := [label for label in labels if label not in own]:
            other = next(one for one in paths if one != path)
            raise DatasetError(f"{path}: no column {', '.join(map(repr, absent))}, which {other.name} has")
    return labels


def _read_readings(path: Path, labels: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of each line image_id, rad_id ('' in a consensus), WHERE, source_path and labels, the bad ones marked."""
    given = {_ALIASES[column]: column for column in read_header(path) if column in _ALIASES}
    names = {label: given.get(label, label) for label in labels}
    readers = ("rad_id",) if path.name.removesuffix(".gz") == Path(_TRAIN).name else ()
    table, malformed = read_table(path, ("image_id", *readers, *names.values()), ("rad_id",))
    table = table.rename(columns={old: label for label, old in names.items()})
    rows = table[["image_id", "rad_id", WHERE]].assign(source_path=table["image_id"])
    rows[list(labels)] = mark_labels(rows, table[list(labels)])
    mark_conflicts(rows, ["image_id", "rad_id"], labels)
    again = rows[~is_marked(rows)].duplicated(["image_id", "rad_id"]).reindex(rows.index, fill_value=False)
    mark(rows, again, Kind.DUPLICATE_KEY, "'" + rows["image_id"] + "' was read by '" + rows["rad_id"] + "' before")
    return rows, malformed


def _vote(readings: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """One row an image: its id, the line of its first reading and its labels. A blank or -1 is no vote."""
    image = readings.groupby("image_id", sort=False)
    yes = (readings[list(names)] == 1).groupby(readings["image_id"], sort=False).sum()
    no = (readings[list(names)] == 0).groupby(readings["image_id"], sort=False).sum()
    votes = (yes + no).to_numpy()
    values = np.where(yes.to_numpy() == 0, 0.0, np.where(2 * yes.to_numpy() > votes, 1.0, -1.0))
    labels = pd.DataFrame(np.where(votes > 0, values, np.nan), columns=list(names), dtype="float32")
    first = image[[WHERE]].first().reset_index()
    return pd.concat([first, labels], axis=1)
