"""Read the truth that predictions are judged by: a table, or a split of a dataset of shards, by image or by study.

Labels keep 1, 0, -1 and NaN here. The columns that are no labels may name clusters; a Path or a Study names its
patient.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.tables.identifiers import PATH, STUDY, comparable, key_of_path, kind_of, quoted, study_of_path
from evaluation.tables.patients import PATIENT, patients_of_ids
from evaluation.tables.table import Table, TableError, read_table
from evaluation.tables.table_files import as_text
from shards.format.dataset import DESCRIPTION, Dataset, open_dataset
from shards.format.subsets import select
from shards.selection.row_filter import filtered

STUDY_COLUMN = "study_id"


@dataclass(frozen=True)
class TruthOrigin:
    """What a result says of the truth. sha256: of a table; name, digest, split, row_filter: of a dataset of shards.

    rows: of the comparison; images: how many the studies were made from, None where rows are not studies.
    """

    path: str
    rows: int
    sha256: str | None = None
    name: str | None = None
    digest: str | None = None
    split: str | None = None
    images: int | None = None
    row_filter: str | None = None

    def as_json(self) -> dict[str, str | int]:
        """The keys that are known, in the order in which results have always had them."""
        order = ("path", "sha256", "name", "digest", "split", "row_filter", "rows", "images")
        known = {key: getattr(self, key) for key in order}
        return {key: value for key, value in known.items() if value is not None}


@dataclass(frozen=True)
class Truth:
    """source: the path as given. id_name: what a row is (`Study`, `key`, ...). ids: [rows], as compared.

    labels: [rows] one column a label, 1, 0, -1 or NaN. groups: [rows], the columns that may name clusters, as
    text, blank where missing. unused: its labels that some prediction lacks. origin: what the result's JSON says of it.
    """

    source: Path
    id_name: str
    ids: tuple[str, ...]
    labels: pd.DataFrame
    groups: pd.DataFrame
    unused: tuple[str, ...]
    origin: TruthOrigin


def read_truth(path: Path, predictions: Sequence[Table]) -> Truth:
    """Truth in the rows that the predictions are about: their split, their labels, images or whole studies.

    Raises TableError where the ids are of kinds that cannot be compared, or no label is shared.
    """
    column = predictions[0].id_column
    shared = set(predictions[0].names).intersection(*(table.names for table in predictions))
    if path.is_dir() or path.name == DESCRIPTION:
        return _from_shards(path if path.is_dir() else path.parent, predictions, column, shared)
    return _from_table(path, column, shared)


def _from_table(path: Path, column: str, shared: set[str]) -> Truth:
    table = read_table(path)
    names = _shared_labels(path, table.names, shared)
    labels = pd.DataFrame({name: table.truth(name) for name in names})
    groups = _groups(table.columns.drop(columns=names))
    unused = tuple(str(name) for name in groups if name != PATIENT and _is_label(table, str(name)))
    groups = patients_of_ids(table, groups)
    origin = TruthOrigin(str(path), len(table.ids), sha256=table.sha256)
    truth = Truth(path, table.id_column, table.ids, labels, groups, unused, origin)
    wanted, given = kind_of(column), kind_of(table.id_column)
    if wanted == given:
        return truth
    if given != PATH:
        raise TableError(
            f"{path} is by {table.id_column}, the predictions are by {column}: these cannot be compared. Give the "
            "shards folder as --labels, or predictions by the truth's own id"
        )
    shallow = [row for row, value in enumerate(table.ids) if value.count("/") < 2]
    if shallow:
        raise TableError(f"{table.place(shallow[0])}: no patient and study in the path {table.ids[shallow[0]]}")
    if wanted == STUDY:
        return _by_study(truth, [study_of_path(value) for value in table.ids])
    return replace(truth, id_name=column, ids=tuple(key_of_path(value) for value in table.ids))


def _from_shards(root: Path, predictions: Sequence[Table], column: str, shared: set[str]) -> Truth:
    dataset = open_dataset(root, check_shards=False)
    _refuse_other_dataset(dataset, predictions)
    split = _split(dataset, predictions)
    dataset = filtered(dataset, _row_filter(predictions), (split,))
    rows = select(dataset, split).reset_index(drop=True)
    names = _shared_labels(root, list(dataset.label_names), shared)
    labels = rows[names].astype(np.float64)
    groups = _groups(rows.drop(columns=list(dataset.label_names)))
    origin = TruthOrigin(
        str(root), len(rows), name=dataset.name, digest=dataset.digest, split=split, row_filter=dataset.row_filter
    )
    kind = kind_of(column)
    source = "source_path" if kind == PATH else "sample_id" if column == "sample_id" else "key"
    ids = comparable(column, [str(value) for value in rows[source]])
    unused = tuple(name for name in dataset.label_names if name not in names)
    truth = Truth(root, column, tuple(ids), labels, groups, unused, origin)
    if kind != STUDY:
        return truth
    studies = [f"{p}/{s}" for p, s in zip(rows["patient_id"], rows["study_id"], strict=True)]
    return _by_study(truth, comparable(STUDY, studies))


def _by_study(truth: Truth, studies: Sequence[str]) -> Truth:
    """One row a study, in order of first appearance, its label by `study_label`; group columns that vary are lost."""
    frame = pd.DataFrame({"study": studies})
    codes, unique = pd.factorize(frame["study"])
    labels = pd.DataFrame(
        {name: study_label(truth.labels[name].to_numpy(np.float64), codes, len(unique)) for name in truth.labels}
    )
    by_study = truth.groups.groupby(codes)
    constant = [str(name) for name in truth.groups if (by_study[str(name)].nunique() == 1).all()]
    groups = by_study[constant].first().reset_index(drop=True)
    origin = replace(truth.origin, rows=len(unique), images=len(studies))
    return Truth(truth.source, STUDY, tuple(map(str, unique)), labels, groups, truth.unused, origin)


def study_label(values: NDArray[np.float64], study: NDArray[np.int64], studies: int) -> NDArray[np.float64]:
    """A label of each study from its images' [rows]: the maximum, with uncertain above negative.

    So where images disagree: 1 if any is 1, else -1 if any is uncertain, else 0 if any is 0, else NaN.
    """
    rank = np.select([values == 1, values == -1, values == 0], [3, 2, 1], 0)
    highest = np.zeros(studies, np.int64)
    np.maximum.at(highest, study, rank)
    return np.array([np.nan, 0.0, -1.0, 1.0])[highest]


def _groups(columns: pd.DataFrame) -> pd.DataFrame:
    """Columns that may name clusters, as text; a study's name is unique within its patient only."""
    groups = pd.DataFrame({str(name): as_text(columns[name]) for name in columns}, index=columns.index, dtype=object)
    if {PATIENT, STUDY_COLUMN} <= set(groups):
        known = (groups[PATIENT] != "") & (groups[STUDY_COLUMN] != "")
        groups[STUDY_COLUMN] = (groups[PATIENT] + "/" + groups[STUDY_COLUMN]).where(known, "")
    return groups


