"""Read a folder of radiographs without a table or labels, for pretraining: `--dataset folder`."""

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ingest.archives.assembly import assemble
from ingest.archives.source import SourceRows
from ingest.own.keys import keys_of, stem_of
from ingest.own.names import FOLDER
from ingest.own.table import LICENCE
from ingest.tables.reasons import Kind
from ingest.tables.rejections import mark, mark_paths
from shards.errors import DatasetError
from shards.images.found_files import is_image, walk

PARENT, STEM = "parent", "stem"
_SHOWN = 3

_log = logging.getLogger(__name__)


class OwnFolder:
    """Every JPEG, PNG and DICOM file below SOURCE, whatever it is called."""

    variant = FOLDER
    licence = LICENCE
    label_names: tuple[str, ...] = ()
    valid_fraction = 0.0
    test_fraction = 0.0
    stratify: str | None = None

    def __init__(self, source: Path, patient_from: str | None = None) -> None:
        self.roots = {"source": source}
        self.patient_from = patient_from
        self._paths = sorted(_images(source))
        if not self._paths:
            raise DatasetError(f"{source}: no JPEG, PNG or DICOM file in it or below")

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of the list of images, and of how patients are told."""
        listing = "\n".join(self._paths).encode(errors="backslashreplace")
        rule = str(self.patient_from).encode()
        return {
            "list of images": hashlib.sha256(listing).hexdigest(),
            "patients": hashlib.sha256(rule).hexdigest(),
        }

    def read(self) -> SourceRows:
        """One row an image, all of them train."""
        # Bytes that are no UTF-8 are escaped: no file is found by such a name, and it is rejected.
        paths = pd.Series(
            [path.encode(errors="surrogateescape").decode(errors="backslashreplace") for path in self._paths],
            dtype=object,
        )
        rows = pd.DataFrame({"source_path": paths, "file": paths, "root": "source", "where": "the folder"})
        mark_paths(rows, paths)
        rows["key"], rows["split"] = keys_of(paths), "train"
        rows["patient_id"] = self._patients(rows)
        return assemble(rows, [], ())

    def _patients(self, rows: pd.DataFrame) -> pd.Series:
        paths, rule = rows["source_path"], self.patient_from
        if rule is None:
            _log.warning(
                "No --patient-from: each image counts as a patient of its own, so one patient may be in two splits."
            )
            return rows["key"]
        if rule == STEM:
            return paths.map(stem_of)
        if rule == PARENT:
            parents = paths.map(lambda path: path.rpartition("/")[0])
            mark(rows, parents == "", Kind.NO_PATIENT, "the image lies in SOURCE itself, in no patient's folder")
            return parents
        try:
            pattern = re.compile(rule)
        except re.error as error:
            raise DatasetError(f"--patient-from {rule!r} is no regular expression: {error}") from error
        patients = paths.map(lambda path: _matched(pattern, path))
        mark(rows, patients == "", Kind.NO_PATIENT, f"the path does not match {rule!r}")
        return patients


def _matched(pattern: re.Pattern[str], path: str) -> str:
    """The group `patient`, or the first, or a regular expression's whole match in a path; '' for nothing."""
    found = pattern.search(path)
    if found is None:
        return ""
    if "patient" in found.re.groupindex:
        return found["patient"] or ""
    return (found[1] if found.re.groups else found[0]) or ""


def _images(source: Path) -> Iterator[str]:
    """Paths below the source of files that begin as an image does; hidden files and folders are left out."""
    other: list[str] = []
    for path in walk(source):
        if is_image(path):
            yield os.path.relpath(path, source)
        else:
            other.append(os.path.relpath(path, source))
    if other:
        shown = ", ".join(ascii(name)[1:-1] for name in sorted(other)[:_SHOWN])
        _log.warning("%s: %d files that are no JPEG, PNG or DICOM are left out, such as %s.", source, len(other), shown)
