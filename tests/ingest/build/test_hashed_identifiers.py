import hashlib
import hmac
import re
from pathlib import Path

import pandas as pd
import pytest

from ingest.archives.chexpert import LABELS, Chexpert
from ingest.archives.source import SourceRows
from ingest.build.hashed_identifiers import hash_identifiers
from ingest.tables.reasons import Kind, Reason, Rejection, rejection_frame
from shards.format.identity import is_key
from tests.ingest.archives.layouts import row, write_chexpert

SALT = b"0123456789abcdef"


@pytest.fixture
def found(tmp_path: Path) -> SourceRows:
    write_chexpert(tmp_path)
    bad = [
        row("train/patient00777/study1/view1_frontal.jpg", ["7"]),
        row("train/patient00778/view1.jpg"),
        row("../patient00779/study1/view1_frontal.jpg"),
        row("train/patient00001/study1/view1_frontal.jpg"),
    ]
    with (tmp_path / "train.csv").open("a") as table:
        table.writelines(",".join(one) + "\n" for one in bad)
        table.write("train/patient00780/study1/view1_frontal.jpg,Male\n")
    return Chexpert(tmp_path).read()


def test_patients_studies_and_keys_are_hashed_one_to_one(found: SourceRows) -> None:
    hashed = hash_identifiers(found, SALT).samples
    for column in ("patient_id", "key"):
        pairs = pd.DataFrame({"before": found.samples[column], "after": hashed[column]}).drop_duplicates()
        assert pairs["before"].is_unique
        assert pairs["after"].is_unique
        assert pairs["after"].map(is_key).all()
    before = found.samples["patient_id"] + found.samples["study_id"]
    assert hashed["study_id"].nunique() == before.nunique()  # study1 of one patient is not study1 of another
    patient = found.samples["patient_id"].iloc[0]
    expected = hmac.new(SALT, f"patient/{patient}".encode(), hashlib.sha256).hexdigest()[:20]
    assert hashed["patient_id"].iloc[0] == expected


def test_nothing_else_of_a_sample_changes_but_its_path_is_gone(found: SourceRows) -> None:
    hashed = hash_identifiers(found, SALT).samples
    assert hashed["source_path"].isna().all()
    kept = ["split", "projection", "ap_pa", "sex", "age", "root", "file", "where", *LABELS]
    pd.testing.assert_frame_equal(hashed[kept], found.samples[kept])


def test_rejections_keep_their_kind_and_line_and_name_nobody(found: SourceRows, tmp_path: Path) -> None:
    rejected = hash_identifiers(found, SALT).rejected
    lines = len((tmp_path / "train.csv").read_text().splitlines()) - 6
    assert sorted(rejected["reason"]) == sorted(
        [
            f"malformed line: (train.csv line {lines + 6})",
            f"label out of range: (train.csv line {lines + 2})",
            f"unusable path: (train.csv line {lines + 3})",
            f"path leaves the source: (train.csv line {lines + 4})",
            *found.rejected["reason"][found.rejected["reason"].str.startswith("conflicting")].map(
                lambda reason: re.sub(r":.* \(", ": (", reason)
            ),
        ]
    )
    assert len(rejected) == 6
    assert not rejected.apply(lambda column: column.str.contains("patient0")).any(axis=None)


def test_another_salt_gives_other_hashes_and_the_same_salt_the_same(found: SourceRows) -> None:
    one, again, other = (hash_identifiers(found, salt).samples for salt in (SALT, SALT, SALT + b"!"))
    pd.testing.assert_frame_equal(one, again)
    for column in ("patient_id", "study_id", "key"):
        assert not set(one[column]) & set(other[column])


def test_an_unknown_study_stays_unknown_and_odd_text_is_hashed(found: SourceRows) -> None:
    samples = found.samples.assign(study_id=None, file="x")
    where = ["", "patient00001/odd"]
    kinds = (Kind.CONFLICT, Kind.NO_PATIENT)
    reasons = [Reason(kind, "of patient00001", at) for kind, at in zip(kinds, where, strict=True)]
    rejected = rejection_frame(map(Rejection, ["a\nb", ""], reasons))
    hashed = hash_identifiers(SourceRows(samples, rejected), SALT)
    assert hashed.samples["study_id"].isna().all()
    assert hashed.rejected["reason"].tolist() == ["conflicting rows:", "no patient:"]
    assert hashed.rejected["detail"].tolist() == hashed.rejected["where"].tolist() == ["", ""]
