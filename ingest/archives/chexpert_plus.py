"""CheXpert Plus (Chambon et al., arXiv:2405.19538): df_chexpert_plus_*.csv with CheXbert's labels.

The table: `path_to_image,path_to_dcm,frontal_lateral,ap_pa,deid_patient_id,...,age,sex,...,split`, with reports of many
lines in quoted fields. The labels: findings_fixed.json, impression_fixed.json and report_fixed.json, each a JSON object
a line with path_to_image (.jpg, whatever the images are) and the fourteen labels as 1.0, 0.0, -1.0 or null. Images: PNG
below PNG/, DICOM below DICOM/Uncompressed/. Looked up in the README of the release (Stanford-AIMI/chexpert-plus), its
tables on Redivis and public code that reads them.
"""

import json
from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ingest.archives.assembly import assemble, find_layout
from ingest.archives.chexpert import LAST_THREE
from ingest.archives.chexpert_labels import LABELS
from ingest.archives.recognition import Signature, difference
from ingest.archives.source import SourceRows, find_folder, find_table, image_roots
from ingest.tables.csv_table import WHERE, malformed_line, read_table
from ingest.tables.files import file_sha256, open_table
from ingest.tables.joins import look_up
from ingest.tables.reasons import Kind, Rejection, rejection_frame
from ingest.tables.rejections import DETAIL, KIND, mark, mark_paths
from ingest.tables.vocabulary import ages, ap_pas, projections, sexes
from shards.errors import DatasetError

_TABLE = "df_chexpert_plus_*.csv*"
# Of the three, the impression is what CheXpert's own labels were made from. The findings section is blank in three of
# four reports, and CheXbert calls a blank text No Finding.
_LABELS = ("impression", "report", "findings")
_FOLDERS = ("", "chexbert_labels", "CheXpert Labels", "CheXpert_Labels", "labels")
_PNG, _DICOM = ("PNG", "PNG/PNG", ""), ("DICOM/Uncompressed", "DICOM", "")
_LONGEST_LINE = 1 << 20

# 223,462 pairs of image and report of 64,725 patients (Chambon et al., table 1).
_OWN = Signature("CheXpert Plus", r"^(?:train|valid)/(patient\d+)/study", 223_462, 64_725)


