"""Translate projection, sex and age from the sources' many spellings to one vocabulary.

Text that is not understood is unknown (None or NaN), never an error.
"""

import pandas as pd

OLDEST = 130
_SEXES = {"m": "male", "male": "male", "f": "female", "female": "female"}
_YEARS = {"": 1.0, "y": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}
AP_PA = ("AP", "PA", "LL", "RL")
"""The words that samples.parquet keeps: antero-posterior, postero-anterior, left and right lateral."""


def sexes(text: pd.Series) -> pd.Series:
    """`male`, `female` or None from M, F, Male, Female in any case."""
    return or_none(text.str.lower().map(_SEXES))


def ages(text: pd.Series) -> pd.Series:
    """Years as float32 from `58`, `58.0`, `058Y`, `011M`, `028D` (DICOM's age string); NaN where there is none.

    ChestX-ray14 has ages such as 414: what no human reaches is unknown.
    """
    parts = text.str.extract(r"^(?P<number>[0-9]{1,4}(?:\.[0-9]+)?)\s*(?P<unit>[YyMmWwDd]?)$")
    years = pd.to_numeric(parts["number"]) * parts["unit"].str.lower().map(_YEARS)
    return years.where(years <= OLDEST).astype("float32")


def projections(view: pd.Series) -> pd.Series:
    """`frontal`, `lateral` or None from a view position: AP, PA, AP AXIAL, LATERAL, LL, XTABLE LATERAL, ..."""
    view = view.str.upper()
    frontal = view.str.fullmatch(r"(?:AP|PA)(?:[ _].*)?|FRONTAL")
    lateral = view.str.fullmatch(r"L|LL|RL|LAT|(?:.* )?LATERAL")
    found = pd.Series(None, index=view.index, dtype=object)
    found[frontal.astype(bool)] = "frontal"
    found[lateral.astype(bool)] = "lateral"
    return or_none(found)


def ap_pas(view: pd.Series) -> pd.Series:
    """AP, PA, LL, RL or None from a view position."""
    view = view.str.upper()
    return or_none(view.where(view.isin(AP_PA)))


def whole_ids(text: pd.Series) -> pd.Series:
    """Identifiers without the `.0` that pandas gives whole numbers of a column that has blanks: `123.0` is 123."""
    return text.str.replace(r"^([0-9]+)\.0+$", r"\1", regex=True)


def or_none(column: pd.Series) -> pd.Series:
    """The column with None where it is unknown."""
    column = column.astype(object)
    return column.where(column.notna(), None)
