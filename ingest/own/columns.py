"""Name the columns of a table of your own: by options, or by a mapping file (YAML) with the same keys."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from shards.errors import DatasetError
from shards.format.schema import COLUMNS
from shards.input_files import load_yaml, read_text


@dataclass(frozen=True, kw_only=True)
class TableColumns:
    """Names of the columns of a table; None where the table does not say. label_names: one column a label."""

    table: Path
    path_column: str = "path"
    patient_column: str | None = None
    study_column: str | None = None
    split_column: str | None = None
    projection_column: str | None = None
    sex_column: str | None = None
    age_column: str | None = None
    label_columns: tuple[str, ...]

    @property
    def wanted(self) -> tuple[str, ...]:
        """All columns that are read."""
        single = (getattr(self, name) for name in SINGLE)
        return tuple(dict.fromkeys([*(name for name in single if name), *self.label_columns]))


Entry = str | list[str]
"""Value of a key of the mapping file: a name, or a list of names."""

SINGLE = tuple(field.name for field in dataclasses.fields(TableColumns) if field.name.endswith("_column"))
"""Fields that name one column each."""


def table_columns(given: Mapping[str, str | Path | None], mapping: Path | None) -> TableColumns:
    """The columns of a table, from options and the mapping file. Options stand above the file.

    given: `table`, SINGLE and `label_columns` (names separated by commas), None where not given. Raises DatasetError
    for a key that is unknown or of another type, and where table or labels are not given.
    """
    options = {key: str(one) for key, one in given.items() if one is not None}
    values = (_read_mapping(mapping) if mapping else {}) | options
    table, labels = values.pop("table", None), values.pop("label_columns", None)
    if table is None:
        raise DatasetError("--dataset table needs the table: give --table FILE, or `table:` in --mapping")
    if labels is None:
        raise DatasetError(
            "--dataset table needs the label columns: give --label-columns A,B,... (or `label_columns:` in --mapping), "
            "or build images without labels by --dataset folder"
        )
    names = _names(labels)
    clashes = sorted({name for name in names if name in COLUMNS or names.count(name) > 1})
    if clashes:
        raise DatasetError(f"--label-columns: {', '.join(clashes)} cannot be the name of a label: rename the column")
    return TableColumns(table=Path(str(table)), label_columns=names, **{key: str(one) for key, one in values.items()})


def _names(labels: Entry) -> tuple[str, ...]:
    """Names of a list, or of a text that separates them by commas."""
    parts = labels if isinstance(labels, list) else str(labels).split(",")
    names = tuple(str(part).strip() for part in parts)
    if "" in names:
        raise DatasetError(f"--label-columns: {labels!r} has an empty name")
    return names


def _read_mapping(path: Path) -> dict[str, Entry]:
    try:
        content = load_yaml(read_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise DatasetError(f"{path} cannot be read as YAML: {said}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} does not hold a mapping, such as `path_column: file`")
    values = {str(key).replace("-", "_"): value for key, value in content.items()}
    known = ("table", *SINGLE, "label_columns")
    if unknown := sorted(values.keys() - set(known)):
        raise DatasetError(f"{path}: unknown keys {', '.join(unknown)}; there are {', '.join(known)}")
    for key, value in values.items():
        lists = key == "label_columns" and isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not (isinstance(value, str) or lists):
            raise DatasetError(f"{path}: {key} is {value!r}: write the name of a column in quotes")
    table = values.get("table")
    if isinstance(table, str) and not Path(table).exists() and (path.parent / table).exists():
        values["table"] = str(path.parent / table)
    return values
