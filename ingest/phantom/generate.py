"""Make a phantom: claim a folder, draw the pictures in worker processes, write the tables last.

An interrupted call is resumed by the same call, to the same bytes.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

from ingest.phantom.chexpert_release import (
    MOST_PATIENTS,
    groundtruth_csv,
    labels_csv,
    patients_of,
    plan_patient,
    test_labels_csv,
)
from ingest.phantom.files import Parameters, draw, write
from ingest.phantom.shenzhen_release import MOST_IMAGES
from ingest.workers import cores, run
from shards.durable import write_json_atomically
from shards.errors import DatasetError
from shards.json_value import JsonError, JsonValue, parse_json
from shards.own_files import leftover_of, stranger
from shards.terminal.progress import progress

_WORTH_PROCESSES = 100  # images; fewer are drawn sooner than workers start


@dataclass(frozen=True)
class PhantomSummary:
    """What lies in a finished phantom. A folder is None where nothing of that kind was asked for."""

    out: Path
    chexpert: Path | None
    chexpert_test: Path | None
    shenzhen: Path | None
    images: dict[str, int]  # train, valid, test, shenzhen
    drawn: int  # how many of them this call drew; the rest was there


def make_phantom(
    out: Path,
    *,
    chexpert_patients: int = 600,
    shenzhen_images: int = 300,
    seed: int = 0,
    full_size: bool = False,
    workers: int | None = None,
) -> PhantomSummary:
    """Draw procedural radiographs in CheXpert's and Shenzhen's layouts below `out`.

    chexpert_patients: in train; `patients_of` says how many valid and test get. workers: None for one a core.
    The same parameters give the same bytes, whatever the workers and interruptions (same numpy and OpenCV).
    Raises DatasetError where `out` holds something else or cannot be written.
    """
    if not 0 <= chexpert_patients <= MOST_PATIENTS or not 0 <= shenzhen_images <= MOST_IMAGES or seed < 0:
        raise DatasetError(
            f"{chexpert_patients} CheXpert patients, {shenzhen_images} Shenzhen images, seed {seed}: a phantom has at "
            f"most {MOST_PATIENTS} patients and {MOST_IMAGES} images, and nothing below 0"
        )
    parameters = Parameters(chexpert_patients, shenzhen_images, seed, full_size)
    try:
        _claim(out, parameters)
        return _fill(out, parameters, workers)
    except OSError as error:
        raise DatasetError(
            f"{error.filename or out}: {error.strerror or error}. Correct that and run the same command again: it "
            "resumes where it stopped."
        ) from error


def _claim(out: Path, parameters: Parameters) -> None:
    """Write phantom.json into an empty folder, or check that the one there says the same."""
    record_path, record = out / "phantom.json", parameters.record()
    if not record_path.is_file():
        if out.exists() and (not out.is_dir() or stranger(out) is not None):
            raise DatasetError(f"{out} is not an empty folder and holds no phantom. Choose another OUT.")
        out.mkdir(parents=True, exist_ok=True)
        write_json_atomically(record_path, record)
    elif (found := _read(record_path)).value != record:
        there = {name: known.value for name, known in found.fields().items()}
        differs = [f"{name} {there.get(name)} there, {value} asked for" for name, value in record.items()
                   if there.get(name) != value]  # fmt: skip
        raise DatasetError(
            f"{out} holds another phantom: {'; '.join(differs)}. Choose another OUT, or remove that phantom."
        )
    for path in out.rglob(".*.tmp"):
        if leftover_of(path) is not None:
            path.unlink(missing_ok=True)


def _read(record_path: Path) -> JsonValue:
    try:
        found = parse_json(record_path.read_bytes())
        found.fields()
    except JsonError as error:
        raise DatasetError(
            f"{record_path} is no phantom's record. Choose another OUT, or remove {record_path.parent}."
        ) from error
    return found


def _fill(out: Path, parameters: Parameters, workers: int | None) -> PhantomSummary:
    seed, counts = parameters.seed, patients_of(parameters.chexpert_patients)
    patients = {split: [plan_patient(seed, split, index) for index in range(counts[split])] for split in counts}
    images = {str(split): sum(len(s.images) for p in found for s in p.studies) for split, found in patients.items()}
    images["shenzhen"] = parameters.shenzhen_images
    total, drawn = sum(images.values()), 0
    if total < _WORTH_PROCESSES:
        workers = 1
    with progress(total, "phantom", "images") as bar:

        def report(done: int, new: int) -> None:
            nonlocal drawn
            drawn += new
            bar.advance(done)

        run(functools.partial(draw, out, parameters), parameters.tasks(), workers or cores(), report)
    chexpert, test, shenzhen = out / parameters.release, out / "CheXpert-test", out / "ChinaSet_AllFiles"
    if counts["train"]:
        write(test / "groundtruth.csv", groundtruth_csv(patients["test"]))
        write(test / "test_labels.csv", test_labels_csv(patients["test"]))
        write(chexpert / "valid.csv", labels_csv(patients["valid"], parameters.release))
        write(chexpert / "train.csv", labels_csv(patients["train"], parameters.release))
    return PhantomSummary(
        out,
        chexpert if counts["train"] else None,
        test if counts["train"] else None,
        shenzhen if parameters.shenzhen_images else None,
        images,
        drawn,
    )
