"""CheXpert (Irvin et al., AAAI 2019), full or small release, and any dataset in its layout.

Labels stay exactly as the CSV has them. The released test set comes from a second folder, whose table may name
images (`Path`: CheXlocalize's test_labels.csv) or studies (`Study`: groundtruth.csv) and has no demographics.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ingest.archives.assembly import assemble, found_suffix
from ingest.archives.chexpert_folders import batch_roots, locate_patients
from ingest.archives.chexpert_labels import LABELS
from ingest.archives.recognition import Signature, difference
from ingest.archives.source import SourceRows, find_folder, image_roots, list_names, table_path
from ingest.tables.csv_table import present_labels, read_header, read_table
from ingest.tables.files import file_sha256
from ingest.tables.reasons import Kind
from ingest.tables.rejections import mark, mark_labels, mark_paths
from ingest.tables.vocabulary import OLDEST, ap_pas, projections, sexes
from shards.errors import DatasetError

__all__ = ["LABELS", "LAST_THREE", "Chexpert"]

DEMOGRAPHICS = ("Sex", "Age", "Frontal/Lateral", "AP/PA")
TEST_TABLES = ("test_labels.csv", "test.csv", "groundtruth.csv")

_PREFIX = r"^(?P<prefix>CheXpert[^/]*)/"
_NOT_A_STUDY = r"^$|^/|^[A-Za-z]:|\\|(?:^|/)\.\.(?:/|$)"
LAST_THREE = r"^(?:.*/)?(?P<patient>(?!(?:train|valid|test)/)[^/]+)/(?P<study>[^/]+)/(?P<stem>[^/]+)\.(?i:jpe?g|png)$"

# 223,414 rows of 64,540 patients in train.csv, of the full and of the small release.
_OWN = Signature("CheXpert", r"(patient\d+)/study", 223_414, 64_540)


class Chexpert:
    """train.csv, valid.csv where there is one, and the test release where its folder is given."""

    variant = "chexpert"
    licence = "Stanford University Dataset Research Use Agreement (CheXpert; cite Irvin et al., AAAI 2019)"
    label_names: tuple[str, ...] = LABELS
    valid_fraction = 0.0
    test_fraction = 0.0
    stratify: str | None = None

    def __init__(self, source: Path, test_source: Path | None = None) -> None:
        batches = batch_roots(source, "train.csv")
        folder = batches[0] if batches else find_folder(source, "train.csv", "CheXpert")
        self.roots = image_roots(source, folder)
        if batches:
            self.roots = {"source": folder, "above" if batches[1] == source else "beside": batches[1]}
        self._tables = {"train": table_path(folder, "train.csv")}
        if table_path(folder, "valid.csv").exists():
            self._tables["valid"] = table_path(folder, "valid.csv")
        if test_source is not None:
            self._tables["test"] = _find_test_table(test_source)
            self.roots["test"] = self._tables["test"].parent

        self.label_names = present_labels(list(self._tables.values()), LABELS)

    def another_dataset(self) -> str | None:
        """Why this is not CheXpert, by the rows and patients of its table; None where it is."""
        return difference([self._tables["train"]], _OWN)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of train, valid and test tables."""
        return {path.name: file_sha256(path) for path in self._tables.values()}

    def read(self) -> SourceRows:
        """Rows of all tables, splits as the files say."""
        frames, malformed = [], []
        for split, path in self._tables.items():
            root = "test" if split == "test" else "source"
            frame, bad = _read_rows(path, self.roots[root], self.label_names)
            frames.append(frame.assign(split=split, source_split=split, root=root))
            malformed.append(bad)
        rows = pd.concat(frames, ignore_index=True)
        own = rows["root"] != "test"
        roots = {name: root for name, root in self.roots.items() if name != "test"}
        rows.loc[own, ["root", "file"]] = locate_patients(rows[own], roots)
        rows["file"] = pd.concat([found_suffix(of_split, self.roots) for _, of_split in rows.groupby("split")])
        return assemble(rows, malformed, self.label_names)


