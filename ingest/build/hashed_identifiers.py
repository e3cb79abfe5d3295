"""Replace patients, studies and keys by hashes keyed with a salt, so that no row names a patient.

The hashes can be made again from the salt and the source, and not from the dataset alone, not even by trying all
numbers that a patient could have. The place of an image stays in the rows for the build and is written to no file of
the dataset.
"""

import hashlib
import hmac

import pandas as pd

from ingest.archives.source import SourceRows
from ingest.tables.reasons import Kind, Reason, Rejection, rejection_frame
from shards.errors import DatasetError

_DIGITS = 20  # 80 bits: two of 400,000 images share a hash once in 10**13 datasets
_WHERE = r"[^()/]* line \d+|CXR_png"


def hash_identifiers(found: SourceRows, salt: bytes) -> SourceRows:
    """patient_id, study_id and key as 20 hexadecimal digits each, source_path None, rejections without names.

    Equal patients stay equal; a study's hash is made from its patient too, so that `study1` of two patients differs.
    The path of a rejected row becomes a hash, and of its reason only the kind and the line of the table are left.
    The splits that fractions carve out follow the hash of the patient, so they are others than without a salt.
    """
    samples = found.samples
    hashed = samples.assign(
        patient_id=_hashes("patient", samples["patient_id"], salt),
        study_id=_hashes("study", samples["patient_id"].astype(object) + "/" + samples["study_id"], salt),
        key=_hashes("key", samples["key"], salt),
        source_path=pd.Series(None, index=samples.index, dtype=object),
    )
    for column in ("patient_id", "key"):
        if hashed[column].nunique() != samples[column].nunique():
            raise DatasetError(f"two values of {column} have the same hash under this salt: take another salt")
    where = found.rejected["where"].where(found.rejected["where"].str.fullmatch(_WHERE), "")
    paths = _hashes("path", found.rejected["path"], salt)
    rejected = [
        Rejection(path, Reason(Kind(kind), "", line))
        for path, kind, line in zip(paths, found.rejected["kind"], where, strict=True)
    ]
    return SourceRows(hashed, rejection_frame(rejected))


def _hashes(kind: str, values: pd.Series, salt: bytes) -> pd.Series:
    """HMAC-SHA256 of each value under the salt, None where it is unknown. Values of two kinds never share a hash."""
    known = values.dropna().unique()
    table = {
        value: hmac.new(salt, f"{kind}/{value}".encode(errors="backslashreplace"), hashlib.sha256).hexdigest()[:_DIGITS]
        for value in known
    }
    hashed = values.astype(object).map(table)
    return hashed.where(hashed.notna(), None)
