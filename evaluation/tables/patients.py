"""Find each row's patient: the unit that is resampled wherever ids or tables name one.

Images of one patient resemble each other, so that rows resampled on their own give intervals that are too short: 95 %
intervals of 4 images a patient covered 70.8 % by image and 93.3 % by patient (docs/statistics.md).
"""

import re

import pandas as pd

from evaluation.tables.identifiers import PATH, STUDY, comparable, patient_of
from evaluation.tables.table import Table, TableError
from evaluation.tables.table_files import as_text

PATIENT = "patient_id"


def patients_of_ids(table: Table, groups: pd.DataFrame) -> pd.DataFrame:
    """The groups with the patient that each Path or Study names, where the table has no patient_id of its own.

    A patient_id beside them must agree: the same name, or, where patients are named otherwise, one name for each
    patient of the paths and back. Raises TableError with the first row that contradicts.
    """
    paths = _named_patients(table)
    if paths is None:
        return groups
    if PATIENT not in groups:
        return groups.assign(**{PATIENT: paths})
    of_path: dict[str, tuple[str, int]] = {}
    of_patient: dict[str, tuple[str, int]] = {}
    for row, (path, patient) in enumerate(zip(paths, groups[PATIENT], strict=True)):
        if not patient:
            continue
        there, line = of_path.setdefault(path, (patient, row))
        back, other = of_patient.setdefault(patient, (path, row))
        same_names = _shape(path) == _shape(patient)
        if (path != patient and same_names) or there != patient or back != path:
            before = line if there != patient else other
            beside = f" ({table.place(before)} has {groups[PATIENT].iloc[before]!r} for {paths[before]!r})"
            raise TableError(
                f"{table.place(row)}: {PATIENT} is {patient!r}, the {_path_column(table)} beside it is of patient "
                f"{path!r}{'' if before == row else beside}. Correct the row, or name another --cluster in a table "
                f"without {PATIENT}"
            )
    return groups


def _named_patients(table: Table) -> list[str] | None:
    """The patient that each row's Path or Study names; None where not every row has one."""
    column = _path_column(table)
    if column is None:
        return None
    ids = table.ids if column == table.id_column else comparable(column, as_text(table.columns[column]))
    found = [patient_of(column, value) for value in ids]
    return [patient for patient in found if patient is not None] if None not in found else None


def _path_column(table: Table) -> str | None:
    """The column that names patients by its components: the id if it is a Path or Study, else one beside it."""
    return next((name for name in (table.id_column, PATH, STUDY) if name in (PATH, STUDY) and _has(table, name)), None)


def _has(table: Table, name: str) -> bool:
    return name == table.id_column or name in table.names


def _shape(name: str) -> str:
    """How a name is built: `patient64541` is like `patient1`."""
    return re.sub(r"\d+", "#", name)
