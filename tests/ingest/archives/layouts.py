"""Tiny raw datasets in CheXpert's and Shenzhen's layouts, with odd sizes and every value a label can have."""

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from ingest.archives.chexpert import LABELS

HEADER = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS)


def picture(seed: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """A smooth gray picture of its own, uint8 [height, width]."""
    coarse = np.random.default_rng(seed).integers(20, 235, (9, 7), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def jpeg(seed: int, height: int, width: int) -> bytes:
    """A gray JPEG of `picture`."""
    pixels = picture(seed, height, width)[:, :, None]
    return bytes(simplejpeg.encode_jpeg(pixels, quality=90, colorspace="GRAY", colorsubsampling="Gray"))


def png(seed: int, height: int, width: int) -> bytes:
    """A gray PNG of `picture`."""
    return cv2.imencode(".png", picture(seed, height, width))[1].tobytes()


def row(
    path: str, labels: Sequence[str] = (), demographics: Sequence[str] = ("Male", "50", "Frontal", "AP")
) -> list[str]:
    """A line of CheXpert's CSV; labels that are not given are blank."""
    return [path, *demographics, *labels, *[""] * (len(LABELS) - len(labels))]


def write_csv(path: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> None:
    """A CSV of text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_chexpert(root: Path, patients: int = 23, valid: int = 5, prefix: str = "CheXpert-v1.0-small/") -> list[str]:
    """train and valid with 1 to 3 studies a patient, laterals in some, and all label values. Returns bare paths."""
    written: list[str] = []
    for split, numbers in (("train", range(patients)), ("valid", range(patients, patients + valid))):
        rows = []
        for number in numbers:
            for study in range(1, number % 3 + 2):
                views = ["view1_frontal"] + ["view2_lateral"] * (number % 4 == 1)
                for view in views:
                    path = f"{split}/patient{number:05d}/study{study}/{view}.jpg"
                    seed = len(written)
                    file = root / path
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(jpeg(seed, 90 + seed % 37, 140 - seed % 29))
                    labels = [("1.0", "0.0", "-1.0", "")[(seed + column) % 4] for column in range(len(LABELS))]
                    lateral = view.endswith("lateral")
                    who = ("Female" if number % 2 else "Male", str(20 + number))
                    rows.append(
                        row(prefix + path, labels, (*who, *(("Lateral", "") if lateral else ("Frontal", "PA"))))
                    )
                    written.append(path)
        write_csv(root / f"{split}.csv", rows)
    return written


def write_shenzhen(root: Path, images: int = 31) -> None:
    """ChinaSet_AllFiles with every third image tuberculosis, and the stray files of the real archive."""
    folder = root / "ChinaSet_AllFiles"
    (folder / "CXR_png").mkdir(parents=True)
    (folder / "ClinicalReadings").mkdir()
    for number in range(images):
        name = f"CHNCXR_{number + 1:04d}_{int(number % 3 == 0)}"
        (folder / "CXR_png" / f"{name}.png").write_bytes(png(number, 80 + number % 11, 97))
        (folder / "ClinicalReadings" / f"{name}.txt").write_text(f"male {20 + number}yrs\nnormal\n")
    for stray in ("CXR_png/Thumbs.db", "CXR_png/._CHNCXR_0001_1.png", "ClinicalReadings/Thumbs.db"):
        (folder / stray).write_bytes(b"\0\1\2")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its relative path, with its bytes."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
