import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingest.archives.chexpert_labels import LABELS
from ingest.archives.mimic import Mimic
from shards.errors import DatasetError
from tests.ingest.archives.archives_made import mimic_path, put, write_mimic

IMAGES = [
    ("aaaa0001-00000000-00000000-00000000-00000001", "10000001", "50000001", "PA", "train"),
    ("aaaa0002-00000000-00000000-00000000-00000002", "10000001", "50000001", "LATERAL", "train"),
    ("aaaa0003-00000000-00000000-00000000-00000003", "10000002", "50000002", "LL", "validate"),
    ("aaaa0004-00000000-00000000-00000000-00000004", "11000003", "50000003", "AP", "test"),
    ("aaaa0005-00000000-00000000-00000000-00000005", "11000003", "50000004", "", "test"),
]
LABELLED = [
    ["10000001", "50000001", "1.0", "", "-1.0", "0.0"],
    ["10000002", "50000002", "", "1.0"],
    ["11000003", "50000003", "0.0"],
]


def test_studies_labels_and_official_splits_reach_every_image(tmp_path: Path) -> None:
    reader = Mimic(write_mimic(tmp_path / "2.0.0", IMAGES, LABELLED).parent)
    found = reader.read()
    assert found.rejected.empty
    samples = found.samples
    assert samples["split"].tolist() == ["train", "train", "valid", "test", "test"]
    assert samples["source_split"].tolist() == ["train", "train", "validate", "test", "test"]
    assert samples["key"].iloc[0] == f"p10000001_s50000001_{IMAGES[0][0]}"
    assert samples["source_path"].tolist() == [mimic_path(image[1], image[2], image[0]) for image in IMAGES]
    assert all((reader.roots["source"] / file).is_file() for file in samples["file"])
    expected = np.full((5, 14), np.nan)
    expected[:2, :4] = [1, np.nan, -1, 0]
    expected[2, 1], expected[3, 0] = 1, 0  # the fifth image's study has no labels
    np.testing.assert_array_equal(samples[list(LABELS)].to_numpy(), expected)


def test_views_are_projections_and_sex_and_age_are_unknown(tmp_path: Path) -> None:
    views = ["PA", "LATERAL", "LL", "AP", "", "AP AXIAL", "XTABLE LATERAL", "SWIMMERS", "LAO", "PA LLD"]
    images = [(f"a{n}-0", "10000001", "50000001", view, "train") for n, view in enumerate(views)]
    samples = Mimic(write_mimic(tmp_path, images, LABELLED)).read().samples
    f, lateral = "frontal", "lateral"
    assert samples["projection"].tolist() == [f, lateral, lateral, f, None, f, lateral, None, None, f]
    assert samples["ap_pa"].tolist() == ["PA", None, "LL", "AP", None, None, None, None, None, None]
    assert samples[["sex", "age"]].isna().all(axis=None)


def test_a_blank_view_position_is_filled_from_the_views_code(tmp_path: Path) -> None:
    write_mimic(tmp_path, IMAGES, LABELLED)
    path = tmp_path / "mimic-cxr-2.0.0-metadata.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode().replace(",,9,9,21800506,2.5,,,", ",,9,9,21800506,2.5,,Lateral,")
    put(path, gzip.compress(text.encode()))
    assert Mimic(tmp_path).read().samples["projection"].iloc[4] == "lateral"


def test_negbio_is_read_where_chexpert_is_not_there_and_plain_tables_as_zipped_ones(tmp_path: Path) -> None:
    write_mimic(tmp_path, IMAGES, LABELLED, labeller="negbio")
    for path in tmp_path.glob("*.gz"):
        put(path.with_suffix(""), gzip.decompress(path.read_bytes()))
        path.unlink()
    reader = Mimic(tmp_path)
    assert "mimic-cxr-2.0.0-negbio.csv" in reader.fingerprint()
    assert reader.read().samples[LABELS[0]].iloc[0] == 1.0


