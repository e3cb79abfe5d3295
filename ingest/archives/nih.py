"""NIH ChestX-ray14 (Wang et al., CVPR 2017): Data_Entry_2017*.csv and the official lists of images.

Header as in the release on nihcc.app.box.com: `Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient
Gender,View Position,...`; 2017 has ages like 058Y, v2020 like 58, and some copies `Patient Sex`. The columns after
those (`OriginalImage[Width,Height]` is two) are not read.

A label that an image's list lacks is 0, not missing: the paper (section 3) defines the labels as a vector of 0 and 1
in which all zeros are `No Finding`.
"""

from pathlib import Path

import pandas as pd

from ingest.archives.assembly import assemble
from ingest.archives.recognition import Signature, difference
from ingest.archives.source import SourceRows, find_folder, find_table, image_roots, list_folders, list_names
from ingest.tables.csv_table import read_header, read_table
from ingest.tables.files import file_sha256, read_bytes
from ingest.tables.reasons import Kind
from ingest.tables.rejections import mark, mark_paths
from ingest.tables.vocabulary import ages, ap_pas, projections, sexes, whole_ids
from shards.errors import DatasetError

NO_FINDING = "No Finding"
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
_LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
_SUFFIXES = {"png", "jpg", "jpeg"}
_NAME = r"^(?P<patient>[0-9]+)_(?P<study>[0-9]+)\.(?i:png|jpe?g)$"

# 112,120 images of 30,805 patients (Wang et al.).
_OWN = Signature("ChestX-ray14", r"^0*(\d+)_\d+\.(?:png|jpg)", 112_120, 30_805)


