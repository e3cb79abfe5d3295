"""A made-up CheXpert release: patients, studies and images as a plan that is a pure function of the seed, and its CSVs.

Patients are numbered as in the real release (train from 1, valid from 64541, test from 64741), so a smaller phantom
is a prefix of a larger one.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ingest.archives.chexpert_labels import LABELS
from ingest.phantom.acquisition import Acquisition, sample_acquisition
from ingest.phantom.anatomy import Anatomy, sample_anatomy
from ingest.phantom.film import Picture
from ingest.phantom.findings import reported, sample_disposition, truth, visible
from ingest.phantom.frontal import frontal
from ingest.phantom.lateral import lateral

Split = Literal["train", "valid", "test"]

DEMOGRAPHICS = ("Sex", "Age", "Frontal/Lateral", "AP/PA")
MOST_PATIENTS = 64_540
_FIRST = {"train": 1, "valid": 64_541, "test": 64_741}
_STREAM = {"train": 1, "valid": 2, "test": 3}
_MOST_STUDIES = 6


@dataclass(frozen=True)
class Image:
    """One exposure, and where it lies below the release: train/patient00001/study1/view1_frontal.jpg."""

    path: str
    acquisition: Acquisition


@dataclass(frozen=True)
class Study:
    path: str
    severity: dict[str, float]
    labels: dict[str, int | None]
    images: tuple[Image, ...]


@dataclass(frozen=True)
class Patient:
    split: Split
    male: bool
    age: int
    anatomy: Anatomy
    seed: int
    studies: tuple[Study, ...]

    def picture(self, study: Study, image: Image, full_size: bool) -> Picture:
        """The picture [H, W] of one of this patient's images."""
        draw = lateral if image.acquisition.projection == "LATERAL" else frontal
        size, oversampling = image.acquisition.film.size(full_size)
        return draw(self.anatomy, image.acquisition, visible(study.severity), self.seed, size, oversampling)


def patients_of(train: int) -> dict[Split, int]:
    """Patients a split: 12 % of train's more in valid and 15 % in test, rounded up, at most CheXpert's 200 and 500."""
    return {
        "train": train,
        "valid": min(200, math.ceil(0.12 * train)),
        "test": min(500, math.ceil(0.15 * train)),
    }


def plan_patient(seed: int, split: Split, index: int) -> Patient:
    """Everything about the patient but the pixels. index: from 0 within the split."""
    rng = np.random.default_rng([seed, _STREAM[split], index])
    male = bool(rng.random() < 0.594)
    age = int(np.clip(round(rng.normal(61, 18)), 18, 90))
    anatomy = sample_anatomy(rng, male, age)
    disposition = sample_disposition(rng)
    own = int(rng.integers(2**31))
    name = f"{split}/patient{_FIRST[split] + index:05d}"
    count = min(_MOST_STUDIES, int(rng.geometric(0.645))) if split == "train" else 1
    studies = []
    for number in range(1, count + 1):
        severity = disposition.severities(rng)
        labels: dict[str, int | None] = reported(severity, rng) if split == "train" else {**truth(severity)}
        path = f"{name}/study{number}"
        studies.append(Study(path, severity, labels, tuple(_images(rng, path))))
    return Patient(split, male, age, anatomy, own, tuple(studies))


def _images(rng: np.random.Generator, study: str) -> Iterator[Image]:
    """PA films mostly come with a lateral, bedside AP films alone; a repeat now and then."""
    erect = bool(rng.random() < 0.18)
    yield Image(f"{study}/view1_frontal.jpg", sample_acquisition(rng, "PA" if erect else "AP"))
    number = 2
    if rng.random() < 0.03:
        yield Image(f"{study}/view2_frontal.jpg", sample_acquisition(rng, "PA" if erect else "AP"))
        number = 3
    if erect and rng.random() < 0.92:
        yield Image(f"{study}/view{number}_lateral.jpg", sample_acquisition(rng, "LATERAL"))


def labels_csv(patients: Iterable[Patient], root: str) -> bytes:
    """train.csv or valid.csv as CheXpert has them: paths below the release's name, labels as floats, blanks."""
    rows = [",".join(("Path", *DEMOGRAPHICS, *LABELS))]
    for patient in patients:
        sex = "Male" if patient.male else "Female"
        for study in patient.studies:
            values = ["" if study.labels[label] is None else f"{study.labels[label]}.0" for label in LABELS]
            for image in study.images:
                seen = image.acquisition.projection
                views = ("Lateral", "") if seen == "LATERAL" else ("Frontal", seen)
                rows.append(",".join((f"{root}/{image.path}", sex, str(patient.age), *views, *values)))
    return ("\n".join(rows) + "\n").encode()


def test_labels_csv(patients: Iterable[Patient]) -> bytes:
    """test_labels.csv: a row an image, paths from `test/` on, no demographics."""
    rows = [",".join(("Path", *LABELS))]
    for patient in patients:
        for study in patient.studies:
            values = [str(study.labels[label]) for label in LABELS]
            rows += [",".join((image.path, *values)) for image in study.images]
    return ("\n".join(rows) + "\n").encode()


def groundtruth_csv(patients: Iterable[Patient]) -> bytes:
    """groundtruth.csv: a row a study, as published beside the test set for those who score predictions."""
    rows = [",".join(("Study", *LABELS))]
    for patient in patients:
        for study in patient.studies:
            rows.append(",".join((f"CheXpert-v1.0/{study.path}", *(str(study.labels[label]) for label in LABELS))))
    return ("\n".join(rows) + "\n").encode()
