"""Sample keys of images whose names may be anything: blanks, dots, umlauts, folders, DICOM UIDs."""

import re

import pandas as pd

from shards.format.identity import escaped_key

_SUFFIX = r"(?i)\.(?:jpe?g|png|dcm|dicom)$"


def keys_of(paths: pd.Series) -> pd.Series:
    """The key of each path: the name without its suffix where that may be a key, escaped where not.

    Where two names differ in the suffix only (a.png, a.dcm), both are escaped with it.
    """
    stems = paths.str.replace(_SUFFIX, "", regex=True)
    keys = stems.map(escaped_key)
    several = paths.groupby(stems).transform("nunique") > 1
    return keys.where(~several, paths.map(lambda path: escaped_key(path, always=True)))


def stem_of(path: str) -> str:
    """The file's name without its suffix."""
    return re.sub(_SUFFIX, "", path.rpartition("/")[2])
