"""PadChest (Bustos et al., Medical Image Analysis 2020;66:101797): its one large CSV.

The table (PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv, plain or gzipped) has, among 36 columns, ImageID,
ImageDir, StudyDate_DICOM, StudyID, PatientID, PatientBirth (a year), PatientSex_DICOM, Projection and Labels, a Python
list as text; other fields hold line breaks. So its README (BIMCV) and torchxrayvision's datasets.py. Images are 16-bit
PNG in folders 0 to 54, or all in one.

Labels are open ended: 174 findings and 19 diagnoses in a tree, most of them rare. Columns are the terms in LABELS,
PadChest's own words: those that another of our datasets has too (so that a model can be carried over), and the common
devices. A listed term is 1. One that is not listed is missing: a report names `loculated pleural effusion` and not its
parent, so absence proves nothing, except where the report says `normal`; there all others are 0.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ingest.archives.assembly import assemble, find_layout
from ingest.archives.recognition import Signature, difference
from ingest.archives.source import SourceRows, find_folder, find_table, image_roots
from ingest.tables.csv_table import read_table
from ingest.tables.files import file_sha256
from ingest.tables.reasons import Kind
from ingest.tables.rejections import mark, mark_paths
from ingest.tables.vocabulary import OLDEST, ap_pas, or_none, sexes, whole_ids
from shards.errors import DatasetError

NORMAL = "normal"
LABELS = (
    NORMAL,
    "aortic elongation",
    "apical pleural thickening",
    "atelectasis",
    "bronchiectasis",
    "calcified densities",
    "cardiomegaly",
    "cavitation",
    "central venous catheter",
    "chest drain tube",
    "chronic changes",
    "clavicle fracture",
    "consolidation",
    "COPD signs",
    "costophrenic angle blunting",
    "emphysema",
    "endotracheal tube",
    "granuloma",
    "heart insufficiency",
    "hemidiaphragm elevation",
    "hiatal hernia",
    "hilar enlargement",
    "infiltrates",
    "interstitial pattern",
    "kyphosis",
    "laminar atelectasis",
    "loculated pleural effusion",
    "mass",
    "mediastinal enlargement",
    "mediastinal shift",
    "nodule",
    "NSG tube",
    "pacemaker",
    "pleural effusion",
    "pleural thickening",
    "pneumonia",
    "pneumothorax",
    "pulmonary edema",
    "pulmonary fibrosis",
    "pulmonary mass",
    "rib fracture",
    "scoliosis",
    "sternotomy",
    "tuberculosis",
    "tuberculosis sequelae",
    "vertebral fracture",
)
_SAYS_NOTHING = {NORMAL, "unchanged", "suboptimal study"}
_TABLE = "PADCHEST_chest_x_ray_images_labels_160K*.csv*"
_VIEWS = {
    "PA": "frontal",
    "AP": "frontal",
    "AP_horizontal": "frontal",
    "L": "lateral",
}  # others are of ribs, or excluded
_TERM = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_LIST = re.compile(r"\[\s*(?:(?:'[^']*'|\"[^\"]*\"|nan)\s*(?:,\s*|(?=\])))*\]")

# 160,868 images (Bustos et al.); the patient's column stands behind fields of many lines and is not counted.
_OWN = Signature("PadChest", r"(?:^|,)([\w-]+)\.png,", 160_868)


class Padchest:
    """The table and the folders of images."""

    variant = "padchest"
    licence = (
        "BIMCV PadChest: research use under its agreement, CC BY-SA 4.0 says its README; cite Bustos et al., Medical "
        "Image Analysis 2020;66:101797"
    )
    label_names: tuple[str, ...] = LABELS
    valid_fraction = 0.10
    test_fraction = 0.20
    stratify: str | None = None
    png_range = "16"

    def __init__(self, source: Path, test_source: Path | None = None) -> None:
        if test_source is not None:
            raise DatasetError("PadChest has no test release: leave --test-source out, --test-fraction carves one")
        folder = find_folder(source, _TABLE, "PadChest")
        self.roots = image_roots(source, folder)
        self._table = find_table(folder, _TABLE)

    def another_dataset(self) -> str | None:
        """Why this is not PadChest, by the rows and patients of its table; None where it is."""
        return difference([self._table], _OWN)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of the table."""
        return {self._table.name: file_sha256(self._table)}

    def read(self) -> SourceRows:
        """One row an image, all of them train: PadChest has no official split."""
        needed = ("ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth", "PatientSex_DICOM")
        table, malformed = read_table(self._table, (*needed, "Projection", "Labels"), multiline=True)
        name, folder = table["ImageID"], table["ImageDir"].str.replace(r"\.0+$", "", regex=True)
        view = table["Projection"]
        rows = pd.DataFrame(
            {
                "key": name.str.replace(r"\.[^.]*$", "", regex=True).str.replace(".", "-"),
                "patient_id": whole_ids(table["PatientID"]),
                "study_id": or_none(whole_ids(table["StudyID"]).where(table["StudyID"] != "")),
                "projection": or_none(view.map(_VIEWS)),
                "ap_pa": ap_pas(view.str.replace("AP_horizontal", "AP")),
                "sex": sexes(table["PatientSex_DICOM"]),
                "age": _ages(table["PatientBirth"], table["StudyDate_DICOM"]),
                "split": "train",
                "source_path": name,
                "root": "source",
                "where": table["where"],
            }
        )
        mark_paths(rows, name)
        mark_paths(rows, folder.where(folder != "", "none"))
        mark(rows, table["PatientID"] == "", Kind.NO_PATIENT, "PatientID is blank")
        inside = (folder + "/" + name).where(folder != "", name)
        converted = [path.str.replace(r"\.[^.]*$", ".jpg", regex=True) for path in (inside, name)]
        layouts = [inside, "images/" + inside, "images/" + name, name]
        layouts += [converted[0], "images/" + converted[0], "images/" + converted[1], converted[1]]
        rows[["root", "file"]] = find_layout(self.roots, rows, layouts)
        rows = pd.concat([rows, _labels(rows, table["Labels"])], axis=1)
        return assemble(rows, [malformed], LABELS)


def _ages(birth: pd.Series, study: pd.Series) -> pd.Series:
    """Year of the study minus year of birth: years as float32, wrong by up to one, NaN where either is unknown."""
    taken = pd.to_numeric(study.str.extract(r"^([0-9]{4})[0-9]{4}(?:\.0+)?$")[0])
    age = taken - pd.to_numeric(birth.str.extract(r"^([0-9]{4})(?:\.0+)?$")[0])
    return age.where(age.between(0, OLDEST)).astype("float32")


def _labels(rows: pd.DataFrame, text: pd.Series) -> pd.DataFrame:
    """A column a label, float32; text that is no list is marked. A list that occurs often is read once."""
    codes, cells = pd.factorize(text)
    values = np.full((len(cells), len(LABELS)), np.nan, dtype="float32")
    place = {label.lower(): column for column, label in enumerate(LABELS)}
    wrong = np.zeros(len(cells), dtype=bool)
    for number, cell in enumerate(cells):
        wrong[number] = cell not in ("", "nan") and not _LIST.fullmatch(cell)
        terms = {(one or other).strip().lower() for one, other in _TERM.findall(cell)} - {""}
        if NORMAL in terms and terms <= _SAYS_NOTHING:
            values[number] = 0.0
        for term in terms & place.keys():
            values[number, place[term]] = 1.0
    mark(rows, pd.Series(wrong[codes], index=rows.index), Kind.LABEL, "'" + text + "' is no list of terms")
    return pd.DataFrame(values[codes], columns=LABELS, index=rows.index)