def test_bad_rows_of_each_table_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    images = [
        *IMAGES,
        ("bbbb-1", "10000009", "50000009", "PA", "holdout"),
        ("bbbb-2", "../../9", "50000009", "PA", "train"),
        ("..", "10000009", "50000009", "PA", "train"),
        ("bbbb-3", "10000009", "50000010", "PA", "train"),
        ("bbbb-4", "10000008", "50000011", "PA", "train"),
        ("bbbb-4", "10000007", "50000012", "PA", "train"),
        ("bbbb-5", "10000006", "50000013", "PA", "train"),
        ("bbbb-6", "10000006", "50000014", "PA", "train"),
    ]
    labels = [
        *LABELLED,
        ["10000009", "50000010", "7"],
        ["10000006", "50000013", "1.0"],
        ["10000006", "50000013", "0.0"],
    ]
    found = Mimic(write_mimic(tmp_path, images, labels)).read()
    assert found.samples["key"].str[-6:].tolist() == [image[0][-6:] for image in (*IMAGES, images[-1])]
    assert found.rejected["reason"].tolist() == [
        "no split: mimic-cxr-2.0.0-split.csv.gz does not say train, validate or test "
        "(mimic-cxr-2.0.0-metadata.csv.gz line 7)",
        "unusable path: subject '../../9', study '50000009' (mimic-cxr-2.0.0-metadata.csv.gz line 8)",
        "unusable path: dicom '..' (mimic-cxr-2.0.0-metadata.csv.gz line 9)",
        "label out of range: No Finding is '7', not 1, 0, -1 or blank, at mimic-cxr-2.0.0-chexpert.csv.gz line 5 "
        "(mimic-cxr-2.0.0-metadata.csv.gz line 10)",
        "conflicting rows: patient_id is p10000008 here and p10000007 in mimic-cxr-2.0.0-metadata.csv.gz line 12 "
        "(mimic-cxr-2.0.0-metadata.csv.gz line 11)",
        "conflicting rows: patient_id is p10000007 here and p10000008 in mimic-cxr-2.0.0-metadata.csv.gz line 11 "
        "(mimic-cxr-2.0.0-metadata.csv.gz line 12)",
        "conflicting rows: No Finding is 1.0 here and 0.0 in mimic-cxr-2.0.0-chexpert.csv.gz line 7, at "
        "mimic-cxr-2.0.0-chexpert.csv.gz line 6 (mimic-cxr-2.0.0-metadata.csv.gz line 13)",
    ]


@pytest.mark.parametrize("table", ["split", "chexpert"])
def test_a_missing_table_is_an_error_that_names_it(tmp_path: Path, table: str) -> None:
    write_mimic(tmp_path, IMAGES, LABELLED)
    (tmp_path / f"mimic-cxr-2.0.0-{table}.csv.gz").unlink()
    with pytest.raises(DatasetError, match="split" if table == "split" else "negbio"):
        Mimic(tmp_path)


@pytest.mark.parametrize(
    ("description", "projection", "ap_pa"),
    [
        ("CHEST (PORTABLE AP)", "frontal", "AP"),
        ("Chest (pa only)", "frontal", "PA"),
        ("CHEST (LATERAL)", "lateral", None),
        ("CHEST LAT", "lateral", None),
        ("CHEST (PA AND LAT)", None, None),
        ("CHEST (SINGLE VIEW)", None, None),
        ("CHEST (LAT DECUB ONLY)", None, None),
        ("CHEST (PA, OBLIQUES)", None, None),
        ("APICAL CHEST", None, None),
        ("", None, None),
    ],
)
def test_a_blank_view_is_that_of_the_procedure_step_where_it_names_exactly_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, description: str, projection: str | None, ap_pa: str | None
) -> None:
    write_mimic(tmp_path, IMAGES, LABELLED)
    path = tmp_path / "mimic-cxr-2.0.0-metadata.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode().replace('"CHEST, ""PA"" AND LAT"', f'"{description}"')
    put(path, gzip.compress(text.encode()))
    caplog.set_level("INFO")
    samples = Mimic(tmp_path).read().samples
    assert samples["projection"].tolist()[:4] == ["frontal", "lateral", "lateral", "frontal"]
    assert [samples["projection"].iloc[4], samples["ap_pa"].iloc[4]] == [projection, ap_pa]
    assert ("1 images without a ViewPosition" in caplog.text) == (projection is not None)


def test_ids_that_went_through_pandas_are_whole_numbers_in_every_table(tmp_path: Path) -> None:
    write_mimic(tmp_path / "before", IMAGES, LABELLED)
    write_mimic(tmp_path / "after", IMAGES, LABELLED)
    for path in (tmp_path / "after").glob("*.gz"):
        text = re.sub(r"\b((?:1[01]|5)\d{6,7})\b(?=,)", r"\1.0", gzip.decompress(path.read_bytes()).decode())
        assert ".0" in text
        put(path, gzip.compress(text.encode()))
    before, after = (Mimic(tmp_path / folder).read().samples for folder in ("before", "after"))
    pd.testing.assert_frame_equal(before, after)