def _find_test_table(test_source: Path) -> Path:
    for name in TEST_TABLES:
        for folder in (test_source, test_source / "CheXpert"):
            if (path := table_path(folder, name)).is_file():
                return path
    raise DatasetError(f"{test_source}: none of {', '.join(TEST_TABLES)} in it: not a CheXpert test release")


def _locate(paths: pd.Series, root: Path) -> pd.DataFrame:
    """patient_id, study_id, key, source_path (without the release's own folder name) and file (as it is on disk)."""
    prefix = paths.str.extract(_PREFIX)["prefix"]
    bare = paths.str.replace(_PREFIX, "", regex=True)
    kept = [name for name in prefix.dropna().unique() if name != root.name and _is_folder(root / name)]
    parts = bare.str.extract(LAST_THREE)
    return pd.DataFrame(
        {
            "patient_id": parts["patient"],
            "study_id": parts["study"],
            "key": parts["patient"] + "_" + parts["study"] + "_" + parts["stem"],
            "source_path": bare,
            "file": paths.where(prefix.isin(kept), bare),
        }
    )


def _read_rows(path: Path, root: Path, labels: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of one table, unusable ones marked: all columns of SourceRows.samples but split, source_split and root."""
    release = path.name.removesuffix(".gz") in TEST_TABLES
    by_study = release and "Path" not in read_header(path)
    image = ("Study" if by_study else "Path",)
    # Only the test release may lack demographics: in train.csv a missing column is a damaged download.
    required, optional = (image, DEMOGRAPHICS) if release else ((*image, *DEMOGRAPHICS), ())
    table, malformed = read_table(path, required, (*optional, *labels))
    if by_study:
        table = _one_row_an_image(table, root)
    rows = _locate(table["Path"], root)
    rows["where"] = table["where"]
    rows[["projection", "ap_pa", "sex", "age"]] = _describe(table)
    mark_paths(rows, table["Path"])
    mark(rows, rows["key"].isna(), Kind.UNUSABLE_PATH, "'" + table["Path"] + "' is not .../patient/study/image.jpg")
    rows[list(labels)] = mark_labels(rows, table[list(labels)])
    return rows, malformed


def _describe(table: pd.DataFrame) -> pd.DataFrame:
    """projection, ap_pa, sex and age (years), None or NaN where the table does not say."""
    projection = projections(table["Frontal/Lateral"])
    unsaid = projection.isna()
    named = table.loc[unsaid, "Path"].str.lower().str.extract(r"(frontal|lateral)[^/]*$")[0].fillna("")
    projection[unsaid] = projections(named)
    age = pd.to_numeric(table["Age"], errors="coerce")
    # A patient without demographics stands in train.csv as 'Unknown' of age 0; a newborn has a sex.
    known = age.between(0, OLDEST) & ~((age == 0) & (table["Sex"].str.lower() == "unknown"))
    return pd.DataFrame(
        {
            "projection": projection,
            "ap_pa": ap_pas(table["AP/PA"]),
            "sex": sexes(table["Sex"]),
            "age": age.where(known).astype("float32"),
        }
    )


def _one_row_an_image(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    """A table of studies as one of images: each image in a study's folder takes the study's labels."""
    paths = []
    for study in table["Study"]:
        bare = re.sub(_PREFIX, "", study)
        folder = root / (study if _is_folder(root / study) else bare)
        inside = not re.search(_NOT_A_STUDY, study) and _is_folder(folder)
        names = list_names(folder) if inside else []
        images = [name for name in names if name.lower().endswith((".jpg", ".jpeg", ".png"))]
        paths.append([f"{study}/{name}" for name in images or ["no-image.jpg"]])
    return table.assign(Path=pd.Series(paths, index=table.index, dtype=object)).explode("Path", ignore_index=True)


def _is_folder(path: Path) -> bool:
    """Whether there is such a folder; a name that no file can have is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
