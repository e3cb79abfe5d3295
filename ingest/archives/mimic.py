"""MIMIC-CXR-JPG (Johnson et al. 2019), releases 2.0.0 and 2.1.0: its gzipped tables.

metadata: `dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,...,
ViewCodeSequence_CodeMeaning,...`, a row an image. split: `dicom_id,study_id,subject_id,split` with train, validate and
test. chexpert and negbio: `subject_id,study_id` and the fourteen labels, a row a study, 1.0, 0.0, -1.0 or blank. Read
from PhysioNet's description and torchxrayvision's datasets.py. Sex and age are in MIMIC-IV, so they are unknown here.
"""

import logging
from pathlib import Path

import pandas as pd

from ingest.archives.assembly import assemble, find_layout
from ingest.archives.chexpert_labels import LABELS
from ingest.archives.recognition import Signature, difference
from ingest.archives.source import SourceRows, find_folder, find_table, image_roots
from ingest.tables.csv_table import present_labels, read_table
from ingest.tables.files import file_sha256
from ingest.tables.joins import look_up
from ingest.tables.reasons import Kind
from ingest.tables.rejections import mark, mark_labels
from ingest.tables.vocabulary import ap_pas, or_none, projections, whole_ids
from shards.errors import DatasetError

_METADATA = "mimic-cxr-*-metadata.csv*"
_SPLITS = {"train": "train", "validate": "valid", "test": "test"}
_VIEW_CODES = {"postero-anterior": "PA", "antero-posterior": "AP", "lateral": "LATERAL", "left lateral": "LL"}


_STEP = "PerformedProcedureStepDescription"
_VIEW_WORDS = {"AP": "AP", "PA": "PA", "LAT": "LATERAL", "LATERAL": "LATERAL"}
_OTHER_VIEWS = r"\b(?:DECUB|DECUBITUS|OBL|OBLIQUE|OBLIQUES|LORDOTIC)\b"

_log = logging.getLogger(__name__)

# 377,110 images of 65,379 patients (Johnson et al.).
_OWN = Signature("MIMIC-CXR-JPG", r"^[0-9a-f]{8}-[0-9a-f-]+,(\d+)", 377_110, 65_379)


class Mimic:
    """metadata, split and chexpert (or, without that, negbio) beside the folder `files`."""

    variant = "mimic"
    licence = (
        "PhysioNet Credentialed Health Data License (MIMIC-CXR-JPG: access only for who has signed; cite Johnson et "
        "al., arXiv:1901.07042, and PhysioNet)"
    )
    label_names: tuple[str, ...] = LABELS
    valid_fraction = 0.0
    test_fraction = 0.0
    stratify: str | None = None

    def __init__(self, source: Path, test_source: Path | None = None) -> None:
        if test_source is not None:
            raise DatasetError("MIMIC-CXR-JPG's split table names its test images: leave --test-source out")
        folder = find_folder(source, _METADATA, "MIMIC-CXR-JPG")
        self.roots = image_roots(source, folder)
        labeller = "chexpert" if any(folder.glob("mimic-cxr-*-chexpert.csv*")) else "negbio"
        self._metadata = find_table(folder, _METADATA)
        self._split = find_table(folder, "mimic-cxr-*-split.csv*")
        self._labels = find_table(folder, f"mimic-cxr-*-{labeller}.csv*")
        self.label_names = present_labels([self._labels], LABELS)

    def another_dataset(self) -> str | None:
        """Why this is not MIMIC-CXR-JPG, by the rows and patients of its table; None where it is."""
        return difference([self._metadata], _OWN)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of the three tables."""
        return {path.name: file_sha256(path) for path in (self._metadata, self._split, self._labels)}

    def read(self) -> SourceRows:
        """One row an image, with the labels of its study; a study without labels has none."""
        ids = ("dicom_id", "subject_id", "study_id")
        table, malformed = read_table(self._metadata, ids, ("ViewPosition", "ViewCodeSequence_CodeMeaning", _STEP))
        table = _whole(table)
        coded = table["ViewCodeSequence_CodeMeaning"].str.lower().map(_VIEW_CODES).fillna("")
        view = _described(table["ViewPosition"].where(table["ViewPosition"] != "", coded), table[_STEP])
        patient, study = "p" + table["subject_id"], "s" + table["study_id"]
        folder = patient.str[:3] + "/" + patient + "/" + study + "/" + table["dicom_id"]
        path = "files/" + folder + ".jpg"
        rows = pd.DataFrame(
            {
                "key": patient + "_" + study + "_" + table["dicom_id"],
                "patient_id": patient,
                "study_id": study,
                "projection": projections(view),
                "ap_pa": ap_pas(view),
                "source_path": path,
                "where": table["where"],
                "dicom_id": table["dicom_id"],
            }
        )
        numbers = table["subject_id"].str.fullmatch(r"[0-9]{2,}") & table["study_id"].str.fullmatch(r"[0-9]+")
        mark(
            rows,
            ~numbers,
            Kind.UNUSABLE_PATH,
            "subject '" + table["subject_id"] + "', study '" + table["study_id"] + "'",
        )
        mark(
            rows,
            ~table["dicom_id"].str.fullmatch(r"[0-9a-zA-Z-]+"),
            Kind.UNUSABLE_PATH,
            "dicom '" + table["dicom_id"] + "'",
        )
        layouts = [top + folder + end for top in ("files/", "") for end in (".jpg", ".png", ".jpeg", ".dcm")]
        rows[["root", "file"]] = find_layout(self.roots, rows, layouts)
        splits, bad_splits = read_table(self._split, ("dicom_id", "split"))
        split = look_up(rows, table["dicom_id"], splits.rename(columns={"dicom_id": "key"}), ["split"])["split"]
        rows["source_split"] = or_none(split)
        rows["split"] = or_none(split.map(_SPLITS))
        mark(rows, rows["split"].isna(), Kind.NO_SPLIT, f"{self._split.name} does not say train, validate or test")
        labels, bad_labels = self._read_labels()
        found = look_up(rows, table["subject_id"] + "/" + table["study_id"], labels, self.label_names)
        rows = pd.concat([rows, found[list(self.label_names)].astype("float32")], axis=1)
        return assemble(rows, [malformed, bad_splits, bad_labels], self.label_names, identity=["dicom_id"])

    def _read_labels(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        table, malformed = read_table(self._labels, ("subject_id", "study_id", *self.label_names))
        table = _whole(table)
        labels = pd.DataFrame({"key": table["subject_id"] + "/" + table["study_id"], "where": table["where"]})
        names = list(self.label_names)
        labels[names] = mark_labels(labels, table[names])
        return labels, malformed


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """The table with subject_id and study_id as whole numbers: pandas writes `10000032.0`."""
    return table.assign(subject_id=whole_ids(table["subject_id"]), study_id=whole_ids(table["study_id"]))


def _described(view: pd.Series, step: pd.Series) -> pd.Series:
    """View positions, blank ones filled in where the description of the procedure step names exactly one.

    `CHEST (PORTABLE AP)` is AP; `CHEST (PA AND LAT)` is of two images, `CHEST (SINGLE VIEW)` says nothing.
    """
    words = (
        step.str.upper().str.findall(r"\b(?:AP|PA|LAT|LATERAL)\b").map(lambda found: {_VIEW_WORDS[w] for w in found})
    )
    clear = (view == "") & (words.map(len) == 1) & ~step.str.upper().str.contains(_OTHER_VIEWS)
    if clear.any():
        _log.info("%s images without a ViewPosition have that of %s", f"{int(clear.sum()):,}", _STEP)
    return view.where(~clear, words.map(lambda found: next(iter(found), "")))
