"""Draw the pictures and readings of a phantom to files: one task is a few patients; files that exist are kept."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import cv2
import simplejpeg

from ingest.phantom.chexpert_release import Split, patients_of, plan_patient
from ingest.phantom.shenzhen_release import plan_case
from shards.durable import write_atomically

FORMAT_VERSION = 1
"""Raised whenever the same parameters would draw other pictures."""

_JPEG_QUALITY = 90
_A_TASK = 8  # patients, or Shenzhen images

Report = Callable[[int, int], None]
"""Called with the number of images that are done, and how many of them were drawn now."""


@dataclass(frozen=True)
class Parameters:
    """Everything that decides the bytes of a phantom."""

    chexpert_patients: int
    shenzhen_images: int
    seed: int
    full_size: bool

    def record(self) -> dict[str, int]:
        """The content of phantom.json."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}

    @property
    def release(self) -> str:
        """Name of the CheXpert folder that holds train and valid."""
        return "CheXpert-v1.0" if self.full_size else "CheXpert-v1.0-small"

    def tasks(self) -> list[str]:
        """Names of pieces of work for `draw`: `<split or shenzhen> <first> <end>`."""
        patients = patients_of(self.chexpert_patients)
        return [
            f"{kind} {first} {min(first + _A_TASK, count)}"
            for kind, count in (*patients.items(), ("shenzhen", self.shenzhen_images))
            for first in range(0, count, _A_TASK)
        ]


def draw(out: Path, parameters: Parameters, task: str, report: Report) -> None:
    """Draw one task's images below `out`. A file that exists is whole, and kept."""
    kind, first, end = task.split()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the processes share the cores already
    try:
        for index in range(int(first), int(end)):
            if kind == "shenzhen":
                _draw_case(out / "ChinaSet_AllFiles", parameters, index + 1, report)
            else:
                root = out / ("CheXpert-test" if kind == "test" else parameters.release)
                _draw_patient(root, parameters, cast(Split, kind), index, report)
    finally:
        cv2.setNumThreads(threads)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        file.write(content)


def _draw_patient(root: Path, parameters: Parameters, split: Split, index: int, report: Report) -> None:
    patient = plan_patient(parameters.seed, split, index)
    for study in patient.studies:
        for image in study.images:
            missing = not (root / image.path).exists()
            if missing:
                picture = patient.picture(study, image, parameters.full_size)
                write(root / image.path, simplejpeg.encode_jpeg(picture[..., None], _JPEG_QUALITY, "GRAY"))
            report(1, int(missing))


def _draw_case(root: Path, parameters: Parameters, number: int, report: Report) -> None:
    case = plan_case(parameters.seed, number)
    reading, image = root / "ClinicalReadings" / f"{case.name}.txt", root / "CXR_png" / f"{case.name}.png"
    if not reading.exists():
        write(reading, case.reading)
    missing = not image.exists()
    if missing:
        write(image, cv2.imencode(".png", case.picture(parameters.full_size))[1].tobytes())
    report(1, int(missing))
