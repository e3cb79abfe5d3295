"""Read the VinBigData Chest X-ray Abnormalities Detection challenge (Kaggle 2021), a part of VinDr-CXR.

train.csv: `image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max`, a row a box and radiologist; `No finding`
(class 14) has no box. Three of the radiologists read each image. Images are train/<image_id>.dicom; those of test have
no labels, and are not read. Readings become one label as in ingest.archives.vindr: 1 where most of the readers drew a
box of the class, 0 where none did, -1 (uncertain) where a minority did. Looked up in the challenge's data page.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from ingest.archives.assembly import assemble, find_layout
from ingest.archives.recognition import Signature, difference
from ingest.archives.source import SourceRows, find_folder, image_roots, table_path
from ingest.tables.csv_table import WHERE, read_table
from ingest.tables.files import file_sha256
from ingest.tables.reasons import Kind
from ingest.tables.rejections import mark, split_off
from shards.errors import DatasetError

NO_FINDING = "No finding"
LABELS = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Nodule/Mass",
    "Other lesion",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    NO_FINDING,
)
_TRAIN = "train.csv"

# 67,914 boxes of 15,000 images, which count as patients (the challenge's data page).
_OWN = Signature("the VinBigData challenge", r"^([0-9a-f]{32}),", 67_914, 15_000)


class Vinbigdata:
    """train.csv and the folder train."""

    variant = "vinbigdata"
    licence = (
        "VinBigData Chest X-ray Abnormalities Detection: its terms on Kaggle, non-commercial research; cite Nguyen et "
        "al., Scientific Data 2022;9:429"
    )
    label_names: tuple[str, ...] = LABELS
    valid_fraction = 0.10
    test_fraction = 0.20
    stratify: str | None = None

    def __init__(self, source: Path, test_source: Path | None = None) -> None:
        if test_source is not None:
            raise DatasetError("VinBigData's test images have no labels: leave --test-source out")
        folder = find_folder(source, _TRAIN, "VinBigData as Kaggle has it")
        self.roots = image_roots(source, folder)
        self._table = table_path(folder, _TRAIN)

    def another_dataset(self) -> str | None:
        """Why this is not the challenge's set, by the rows and images of its table; None where it is."""
        return difference([self._table], _OWN)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of the table."""
        return {self._table.name: file_sha256(self._table)}

    def read(self) -> SourceRows:
        """One row an image, all of them train. The table names no patients: each image counts as one of its own."""
        table, malformed = read_table(self._table, ("image_id", "class_name", "rad_id"))
        boxes = table.assign(source_path=table["image_id"])
        mark(
            boxes,
            ~table["image_id"].str.fullmatch(r"[0-9a-zA-Z_-]+"),
            Kind.UNUSABLE_PATH,
            "image '" + table["image_id"] + "'",
        )
        unknown = ~table["class_name"].isin(LABELS)
        mark(boxes, unknown, Kind.LABEL, "'" + table["class_name"] + "' is none of VinBigData's classes")
        _mark_contradictions(boxes)
        usable, bad = split_off(boxes)
        images = _vote(usable)
        name = "train/" + images["image_id"]
        rows = images.assign(
            key=images["image_id"],
            patient_id=images["image_id"],
            projection="frontal",  # VinDr-CXR's are all PA, says its paper
            ap_pa="PA",
            split="train",
            source_path=name,
            root="source",
        )
        ends = (".dicom", ".dcm", ".png", ".jpg")
        layouts = [folder + images["image_id"] + end for folder in ("train/", "") for end in ends]
        rows[["root", "file"]] = find_layout(self.roots, rows, layouts)
        return assemble(rows, [malformed, bad], LABELS, identity=["image_id"])


def _mark_contradictions(boxes: pd.DataFrame) -> None:
    """Mark all rows of a reader who says of one image both No finding and a finding."""
    none = boxes["class_name"] == NO_FINDING
    reading = [boxes["image_id"], boxes["rad_id"]]
    both = none.groupby(reading).transform("any") & (~none).groupby(reading).transform("any")
    mark(boxes, both, Kind.CONFLICT, "reader '" + boxes["rad_id"] + "' says No finding and a finding of this image")


def _vote(boxes: pd.DataFrame) -> pd.DataFrame:
    """One row an image: image_id, WHERE of its first box and its labels, by the readers that are left."""
    first = boxes.groupby("image_id", sort=False)[WHERE].first()
    readers = boxes.groupby("image_id", sort=False)["rad_id"].nunique()
    once = boxes.drop_duplicates(["image_id", "rad_id", "class_name"])
    yes = pd.crosstab(once["image_id"], once["class_name"]).reindex(
        index=first.index, columns=list(LABELS), fill_value=0
    )
    counts, total = yes.to_numpy(), readers.to_numpy()[:, None]
    values = np.where(counts == 0, 0.0, np.where(2 * counts > total, 1.0, -1.0)).astype("float32")
    labels = pd.DataFrame(values, columns=list(LABELS))
    return pd.concat([first.reset_index(), labels], axis=1)
