"""Refuse to write a dataset among other people's files, into its own source, or into this project's code.

A folder is written to if it is empty, or holds a dataset or a build in progress of our own.
"""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

import ingest
from shards.errors import DatasetError
from shards.format.dataset import DESCRIPTION
from shards.own_files import leftovers, stranger

PACKAGES = ("shards", "ingest", "training", "evaluation", "recipes")
BUILD_FOLDER, PLAN = ".build", "plan.parquet"

_FILES = re.compile(
    r"(?:train|valid|test)-\d{6}\.(?:tar|idx)|samples\.parquet|dataset\.json|quarantine\.json|"
    r"(?:rejected|duplicates|suspicious)\.csv"
)
_RECORDS = re.compile(r"(?:train|valid|test)-\d{6}\.(?:json|parquet)")


def is_file_of_a_dataset(name: str) -> bool:
    """Whether a build writes a file of this name into the dataset's folder."""
    return _FILES.fullmatch(name) is not None


def refuse_others_folder(out: Path) -> None:
    """Raise DatasetError where `out` is no place for a dataset: see above.

    What a build that was killed before its plan was written left behind is no hindrance.
    """
    refuse_own_packages(out)
    if out.exists() and not out.is_dir():
        raise DatasetError(f"{out} is a file: give a folder that is empty, or that is not there yet")
    if (out / DESCRIPTION).is_file() or (out / BUILD_FOLDER / PLAN).is_file():
        return  # whether these are ours is seen when they are read
    found = stranger(out, lambda name: name == BUILD_FOLDER) or stranger(out / BUILD_FOLDER)
    if found is not None:
        raise DatasetError(
            f"{out} is not empty: {found.relative_to(out)} is there, and neither a dataset nor a build in progress of "
            "build-shards. Give a folder that is empty, or that is not there yet"
        )


def refuse_source(out: Path, sources: Iterable[Path]) -> None:
    """Raise DatasetError where `out` is a folder that images are read from, or lies in one, also by a link."""
    real = out.resolve()
    for source in sources:
        if real == source.resolve() or source.resolve() in real.parents:
            raise DatasetError(
                f"{out} is {source}, or lies in it, from where the images are read: give a folder outside of it, so "
                "that the source stays as it is"
            )


def remove_build(out: Path) -> None:
    """Remove what only a build in progress needs: plan, done-records, and what killed writers left behind.

    A folder `.build` without a plan is somebody else's, and stays.
    """
    folder, done = out / BUILD_FOLDER, out / BUILD_FOLDER / "done"
    gone: list[Path] = list(leftovers(out, is_file_of_a_dataset))
    if (folder / PLAN).is_file():
        gone += [path for path in _inside(done) if _is_record(path.name)]
        gone += [*leftovers(done, _is_record), *leftovers(folder, lambda name: name == PLAN), folder / PLAN]
    for path in gone:
        path.unlink(missing_ok=True)
    for empty in (done, folder):
        with contextlib.suppress(OSError):  # it is not there, or something of another's is in it
            empty.rmdir()


def abandoned(out: Path) -> list[Path]:
    """What writers of a dataset's files that were killed left behind."""
    return list(leftovers(out, is_file_of_a_dataset))


def refuse_own_packages(out: Path) -> None:
    """Raise DatasetError where `out` is one of the project's packages or lies in one, also by a link.

    The packages have generic names, so that `cxr-ingest build-shards SOURCE shards` in a clone would mix a dataset with
    code, and `git clean` would delete it.
    """
    project = Path(ingest.__file__).resolve().parents[1]
    real = out.resolve()
    for package in PACKAGES:
        folder = project / package
        if (folder / "__init__.py").is_file() and (real == folder or folder in real.parents):
            raise DatasetError(
                f"{out} lies in {folder}, which holds this project's code: give a folder outside of it, such as "
                f"data/{out.name if real != folder else 'chexpert'}"
            )


def _is_record(name: str) -> bool:
    return _RECORDS.fullmatch(name) is not None


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
