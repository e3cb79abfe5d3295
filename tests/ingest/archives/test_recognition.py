"""An archive is recognised by its table; what merely has its layout is built under a name of its own or not at all."""

import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.archives import chexpert, chexpert_plus, mimic, nih, padchest, vindr
from ingest.archives.chexpert import Chexpert
from ingest.archives.recognition import Counts, Signature, another_dataset, count, is_like
from ingest.archives.source import VARIANTS, open_source
from ingest.challenges import rsna, vinbigdata
from ingest.cli.main import main
from shards.format.dataset import open_dataset
from tests.ingest.archives.layouts import HEADER
from tests.ingest.archives.miniatures import MINIATURES

TABLES: dict[str, tuple[Signature, str]] = {
    "chexpert": (chexpert._OWN, "train.csv"),
    "chexpert-plus": (chexpert_plus._OWN, "df_chexpert_plus_*.csv"),
    "nih": (nih._OWN, "Data_Entry_2017*.csv"),
    "mimic": (mimic._OWN, "*metadata.csv*"),
    "padchest": (padchest._OWN, "PADCHEST*.csv"),
    "vindr": (vindr._OWN, "image_labels_train.csv"),
    "rsna": (rsna._OWN, "*_train_labels.csv"),
    "vinbigdata": (vinbigdata._OWN, "train.csv"),
}


def write_train(folder: Path, rows: int, patients: int) -> Path:
    """train.csv of the full release's size, without any image."""
    tail = ",Male,50,Frontal,AP" + ",1.0" * 14
    lines = (
        f"CheXpert-v1.0/train/patient{n % patients + 1:05d}/study{n // patients + 1}/view1_frontal.jpg{tail}"
        for n in range(rows)
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "train.csv"
    path.write_text("\n".join([",".join(HEADER), *lines]) + "\n")
    return path


def test_chexperts_own_table_is_recognised_plain_and_zipped(tmp_path: Path) -> None:
    path = write_train(tmp_path, 223_414, 64_540)
    assert another_dataset(Chexpert(tmp_path)) is None
    path.with_name("train.csv.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
    path.unlink()
    assert another_dataset(Chexpert(tmp_path)) is None


@pytest.mark.parametrize(("rows", "patients"), [(223_414, 60_000), (200_000, 64_540), (1, 1)])
def test_a_table_of_other_counts_is_another_dataset(tmp_path: Path, rows: int, patients: int) -> None:
    write_train(tmp_path, rows, patients)
    why = another_dataset(Chexpert(tmp_path))
    assert why == f"train.csv has {rows:,} rows of {patients:,} patients, CheXpert has 223,414 of 64,540 patients"


@pytest.mark.parametrize("variant", sorted(TABLES))
def test_every_row_of_an_archives_table_is_counted(tmp_path: Path, variant: str) -> None:
    MINIATURES[variant](tmp_path)
    reader = open_source(variant, tmp_path)
    samples = reader.read().samples
    signature, pattern = TABLES[variant]
    table = next(tmp_path.rglob(pattern))
    counted = count([table], signature)
    own = samples[samples["where"].str.startswith(table.name)]
    if variant == "vindr":
        assert counted == Counts(3 * len(own), len(own))  # three readings an image
    elif variant in ("rsna", "vinbigdata"):
        assert counted.patients == len(own) < counted.rows  # a row a box
    elif variant == "padchest":
        assert counted.rows == len(own)
    else:
        assert counted == Counts(len(own), own["patient_id"].nunique())


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_miniature_is_taken_for_its_archive(tmp_path: Path, variant: str) -> None:
    """A reader that knows no counts of its archive takes everything for it."""
    MINIATURES[variant](tmp_path)
    reader = open_source(variant, tmp_path)
    assert (another_dataset(reader) is not None) == hasattr(reader, "another_dataset")


def test_releases_that_differ_by_a_few_rows_are_the_archive() -> None:
    own = Signature("x", "", 377_110, 65_379)
    assert is_like(Counts(377_095, 65_379), own)
    assert not is_like(Counts(377_110, 60_000), own)
    assert not is_like(Counts(370_000, 65_379), own)


def test_a_set_that_only_looks_like_an_archive_needs_a_name_and_the_advice_works(tmp_path: Path) -> None:
    MINIATURES["shenzhen"](tmp_path / "source")
    words = ["build-shards", str(tmp_path / "source"), str(tmp_path / "out"), "--dataset", "shenzhen"]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 1
    assert "has the layout of shenzhen and is another dataset" in refused.stderr
    assert "Shenzhen has 662" in refused.stderr
    assert "--name" in refused.stderr
    assert not (tmp_path / "out").exists()
    assert CliRunner().invoke(main, [*words, "--short-side", "32", "--name", "our-own"]).exit_code == 0
    dataset = open_dataset(tmp_path / "out")
    assert dataset.name == "our-own"
    assert dataset.description.licence.startswith("not known")
