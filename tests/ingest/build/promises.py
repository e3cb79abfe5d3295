"""What ingest/archives/source.py promises of the rows that a reader returns, as assertions."""

import re

import numpy as np

from ingest.archives.source import DESCRIPTIVE_COLUMNS, LOCATION_COLUMNS, SourceRows
from shards.format.sample import check_key

KINDS = {
    *("malformed line", "not UTF-8", "path leaves the source", "unusable path", "unusable name"),
    *("label out of range", "conflicting rows", "duplicate key", "no split", "no patient"),
}
"""What the reason of a rejected row begins with; docs/datasets.md says what each means."""


def hold_to_promises(found: SourceRows, labels: tuple[str, ...]) -> None:
    """Hold what a reader found to what sources.py promises."""
    samples = found.samples
    assert set(samples.columns) == {"key", "split", *DESCRIPTIVE_COLUMNS, *LOCATION_COLUMNS, *labels}
    assert samples["key"].is_unique
    for key in samples["key"]:
        check_key(key)
    assert samples["patient_id"].map(lambda patient: isinstance(patient, str) and patient != "").all()
    assert set(samples["split"]) <= {"train", "valid", "test"}
    assert set(samples["sex"].dropna()) <= {"male", "female"}
    assert set(samples["projection"].dropna()) <= {"frontal", "lateral"}
    assert set(samples["ap_pa"].dropna()) <= {"AP", "PA", "LL", "RL"}
    assert samples["age"].dropna().between(0, 130).all()
    values = samples[list(labels)].to_numpy(dtype="float32")
    assert (np.isin(values, [1, 0, -1]) | np.isnan(values)).all()
    for path in [*samples["file"], *samples["source_path"]]:
        assert not path.startswith("/")
        assert not re.match(r"[A-Za-z]:", path)
        assert "\\" not in path
        assert not {"..", ".", ""} & set(path.split("/"))
    assert {reason.partition(":")[0] for reason in found.rejected["reason"]} <= KINDS
    for path, reason in found.rejected[["path", "reason"]].itertuples(index=False):
        assert re.fullmatch(r"[a-z0-9][^:]*: .*\(.+\)", f"{reason}", re.IGNORECASE), reason
        for text in (path, reason):
            assert text.isprintable()
            assert len(text) < 800
