"""Read your own radiographs by a table with one row an image: `--dataset table`."""

import hashlib
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from ingest.archives.assembly import assemble, find_layout
from ingest.archives.source import SourceRows
from ingest.own.columns import TableColumns
from ingest.own.keys import keys_of
from ingest.own.names import TABLE
from ingest.own.typed_table import read_typed
from ingest.tables.csv_table import WHERE
from ingest.tables.files import file_sha256
from ingest.tables.reasons import Kind
from ingest.tables.rejections import mark, mark_labels, mark_paths
from ingest.tables.vocabulary import ages, ap_pas, or_none, projections, sexes

LICENCE = "not known: your own images; see their own terms"

_SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".dcm", ".dicom")
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validate", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SHOWN = 3

_log = logging.getLogger(__name__)


class OwnTable:
    """A table, and images below SOURCE or beside the table."""

    variant = TABLE
    licence = LICENCE
    stratify: str | None = None

    def __init__(self, source: Path, columns: TableColumns) -> None:
        self.columns = columns
        self.label_names = columns.label_columns
        self.roots = {"source": source, "table": columns.table.absolute().parent}
        carved = columns.split_column is None
        self.valid_fraction, self.test_fraction = (0.10, 0.20) if carved else (0.0, 0.0)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of the table, and of the meaning of its columns."""
        meaning = {name: value for name, value in asdict(self.columns).items() if name != "table"}
        said = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()
        return {self.columns.table.name: file_sha256(self.columns.table), "meaning of its columns": said}

    def read(self) -> SourceRows:
        """One row an image. Raises DatasetError where a column, or every image that is looked for, is missing."""
        columns = self.columns
        table, malformed = read_typed(columns)
        path = _below(table[columns.path_column], self.roots["source"])
        rows = pd.DataFrame({"source_path": path, "where": table[WHERE]})
        mark_paths(rows, path)
        rows["key"] = keys_of(path)
        rows[["root", "file"]] = find_layout(self.roots, rows, [path + suffix for suffix in _SUFFIXES])
        rows["patient_id"] = self._patients(rows, table)
        rows["study_id"] = _blank_is_none(_column(table, columns.study_column))
        view = _column(table, columns.projection_column)
        rows["projection"], rows["ap_pa"] = projections(view), ap_pas(view)
        sex, age = (_column(table, name) for name in (columns.sex_column, columns.age_column))
        rows["sex"], rows["age"] = sexes(sex), ages(age)
        _tell_unknown(columns.projection_column, view, rows["projection"].notna() | rows["ap_pa"].notna())
        _tell_unknown(columns.sex_column, sex, rows["sex"].notna())
        _tell_unknown(columns.age_column, age, rows["age"].notna())
        rows["split"] = self._splits(rows, table)
        labels = mark_labels(rows, table[list(self.label_names)])
        rows = pd.concat([rows, labels], axis=1)
        return assemble(rows, [malformed], self.label_names)

    def _patients(self, rows: pd.DataFrame, table: pd.DataFrame) -> pd.Series:
        name = self.columns.patient_column
        if name is None:
            _log.warning(
                "No --patient-column: each image counts as a patient of its own, so one patient may be in two splits."
            )
            return rows["key"]
        mark(rows, table[name] == "", Kind.NO_PATIENT, f"the column {name} is blank")
        return table[name]

    def _splits(self, rows: pd.DataFrame, table: pd.DataFrame) -> pd.Series:
        name = self.columns.split_column
        if name is None:
            rows["source_split"] = pd.Series(None, index=rows.index, dtype=object)
            return pd.Series("train", index=rows.index, dtype=object)
        split = table[name].str.lower().map(_SPLITS)
        mark(rows, split.isna(), Kind.NO_SPLIT, "the table says '" + table[name] + "', not train, valid or test")
        rows["source_split"] = _blank_is_none(table[name])
        return or_none(split)


def _column(table: pd.DataFrame, name: str | None) -> pd.Series:
    """A column of the table, blank throughout where it has no name."""
    return pd.Series("", index=table.index, dtype="str") if name is None else table[name]


def _tell_unknown(name: str | None, text: pd.Series, understood: pd.Series) -> None:
    """Say which words of a column are not understood: nothing is known of their rows then."""
    words = text[(text != "") & ~understood].drop_duplicates()
    if len(words):
        shown = ", ".join(repr(word[:40]) for word in words.iloc[:_SHOWN])
        _log.warning(
            "Column %s: %d different values are not understood and count as unknown, such as %s.",
            name,
            len(words),
            shown,
        )


def _blank_is_none(text: pd.Series) -> pd.Series:
    return or_none(text.where(text != ""))


def _below(text: pd.Series, source: Path) -> pd.Series:
    """Paths as they are below SOURCE: `./` is left out, and so is SOURCE itself from a full path."""
    roots = dict.fromkeys(f"{folder.rstrip('/')}/" for folder in (os.path.abspath(source), os.path.realpath(source)))  # noqa: PTH100
    for root in roots:
        text = text.where(~text.str.startswith(root), text.str.removeprefix(root))
    return text.str.replace(r"^(?:\./)+", "", regex=True)
