"""Join truth and predictions by id: the arrays that the bootstrap works on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation.tables.agreement import agreement
from evaluation.tables.identifiers import quoted, some
from evaluation.tables.leakage import NOTHING_ALLOWED, Allowed, Leaks, leaks
from evaluation.tables.patients import PATIENT
from evaluation.tables.provenance import ArmTables, Draw, draws_of
from evaluation.tables.sidecar import Sidecar, stated
from evaluation.tables.subgroups import By, Subgroups, subgroups
from evaluation.tables.table import Table, TableError
from evaluation.tables.truth import Truth, TruthOrigin

__all__ = ["Arm", "ArmTables", "Comparison", "Draw", "Input", "LeftOut", "compare"]

FEWEST_UNITS = 2
"""Fewer resampled units hold no information on their variation."""


@dataclass(frozen=True)
class Input:
    """A file of predictions. sha256: None of a Zarr group. sidecar: None where it has none."""

    path: str
    sha256: str | None
    sidecar: Sidecar | None


@dataclass(frozen=True)
class Arm:
    """The predictions of one arm. scores: [draws, rows, labels]; draws and files: one each."""

    name: str
    scores: NDArray[np.float64]
    draws: tuple[Draw, ...]
    files: tuple[Input, ...]


@dataclass(frozen=True)
class LeftOut:
    """What was read and not used. labels: names by file. rows: by label, how many rows are uncertain and blank."""

    labels: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Arms on the same rows, ordered by the names of their units and then by id.

    truth: [rows, labels], 1, 0, or NaN where it is uncertain or unknown: such a row is left out of the label.
    unit: [rows], the resampled unit of each row, 0-based. clustered: some unit has more than one row.
    different: in what the arms' sidecars disagree. allowed: what of it was allowed. leaks: what the weights have seen
    of the rows, and was allowed. subgroups: by column. warnings: sentences for the person who reads the result.
    ids: [rows], as compared.
    """

    labels: tuple[str, ...]
    truth: NDArray[np.float64]
    arms: tuple[Arm, ...]
    unit_name: str
    unit: NDArray[np.int64]
    clustered: bool
    different: tuple[str, ...]
    left_out: LeftOut
    warnings: tuple[str, ...]
    truth_origin: TruthOrigin
    allowed: tuple[str, ...] = ()
    leaks: Leaks = field(default_factory=Leaks)
    subgroups: dict[str, Subgroups] = field(default_factory=dict)
    ids: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        """How many units are resampled."""
        return int(self.unit.max()) + 1


def compare(
    truth: Truth,
    arms: Sequence[ArmTables],
    cluster: str | None = None,
    *,
    probabilities: bool = False,
    allowed: Collection[str] = (),
    leakage: Allowed = NOTHING_ALLOWED,
    by: Sequence[By] = (),
) -> Comparison:
    """Join by id. cluster: the truth's column to resample; None takes the patient where one is named, else the id.

    probabilities: refuse scores outside 0..1. allowed: in what the arms may differ beside their weights
    (`evaluation.tables.agreement.DIFFERENCES`). leakage: whether the weights may have seen the rows. by: columns that
    make subgroups. Raises TableError for ids that are missing on either side or of different columns, for a score that
    is none, a cluster column that is missing or blank, fewer than two units, and arms that may not be compared.
    """
    tables = [table for arm in arms for table in arm.tables]
    _refuse_other_ids(tables)
    draws = [draws_of(arm) for arm in arms]
    agreed = agreement(arms, truth.origin, allowed)
    leaked = leaks(arms, leakage)
    labels = tuple(str(name) for name in truth.labels)
    unit_name, unit = _numbered_units(truth, cluster)
    order = np.lexsort((np.array(truth.ids, object).astype(str), unit))
    values = truth.labels.to_numpy(np.float64)[order]
    ids = [truth.ids[row] for row in order]
    joined = [np.stack([_aligned(truth, ids, table, labels, probabilities) for table in arm.tables]) for arm in arms]
    return Comparison(
        labels=labels,
        truth=np.where(values == -1, np.nan, values),
        arms=tuple(_arm(arm, scores, of_arm) for arm, scores, of_arm in zip(arms, joined, draws, strict=True)),
        unit_name=unit_name,
        unit=np.asarray(unit[order], np.int64),
        clustered=bool(np.bincount(unit).max() > 1),
        different=agreed.different,
        allowed=agreed.allowed,
        leaks=leaked,
        subgroups={one.column: _subgroups(truth, one, order, ids) for one in by},
        left_out=_left_out(truth, tables, labels),
        warnings=(
            *agreed.remarks,
            *leaked.remarks,
            *_left_out_samples(tables),
            *_warnings(truth, tables, arms, joined),
        ),
        truth_origin=truth.origin,
        ids=tuple(ids),
    )


def _numbered_units(truth: Truth, cluster: str | None) -> tuple[str, NDArray[np.intp]]:
    """Name of the unit that is resampled, and its number for each row. Raises TableError for fewer than two."""
    unit_name, names = _units(truth, cluster)
    units, unit = np.unique(np.array(names, object), return_inverse=True)
    if len(units) < FEWEST_UNITS:
        raise TableError(
            f"{truth.source}: all {len(names)} rows are of one {unit_name} ({units[0]!r}): there is nothing to "
            "resample. Name another --cluster, or give more rows"
        )
    return unit_name, unit


def _arm(arm: ArmTables, scores: NDArray[np.float64], draws: tuple[Draw, ...]) -> Arm:
    files = tuple(Input(str(table.path), table.sha256, table.sidecar) for table in arm.tables)
    return Arm(arm.name, scores, draws, files)


