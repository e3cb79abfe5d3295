"""The archives beside CheXpert and Shenzhen in miniature: tables in each schema, images of a few pixels.

Every name and number is made up here. Each function writes one archive below a folder and returns that folder.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingest.archives.chexpert_labels import LABELS
from ingest.archives.vindr import LABELS as VINDR_LABELS
from tests.ingest.archives.layouts import jpeg, png, write_csv

NIH_HEADER = (
    "Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender", "View Position",
    "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]", "",
)  # fmt: skip
MIMIC_HEADER = (
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns",
    "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip
PADCHEST_HEADER = (
    "", "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth", "PatientSex_DICOM",
    "ViewPosition_DICOM", "Projection", "MethodProjection", "Pediatric", "Report", "MethodLabel", "Labels", "LabelCUIS",
)  # fmt: skip
PLUS_HEADER = (
    "path_to_image", "path_to_dcm", "frontal_lateral", "ap_pa", "deid_patient_id", "patient_report_date_order",
    "report", "section_findings", "section_impression", "age", "sex", "race", "split",
)  # fmt: skip


def put(path: Path, content: bytes) -> None:
    """A file and the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def nih_row(name: str, labels: str, age: str = "058Y", sex: str = "M", view: str = "PA") -> list[str]:
    """A line of Data_Entry_2017.csv; the patient is the number that the name begins with."""
    patient, _, number = name.partition(".")[0].partition("_")
    return [name, labels, number.lstrip("0") or "0", patient.lstrip("0"), age, sex, view, "9", "9", "0.1", "0.1", ""]


def write_nih(root: Path, rows: Sequence[Sequence[str]], test: Sequence[str] = ()) -> Path:
    """ChestX-ray14 with its images in two parts and both lists; those in `test` are in test_list.txt."""
    write_csv(root / "Data_Entry_2017.csv", rows, NIH_HEADER)
    names = [row[0] for row in rows]
    (root / "test_list.txt").write_text("".join(f"{name}\n" for name in test))
    (root / "train_val_list.txt").write_text("".join(f"{name}\n" for name in names if name not in test))
    for number, name in enumerate(dict.fromkeys(names)):
        if "/" not in name and name.endswith(".png"):
            put(root / f"images_{number % 2 + 1:03d}" / "images" / name, png(number, 40 + number % 7, 37))
    return root


def mimic_path(subject: str, study: str, dicom: str) -> str:
    """Where MIMIC-CXR-JPG keeps an image."""
    return f"files/p{subject[:2]}/p{subject}/s{study}/{dicom}.jpg"


def write_mimic(
    root: Path,
    images: Sequence[tuple[str, str, str, str, str]],
    labels: Sequence[Sequence[str]],
    labeller: str = "chexpert",
) -> Path:
    """MIMIC-CXR-JPG; images: dicom, subject, study, view and split; labels: subject, study and the label cells."""
    metadata, split = [], []
    for number, (dicom, subject, study, view, name) in enumerate(images):
        metadata.append([dicom, subject, study, 'CHEST, "PA" AND LAT', view, "9", "9", "21800506", "2.5", "", "", ""])
        split.append([dicom, study, subject, name])
        put(root / mimic_path(subject, study, dicom), jpeg(number, 41, 36 + number % 5))
    tables = {
        "metadata": (MIMIC_HEADER, metadata),
        "split": (("dicom_id", "study_id", "subject_id", "split"), split),
        labeller: (("subject_id", "study_id", *LABELS), [[*row, *[""] * (16 - len(row))] for row in labels]),
    }
    for name, (header, rows) in tables.items():
        path = root / f"mimic-cxr-2.0.0-{name}.csv"
        write_csv(path, rows, header)
        put(path.with_suffix(".csv.gz"), gzip.compress(path.read_bytes()))
        path.unlink()
    return root


def padchest_row(
    name: str,
    labels: str,
    patient: str = "p1",
    folder: str = "3",
    projection: str = "PA",
    birth: str = "1950.0",
    sex: str = "F",
    date: str = "20140915",
) -> list[str]:
    """A line of PadChest's table; two of its fields hold line breaks, as the archive's do."""
    method = "Manual review of DICOM fields"
    report = ["sin hallazg .\nsin cambi ,", "Physician", labels, "['C0025552'\n 'C4273001']"]
    return ["7", name, folder, date, f"study-of-{patient}", patient, birth, sex, "", projection, method, "No", *report]