class Nih:
    """The table, the two official lists where they are, and images/ or images_001 to images_012."""

    variant = "nih"
    licence = (
        "NIH Clinical Center: no restriction on use; link to the download page, cite Wang et al., CVPR 2017, and name "
        "the NIH Clinical Center as the provider"
    )
    label_names: tuple[str, ...] = (*FINDINGS, NO_FINDING)
    valid_fraction = 0.125  # of train_val: 10 % of the whole, as in the paper (70/10/20)
    test_fraction = 0.0
    stratify: str | None = None

    def __init__(self, source: Path, test_source: Path | None = None) -> None:
        if test_source is not None:
            raise DatasetError("ChestX-ray14's test images are in its own folder: leave --test-source out")
        folder = find_folder(source, "Data_Entry_2017*.csv*", "NIH ChestX-ray14")
        self.roots = image_roots(source, folder)
        self._table = find_table(folder, "Data_Entry_2017*.csv*")
        self._lists = {split: folder / name for split, name in _LISTS.items() if (folder / name).exists()}
        if len(self._lists) == 1:
            raise DatasetError(f"{folder}: only one of {' and '.join(_LISTS.values())} is there; get both or none")
        if not self._lists:
            self.valid_fraction, self.test_fraction = 0.10, 0.20

    def another_dataset(self) -> str | None:
        """Why this is not ChestX-ray14, by the rows and patients of its table; None where it is."""
        return difference([self._table], _OWN)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of the table and the lists."""
        return {path.name: file_sha256(path) for path in (self._table, *self._lists.values())}

    def read(self) -> SourceRows:
        """One row an image; splits of the official lists, all train where there are none."""
        sex = "Patient Sex" if "Patient Sex" in read_header(self._table) else "Patient Gender"
        needed = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", sex, "View Position")
        table, malformed = read_table(self._table, needed)
        names = table["Image Index"]
        parts = names.str.extract(_NAME)
        rows = pd.DataFrame(
            {
                "key": names.str.replace(r"\.[^.]*$", "", regex=True),
                "patient_id": parts["patient"],
                "study_id": parts["study"],
                "projection": projections(table["View Position"]),
                "ap_pa": ap_pas(table["View Position"]),
                "sex": sexes(table[sex]),
                "age": ages(table["Patient Age"]),
                "split": "train",
                "source_path": names,
                "where": table["where"],
            }
        )
        mark_paths(rows, names)
        mark(rows, parts["patient"].isna(), Kind.UNUSABLE_PATH, "'" + names + "' is not <patient>_<number>.png")
        other = parts["patient"].str.lstrip("0") != whole_ids(table["Patient ID"]).str.lstrip("0")
        mark(rows, other, Kind.CONFLICT, "'" + names + "' is said to be of patient '" + table["Patient ID"] + "'")
        rows[["root", "file"]] = self._images(names)
        self._assign_splits(rows)
        rows = pd.concat([rows, _labels(rows, table["Finding Labels"])], axis=1)
        return assemble(rows, [malformed], self.label_names)

    def _assign_splits(self, rows: pd.DataFrame) -> None:
        if not self._lists:
            return
        listed = {split: rows["source_path"].isin(_read_list(path)) for split, path in self._lists.items()}
        mark(rows, listed["train"] & listed["test"], Kind.CONFLICT, f"in both {' and '.join(_LISTS.values())}")
        mark(rows, ~(listed["train"] | listed["test"]), Kind.NO_SPLIT, f"in neither {' nor '.join(_LISTS.values())}")
        rows["split"] = rows["split"].where(~listed["test"], "test")
        rows["source_split"] = rows["split"].map({"train": "train_val", "test": "test"})

    def _images(self, names: pd.Series) -> pd.DataFrame:
        """Columns root and file of each image, by its name; by its name with another suffix where that is not there.

        The archive's twelve parts may lie apart or together, at their size or smaller (images-224), as PNG or JPEG.
        """
        found: dict[str, tuple[str, str]] = {}
        stems: dict[str, tuple[str, str]] = {}
        for root, folder in self._image_folders():
            for name in list_names(self.roots[root] / folder):
                stem, _, suffix = name.rpartition(".")
                if suffix.lower() in _SUFFIXES:
                    place = root, f"{folder}/{name}".lstrip("/")
                    found.setdefault(name, place)
                    stems.setdefault(stem, place)
        places = names.map(found)
        places = places.where(places.notna(), names.str.replace(r"\.[^.]*$", "", regex=True).map(stems))
        there = places.notna()
        file = places.map(lambda place: place[1], na_action="ignore").where(there, "images/" + names)
        return pd.DataFrame(
            {"root": places.map(lambda place: place[0], na_action="ignore").fillna("source"), "file": file}
        )

    def _image_folders(self) -> list[tuple[str, str]]:
        """Root and path of every folder called images, images_001, images-224 and so on, of such ones within, and last
        the roots themselves."""
        folders = []
        for name, root in self.roots.items():
            beside = list_folders(root)
            outer = ["", *(folder for folder in beside if not folder.startswith("images"))]
            for above in outer:
                inside = beside if not above else list_folders(root / above)
                parts = [f"{above}/{part}".lstrip("/") for part in inside if part.startswith("images")]
                for part in sorted(parts, key=lambda part: ("-224" in part, part)):
                    nested = [f"{part}/{inner}" for inner in list_folders(root / part) if inner.startswith("images")]
                    folders += [(name, path) for path in (part, *nested)]
        return [*sorted(folders, key=lambda place: "-224" in place[1]), *((name, "") for name in self.roots)]


def _labels(rows: pd.DataFrame, text: pd.Series) -> pd.DataFrame:
    """A column a label, float32, from `A|B`; lists that cannot be are marked. There are some hundred different ones."""
    labels: dict[str, list[float]] = {}
    wrong: dict[str, str] = {}
    for cell in text.unique():
        words = set(cell.split("|"))
        unknown = sorted(words - {*FINDINGS, NO_FINDING})
        blank = cell == ""
        labels[cell] = [float("nan") if blank else float(word in words) for word in (*FINDINGS, NO_FINDING)]
        if unknown and not blank:
            wrong[cell] = f"'{unknown[0]}' is none of ChestX-ray14's labels"
        elif NO_FINDING in words and len(words) > 1:
            wrong[cell] = f"'{cell}' has a finding and none"
    mark(rows, text.isin(wrong), Kind.LABEL, text.map(wrong).astype(object))
    frame = pd.DataFrame.from_dict(labels, orient="index", columns=[*FINDINGS, NO_FINDING], dtype="float32")
    return frame.reindex(text.to_numpy()).set_index(rows.index)


def _read_list(path: Path) -> set[str]:
    return {line.strip() for line in read_bytes(path).decode("utf-8-sig", errors="replace").splitlines()}