def _refuse_other_ids(tables: Sequence[Table]) -> None:
    for table in tables[1:]:
        if table.id_column != tables[0].id_column:
            raise TableError(
                f"{tables[0].path} is by {tables[0].id_column}, {table.path} by {table.id_column}: "
                "all predictions need the same first column"
            )


def _aligned(
    truth: Truth, ids: Sequence[str], table: Table, labels: Sequence[str], probabilities: bool
) -> NDArray[np.float64]:
    """The table's scores in the order of ids, [rows, labels]."""
    row_of = {value: row for row, value in enumerate(table.ids)}
    first = f"First ids there: {quoted(truth.ids)}; in {table.path}: {quoted(table.ids)}"
    missing = [value for value in truth.ids if value not in row_of]
    if missing:
        raise TableError(
            f"{table.path} has no prediction for {len(missing)} of the {len(ids)} ids of {truth.source}: "
            f"{quoted(missing)}. Predict them too, or leave them out of the truth. {first}"
        )
    if len(table.ids) > len(ids):
        known = set(ids)
        extra = [value for value in table.ids if value not in known]
        raise TableError(
            f"{truth.source} has no row for {len(extra)} of the {len(table.ids)} ids of {table.path}: "
            f"{quoted(extra)}. Both must hold the same ids. {first}"
        )
    order = [row_of[value] for value in ids]
    read = table.probabilities if probabilities else table.scores
    return np.stack([read(label)[order] for label in labels], axis=1)


def _units(truth: Truth, cluster: str | None) -> tuple[str, list[str]]:
    """Name of the resampled column and each row's unit: `cluster`, else patient_id, else the id itself."""
    if cluster is None:
        cluster = PATIENT if PATIENT in truth.groups else truth.id_name
    if cluster == truth.id_name:
        return cluster, list(truth.ids)
    if cluster not in truth.groups:
        raise TableError(
            f"{truth.source} has no column {cluster!r} to resample by that is the same in all rows of a "
            f"{truth.id_name}: choose one of {', '.join([truth.id_name, *truth.groups])}"
        )
    column = [str(value) for value in truth.groups[cluster]]
    blank = [truth.ids[row] for row, value in enumerate(column) if not value]
    if blank:
        raise TableError(
            f"{truth.source}: {cluster} is blank for {len(blank)} rows ({some(blank)}): "
            "a row of unknown cluster cannot be resampled. Fill it in, or leave the rows out of truth and predictions"
        )
    return cluster, column


def _subgroups(truth: Truth, by: By, order: NDArray[np.int64], ids: Sequence[str]) -> Subgroups:
    """The subgroups of the rows in their order. Raises TableError for a column that the truth has not."""
    if by.column not in truth.groups:
        raise TableError(
            f"--by {by.column}: {truth.source} has no such column that is the same in all rows of a {truth.id_name}: "
            f"choose of {', '.join(map(str, truth.groups))}"
        )
    column = [str(value) for value in truth.groups[by.column]]
    return subgroups(by, [column[row] for row in order], ids)


def _left_out(truth: Truth, tables: Sequence[Table], labels: Sequence[str]) -> LeftOut:
    names = {str(table.path): [name for name in table.names if name not in labels] for table in tables}
    names = {str(truth.source): list(truth.unused), **names}
    values = truth.labels.to_numpy(np.float64)
    rows = {
        label: {"uncertain": int((column == -1).sum()), "blank": int(np.isnan(column).sum())}
        for label, column in zip(labels, values.T, strict=True)
    }
    return LeftOut({path: left for path, left in names.items() if left}, rows)


def _left_out_samples(tables: Sequence[Table]) -> list[str]:
    """Say of the files of predictions how many samples of their split were never predicted, by their sidecars."""
    files: dict[tuple[int, int], list[str]] = {}
    for table in tables:
        counts = [stated(table.sidecar, "left_out", kind) for kind in ("quarantined", "excluded")]
        quarantined, excluded = (one.value if one is not None and isinstance(one.value, int) else 0 for one in counts)
        if quarantined or excluded:
            files.setdefault((quarantined, excluded), []).append(str(table.path))
    return [
        f"{quarantined} quarantined and {excluded} excluded samples of the split are in none of these predictions, and "
        f"not judged: {some(paths)}."
        for (quarantined, excluded), paths in files.items()
    ]


def _warnings(
    truth: Truth, tables: Sequence[Table], arms: Sequence[ArmTables], scores: Sequence[NDArray[np.float64]]
) -> list[str]:
    found = []
    unused = {str(table.path): set(table.names) - set(truth.labels) for table in tables}
    unused[str(truth.source)] = set(truth.unused)
    for path, names in unused.items():
        for name in sorted(names):
            alike = [
                f"{other!r} of {where}"
                for where, others in unused.items()
                for other in sorted(others)
                if where != path and other != name and other.strip().casefold() == name.strip().casefold()
            ]
            if alike:
                found.append(f"{name!r} of {path} and {alike[0]} are different names, so that both are left out.")
    outside = [
        str(table.path)
        for arm, of_arm in zip(arms, scores, strict=True)
        for table, draw in zip(arm.tables, of_arm, strict=True)
        if draw.min() < 0 or draw.max() > 1
    ]
    if outside:
        files = f"{len(outside)} file{'s' if len(outside) > 1 else ''}"
        found.append(
            f"Scores outside 0..1 in {files} ({some(outside)}): they are no probabilities, and only their order is "
            "used."
        )
    return found