def write_padchest(root: Path, rows: Sequence[Sequence[str]], flat: bool = False) -> Path:
    """PadChest with its images in numbered folders, or all in one."""
    write_csv(root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", rows, PADCHEST_HEADER)
    for number, row in enumerate(rows):
        if "/" not in row[1] + row[2] and row[1].endswith(".png"):
            put(root / ("images" if flat else row[2]) / row[1], png(number, 38, 33 + number % 5))
    return root


def write_vindr(
    root: Path, train: Sequence[tuple[str, str, Mapping[str, str]]], test: Sequence[tuple[str, Mapping[str, str]]]
) -> Path:
    """VinDr-CXR; train: image, radiologist and the labels that are not 0; test: image and the same."""

    def cells(labels: Mapping[str, str]) -> list[str]:
        return [labels.get(label, "0") for label in VINDR_LABELS]

    folder = root / "annotations"
    readings = [[image, reader, *cells(labels)] for image, reader, labels in train]
    write_csv(folder / "image_labels_train.csv", readings, ("image_id", "rad_id", *VINDR_LABELS))
    names = [label.replace("Other diseases", "Other disease") for label in VINDR_LABELS]
    write_csv(
        folder / "image_labels_test.csv", [[image, *cells(labels)] for image, labels in test], ("image_id", *names)
    )
    images = [f"train/{image}" for image, _, _ in train] + [f"test/{image}" for image, _ in test]
    for number, name in enumerate(dict.fromkeys(images)):
        put(root / f"{name}.dicom", png(number, 39, 34 + number % 5))
    return root


def plus_row(
    path: str,
    patient: str = "",
    split: str = "train",
    age: str = "61.0",
    sex: str = "Female",
    view: tuple[str, str] = ("Frontal", "AP"),
) -> list[str]:
    """A line of CheXpert Plus with a report of many lines; the patient is the one in the path."""
    patient = patient or [*path.split("/"), "", ""][1]
    report = 'NARRATIVE:\nChest 1 View, "portable"\n\nIMPRESSION: stable, \n1. no change'
    return [path, path.replace(".jpg", ".dcm"), *view, patient, "5", report, "", report, age, sex, "Unknown", split]


def write_plus(
    root: Path,
    rows: Sequence[Sequence[str]],
    labels: Mapping[str, Mapping[str, float | None]],
    images: str = "PNG",
    label_file: str = "impression_fixed.json",
) -> Path:
    """CheXpert Plus; labels: by path the labels that are not null; images: PNG or DICOM/Uncompressed."""
    write_csv(root / "df_chexpert_plus_240401.csv", rows, PLUS_HEADER)
    lines = [{"path_to_image": path, **dict.fromkeys(LABELS), **given} for path, given in labels.items()]
    put(root / label_file, "".join(json.dumps(line) + "\n" for line in lines).encode())
    for number, row in enumerate(rows):
        if row[0].startswith(("train/", "valid/")) and ".." not in row[0]:
            name = row[0].replace(".jpg", ".png" if images.endswith("PNG") else ".dcm")
            put(root / images / name, png(number, 35, 31 + number % 5))
    return root


def write_rsna(root: Path, boxes: Sequence[tuple[str, str]], classes: Sequence[tuple[str, str]] | None) -> Path:
    """The RSNA challenge; boxes: image and Target; classes: image and class."""
    rows = [[image, *(["1.0"] * 4 if target == "1" else [""] * 4), target] for image, target in boxes]
    write_csv(root / "stage_2_train_labels.csv", rows, ("patientId", "x", "y", "width", "height", "Target"))
    if classes is not None:
        write_csv(root / "stage_2_detailed_class_info.csv", classes, ("patientId", "class"))
    for number, image in enumerate(dict.fromkeys(image for image, _ in boxes)):
        if "/" not in image:
            put(root / "stage_2_train_images" / f"{image}.dcm", png(number, 39, 34 + number % 5))
    return root


def write_vinbigdata(root: Path, boxes: Sequence[tuple[str, str, str]]) -> Path:
    """VinBigData as Kaggle has it; boxes: image, class and radiologist."""
    rows = [[image, name, "0", reader, "", "", "", ""] for image, name, reader in boxes]
    header = ("image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max")
    write_csv(root / "train.csv", rows, header)
    for number, image in enumerate(dict.fromkeys(image for image, _, _ in boxes)):
        if "/" not in image:
            put(root / "train" / f"{image}.dicom", png(number, 39, 34 + number % 5))
    return root