def _is_label(table: Table, name: str) -> bool:
    """Whether a column holds nothing but 1, 0, -1 and blanks, and some 0 or 1."""
    try:
        return bool(np.isin(table.truth(name), (0, 1)).any())
    except TableError:
        return False


def _shared_labels(path: Path, columns: Sequence[str], shared: set[str]) -> list[str]:
    names = [name for name in columns if name in shared]
    if not names:
        raise TableError(
            f"no label is in {path} ({quoted(columns, 8)}) and in all predictions "
            f"({quoted(sorted(shared), 8) or 'none'})"
        )
    return names


def _refuse_other_dataset(dataset: Dataset, predictions: Sequence[Table]) -> None:
    for table in predictions:
        named = table.sidecar.content.find("dataset", "name") if table.sidecar else None
        if named is not None and named.value != dataset.name:
            raise TableError(
                f"{table.path} predicts the dataset {named.value!r}, {dataset.root} is {dataset.name!r}: give the "
                "shards that the predictions were made on"
            )


def _row_filter(predictions: Sequence[Table]) -> str | None:
    """The condition that the predictions' rows fulfil; None where they are of all rows, or of different ones."""
    found = [table.sidecar.content.find("row_filter") if table.sidecar else None for table in predictions]
    named = {None if condition is None else str(condition.value) for condition in found}
    return named.pop() if len(named) == 1 else None


def _split(dataset: Dataset, predictions: Sequence[Table]) -> str:
    """The one split that all sidecars name; without a sidecar, the split of the first id."""
    splits = [table.sidecar.content.find("split") for table in predictions if table.sidecar]
    named = {str(split.value) for split in splits if split is not None}
    if len(named) > 1:
        raise TableError(f"the predictions are of different splits: {', '.join(sorted(named))}")
    if named:
        return named.pop()
    table = predictions[0]
    samples = dataset.samples
    for column in ("key", "sample_id"):
        found = samples.loc[samples[column].astype(str) == table.ids[0], "split"]
        if len(found):
            return str(found.iloc[0])
    raise TableError(
        f"{table.path} has no {table.path.name}.json that names its split, and its first id {table.ids[0]} is no key "
        f"of {dataset.root}: give the truth as a CSV"
    )
