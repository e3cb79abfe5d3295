"""Read the RSNA Pneumonia Detection Challenge (Kaggle 2018; Shih et al., Radiology: AI 2019;1(1):e180041).

stage_2_train_labels.csv: `patientId,x,y,width,height,Target`, a row a box, or one row without a box and Target 0.
stage_2_detailed_class_info.csv: `patientId,class`, as many rows. Images are stage_2_train_images/<patientId>.dcm. The
test images have no labels, and are not read. Looked up in the challenge's data page and public code that reads it.
"""

from pathlib import Path

import pandas as pd

from ingest.archives.assembly import assemble, find_layout
from ingest.archives.recognition import Signature, difference
from ingest.archives.source import SourceRows, find_folder, find_table, image_roots
from ingest.tables.csv_table import WHERE, read_table
from ingest.tables.files import file_sha256
from ingest.tables.joins import look_up
from ingest.tables.reasons import Kind
from ingest.tables.rejections import mark, mark_conflicts, mark_labels, split_off
from shards.errors import DatasetError

OPACITY, NORMAL = "Lung Opacity", "Normal"
LABELS = (OPACITY, NORMAL)
_BOXES, _CLASSES = "stage_*_train_labels.csv*", "stage_*_detailed_class_info.csv*"
_IS_NORMAL = {"Normal": 1.0, "No Lung Opacity / Not Normal": 0.0, "Lung Opacity": 0.0}

# 30,227 rows of 26,684 images, which the table calls patients (the challenge's data page).
_OWN = Signature("the RSNA challenge", r"^([0-9a-f]{8}-[0-9a-f-]{27}),", 30_227, 26_684)


class Rsna:
    """The table of boxes, that of classes where it is there, and the folder of training images."""

    variant = "rsna"
    licence = (
        "RSNA Pneumonia Detection Challenge: its terms on Kaggle, academic and non-commercial use; cite Shih et al., "
        "Radiology: Artificial Intelligence 2019;1(1):e180041, and Wang et al., CVPR 2017"
    )
    label_names: tuple[str, ...] = LABELS
    valid_fraction = 0.10
    test_fraction = 0.20
    stratify: str | None = None

    def __init__(self, source: Path, test_source: Path | None = None) -> None:
        if test_source is not None:
            raise DatasetError("RSNA's test images have no labels: leave --test-source out, --test-fraction carves one")
        folder = find_folder(source, _BOXES, "the RSNA Pneumonia Detection Challenge")
        self.roots = image_roots(source, folder)
        self._boxes = find_table(folder, _BOXES)
        self._classes = find_table(folder, _CLASSES) if any(folder.glob(_CLASSES)) else None

    def another_dataset(self) -> str | None:
        """Why this is not the challenge's set, by the rows and images of its table; None where it is."""
        return difference([self._boxes], _OWN)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of the tables."""
        return {path.name: file_sha256(path) for path in (self._boxes, self._classes) if path is not None}

    def read(self) -> SourceRows:
        """One row an image, all of them train. The table calls an image a patient, so each is one of its own."""
        boxes, malformed = read_table(self._boxes, ("patientId", "Target"))
        rows = boxes[["patientId", WHERE]].assign(source_path=boxes["patientId"])
        rows[OPACITY] = mark_labels(rows, boxes[["Target"]])["Target"]
        mark(rows, rows[OPACITY] == -1, Kind.LABEL, "Target is '" + boxes["Target"] + "', not 0 or 1")
        mark(
            rows,
            ~boxes["patientId"].str.fullmatch(r"[0-9a-zA-Z_-]+"),
            Kind.UNUSABLE_PATH,
            "'" + boxes["patientId"] + "'",
        )
        mark_conflicts(rows, ["patientId"], [OPACITY])
        usable, bad = split_off(rows)
        images = usable.drop_duplicates("patientId").reset_index(drop=True)  # a row a box
        images[NORMAL] = self._normal(images)
        name = images["patientId"]
        images = images.assign(
            key=name, patient_id=name, projection="frontal", split="train", source_path=name, root="source"
        )
        images[["root", "file"]] = self._files(images, name)
        return assemble(images, [malformed, bad], LABELS, identity=["patientId"])

    def _files(self, images: pd.DataFrame, name: pd.Series) -> pd.DataFrame:
        folders = ("stage_2_train_images/", "stage_1_train_images/", "train/", "")
        layouts = [folder + name + end for folder in folders for end in (".dcm", ".png", ".jpg")]
        return find_layout(self.roots, images, layouts)

    def _normal(self, images: pd.DataFrame) -> pd.Series:
        """1 for the class Normal, 0 for the other two; unknown without the table of classes."""
        if self._classes is None:
            return pd.Series(float("nan"), index=images.index, dtype="float32")
        table, _ = read_table(self._classes, ("patientId", "class"))
        table = table.rename(columns={"patientId": "key"})
        found = look_up(images, images["patientId"], table, ["class"])["class"].astype(object)
        mark(
            images,
            found.notna() & ~found.isin(list(_IS_NORMAL)),
            Kind.LABEL,
            "'" + found.fillna("").astype(str) + "' is no class of the challenge",
        )
        return found.map(_IS_NORMAL).astype("float32")
