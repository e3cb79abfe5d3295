"""Where the images of each archive may be: every layout gives the same rows, and files that are there."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ingest.archives.source import VARIANTS, Source, open_source
from tests.ingest.archives.miniatures import MINIATURES

IMAGES = {".png", ".jpg", ".jpeg", ".dcm", ".dicom"}
TABLES = {".csv"}


def images_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in IMAGES and path.is_file())


def all_found(reader: Source) -> pd.DataFrame:
    found = reader.read()
    assert found.rejected.empty
    places = [reader.roots[root] / file for root, file in found.samples[["root", "file"]].itertuples(index=False)]
    assert all(path.is_file() for path in places)
    assert len(set(places)) == len(places)
    return found.samples.drop(columns=["root", "file", "where"])


def as_it_is(folder: Path) -> None:
    pass


def images_below_another_folder(folder: Path) -> None:
    """The tables stay, what holds the images goes one level down."""
    (folder / "archive").mkdir()
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in ("archive", "annotations", "ClinicalReadings"):
            shutil.move(path, folder / "archive" / path.name)


def tables_below_another_folder(folder: Path) -> None:
    (folder / "metadata").mkdir()
    for path in sorted(folder.iterdir()):
        if path.is_file() or path.name in ("annotations", "chexbert_labels"):
            shutil.move(path, folder / "metadata" / path.name)


def everything_two_levels_down(folder: Path) -> None:
    inner = folder / "download" / "archive"
    inner.mkdir(parents=True)
    for path in sorted(folder.iterdir()):
        if path.name != "download":
            shutil.move(path, inner / path.name)


def zipped_tables(folder: Path) -> None:
    for table in sorted(folder.rglob("*.csv")):
        table.with_name(f"{table.name}.gz").write_bytes(gzip.compress(table.read_bytes()))
        table.unlink()


MOVED = {
    images_below_another_folder: {"chexpert", "nih", "mimic", "padchest", "vindr"},
    tables_below_another_folder: {"chexpert", "nih", "mimic", "padchest", "vindr"},
    everything_two_levels_down: set(VARIANTS) - {"shenzhen", "montgomery"},  # these are one level down already
    zipped_tables: set(VARIANTS) - {"shenzhen", "montgomery"},
}


@pytest.mark.parametrize(
    ("variant", "rearrange"),
    [(variant, rearrange) for rearrange, variants in MOVED.items() for variant in sorted(variants)],
)
def test_the_rows_are_the_same_wherever_the_images_are(
    tmp_path: Path, variant: str, rearrange: Callable[[Path], None]
) -> None:
    MINIATURES[variant](tmp_path / "before")
    MINIATURES[variant](tmp_path / "after")
    rearrange(tmp_path / "after")
    expected = all_found(open_source(variant, tmp_path / "before"))
    text = all_found(open_source(variant, tmp_path / "after"))
    pd.testing.assert_frame_equal(text, expected)


def rename_images(folder: Path, suffix: str) -> None:
    for path in images_of(folder):
        path.rename(path.with_suffix(suffix))


@pytest.mark.parametrize(
    ("variant", "suffix"),
    [
        ("nih", ".jpg"),
        ("nih", ".jpeg"),
        ("mimic", ".png"),
        ("mimic", ".jpeg"),
        ("shenzhen", ".jpg"),
        ("vindr", ".png"),
        ("chexpert", ".png"),
        ("chexpert", ".JPG"),
        ("padchest", ".jpg"),
    ],
)
def test_images_of_the_other_kind_are_found(tmp_path: Path, variant: str, suffix: str) -> None:
    MINIATURES[variant](tmp_path)
    keys = all_found(open_source(variant, tmp_path))["key"].tolist()
    rename_images(tmp_path, suffix)
    assert all_found(open_source(variant, tmp_path))["key"].tolist() == keys


@pytest.mark.parametrize(
    "folder", ["images-224", "images-224/images-224", "images_001/images", "images/images", "inner/images", "."]
)
def test_chestxray14_is_read_from_any_folder_of_images(tmp_path: Path, folder: str) -> None:
    MINIATURES["nih"](tmp_path)
    keys = all_found(open_source("nih", tmp_path))["key"].tolist()
    (tmp_path / "aside").mkdir()
    for path in images_of(tmp_path):
        shutil.move(path, tmp_path / "aside" / path.name)
    for old in tmp_path.glob("images*"):
        shutil.rmtree(old)
    (tmp_path / folder).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(tmp_path / "aside", tmp_path / folder, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "aside")
    assert all_found(open_source("nih", tmp_path))["key"].tolist() == keys


def test_chestxray14_takes_the_full_images_where_small_ones_lie_beside(tmp_path: Path) -> None:
    MINIATURES["nih"](tmp_path)
    (tmp_path / "images-224").mkdir()
    for path in images_of(tmp_path):
        shutil.copy(path, tmp_path / "images-224" / path.name)
    files = open_source("nih", tmp_path).read().samples["file"]
    assert not files.str.contains("224").any()