class ChexpertPlus:
    """The table, one of the label files, and PNG or DICOM images, PNG where both are there."""

    variant = "chexpert-plus"
    licence = (
        "Stanford University Dataset Research Use Agreement (CheXpert Plus; cite Chambon et al., arXiv:2405.19538)"
    )
    label_names: tuple[str, ...] = LABELS
    valid_fraction = 0.0
    test_fraction = 0.0
    stratify: str | None = None

    def __init__(self, source: Path, test_source: Path | None = None) -> None:
        if test_source is not None:
            raise DatasetError("CheXpert Plus has no test release of its own: build CheXpert's with --dataset chexpert")
        folder = find_folder(source, _TABLE, "CheXpert Plus")
        self.roots = image_roots(source, folder)
        self._table = find_table(folder, _TABLE)
        names = [f"{section}{end}.json" for section in _LABELS for end in ("_fixed", "")]
        found = [folder / below / name for name in names for below in _FOLDERS if (folder / below / name).is_file()]
        if not found:
            raise DatasetError(
                f"{folder}: no labels; put {names[0]} of the release's CheXpert Labels beside the table (an empty file "
                "of that name gives images without labels)"
            )
        self._labels = found[0]

    def another_dataset(self) -> str | None:
        """Why this is not CheXpert Plus, by the rows and patients of its table; None where it is."""
        return difference([self._table], _OWN)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of the table and of the label file that is used."""
        return {path.name: file_sha256(path) for path in (self._table, self._labels)}

    def read(self) -> SourceRows:
        """One row an image; one that the label file does not name has no labels."""
        needed = ("path_to_image", "frontal_lateral", "ap_pa", "deid_patient_id", "age", "sex", "split")
        table, malformed = read_table(self._table, needed, ("path_to_dcm",), multiline=True)
        path = table["path_to_image"]
        parts = path.str.extract(LAST_THREE)
        age = ages(table["age"])
        rows = pd.DataFrame(
            {
                "key": parts["patient"] + "_" + parts["study"] + "_" + parts["stem"],
                "patient_id": parts["patient"],
                "study_id": parts["study"],
                "projection": projections(table["frontal_lateral"]),
                "ap_pa": ap_pas(table["ap_pa"]),
                "sex": sexes(table["sex"]),
                "age": age.where((age > 0) | (table["sex"].str.lower() != "unknown")),
                "split": table["split"].str.lower(),
                "source_split": table["split"],
                "source_path": path,
                "root": "source",
                "where": table["where"],
            }
        )
        mark_paths(rows, path)
        mark_paths(rows, table["path_to_dcm"].where(table["path_to_dcm"] != "", path))
        mark(rows, parts["patient"].isna(), Kind.UNUSABLE_PATH, "'" + path + "' is not .../patient/study/image.jpg")
        patient = table["deid_patient_id"]
        mark(rows, patient != parts["patient"], Kind.CONFLICT, "'" + path + "' is said to be of '" + patient + "'")
        mark(
            rows,
            ~rows["split"].isin(["train", "valid", "test"]),
            Kind.NO_SPLIT,
            "the table says '" + table["split"] + "'",
        )
        stem = path.str.replace(r"\.[^./]*$", "", regex=True)
        dicom = table["path_to_dcm"].where(table["path_to_dcm"] != "", stem + ".dcm")
        layouts = [(folder, stem + ".png") for folder in _PNG] + [(folder, dicom) for folder in _DICOM]
        files = [f"{folder}/" + name if folder else name for folder, name in (*layouts, ("", path))]
        rows[["root", "file"]] = find_layout(self.roots, rows, files)
        labels, bad_lines = _read_labels(self._labels)
        found = look_up(rows, path, labels, LABELS)
        rows = pd.concat([rows, found[list(LABELS)].astype("float32")], axis=1)
        return assemble(rows, [malformed, bad_lines], LABELS)


def _read_labels(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of each line key (path_to_image), WHERE, labels, KIND and DETAIL where one of them is none; and bad lines."""
    keys: list[str] = []
    places: list[str] = []
    details: list[str | None] = []
    values = array("f")
    malformed: list[Rejection] = []
    with open_table(path) as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            place = f"{path.name} line {number}"
            try:
                record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8")) if line.strip() else None
            except (ValueError, RecursionError):
                record = line
            if record is None:
                continue
            if not isinstance(record, dict) or not isinstance(record.get("path_to_image"), str):
                malformed.append(malformed_line(place, Kind.MALFORMED, "no JSON object with path_to_image"))
                continue
            keys.append(record["path_to_image"])
            places.append(place)
            given = [record.get(label) for label in LABELS]
            details.append(_wrong(given))
            values.extend(np.nan if value is None or details[-1] else float(value) for value in given)
    labels = pd.DataFrame(np.array(values, dtype="float32").reshape(-1, len(LABELS)), columns=LABELS)
    table = labels.assign(key=pd.Series(keys, dtype=object), where=pd.Series(places, dtype=object))
    table[DETAIL] = pd.Series(details, dtype=object)
    table[KIND] = table[DETAIL].notna().map({True: str(Kind.LABEL), False: None})
    return table[["key", WHERE, KIND, DETAIL, *LABELS]], rejection_frame(malformed)


def _wrong(values: Iterable[object]) -> str | None:
    """What is wrong with the first value that is no label. values: those of LABELS, in order."""
    for label, value in zip(LABELS, values, strict=True):
        if value is None or (isinstance(value, int | float) and (value in (1, 0, -1) or value != value)):
            continue
        return f"{label} is {str(value)[:40]!r}, not 1, 0, -1 or null"
    return None
