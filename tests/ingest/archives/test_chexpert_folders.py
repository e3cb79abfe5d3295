"""CheXpert as it is unpacked from the portal, and merged in the ways that people merge it: the same rows every time."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.archives.chexpert import Chexpert
from ingest.archives.source import SourceRows
from shards.errors import DatasetError
from tests.ingest.archives.layouts import write_chexpert

FIRST, SECOND = "CheXpert-v1.0 batch 1 (validate & csv)", "CheXpert-v1.0 batch 2 (train 1)"
THIRD, FOURTH = "CheXpert-v1.0 batch 3 (train 2)", "CheXpert-v1.0 batch 4 (train 3)"


def unpack(folder: Path) -> list[str]:
    """The four parts beside each other. Returns the paths that the tables have, without the release's prefix."""
    paths = write_chexpert(folder / FIRST, prefix="CheXpert-v1.0/")
    for number, patient in enumerate(sorted((folder / FIRST / "train").iterdir())):
        target = folder / (SECOND, THIRD, FOURTH)[number * 3 // 23]
        target.mkdir(exist_ok=True)
        shutil.move(patient, target)
    (folder / FIRST / "train").rmdir()
    return paths


def merge_by_moves(folder: Path) -> None:
    (folder / FIRST / "train").mkdir()
    for part in (SECOND, THIRD, FOURTH):
        for patient in sorted((folder / part).iterdir()):
            shutil.move(patient, folder / FIRST / "train")


def merge_some(folder: Path) -> None:
    """One part was moved into train/, the others are where they were unpacked."""
    shutil.move(folder / THIRD, folder / FIRST / "train")


def merge_into_the_prefix(folder: Path) -> None:
    merge_by_moves(folder)
    (folder / "CheXpert-v1.0").mkdir()
    for split in ("train", "valid"):
        shutil.move(folder / FIRST / split, folder / "CheXpert-v1.0" / split)
    for table in ("train.csv", "valid.csv"):
        shutil.move(folder / FIRST / table, folder / table)


def nest(folder: Path) -> None:
    """Each part in a folder of its own name, as some programs unpack it."""
    for part in (SECOND, THIRD):
        shutil.move(folder / part, folder / "inner")
        (folder / part).mkdir()
        shutil.move(folder / "inner", folder / part / part)


def train_inside(folder: Path) -> None:
    shutil.move(folder / SECOND, folder / "inner")
    (folder / SECOND).mkdir()
    shutil.move(folder / "inner", folder / SECOND / "train")


def put_all_into_one_part(folder: Path) -> None:
    for part in (SECOND, THIRD, FOURTH):
        shutil.move(folder / part, folder / FIRST / part)


def zip_the_tables(folder: Path) -> None:
    for table in ("train.csv", "valid.csv"):
        (folder / FIRST / f"{table}.gz").write_bytes(gzip.compress((folder / FIRST / table).read_bytes()))
        (folder / FIRST / table).unlink()


def set_beside(folder: Path) -> None:
    """The test release has patients too; they are none of train's."""
    shutil.copytree(folder / SECOND, folder / "CheXpert" / "test")
    shutil.copytree(folder / SECOND, folder / "CheXpert-v1.0 batch 5 (test)")


def rename_the_parts(folder: Path) -> None:
    """Names that programs make of blanks and brackets."""
    (folder / FIRST).rename(folder / FIRST.replace(" ", "_"))
    (folder / SECOND).rename(folder / SECOND.replace(" ", "%20"))
    (folder / THIRD).rename(folder / "chexpert-batch-3")
    (folder / FOURTH).rename(folder / "Batch4_train3")


def link_each_patient(folder: Path) -> None:
    (folder / FIRST / "train").mkdir()
    for part in (SECOND, THIRD, FOURTH):
        for patient in sorted((folder / part).iterdir()):
            (folder / FIRST / "train" / patient.name).symlink_to(patient)


def link_the_parts(folder: Path) -> None:
    (folder / FIRST / "train").mkdir()
    for part in (SECOND, THIRD, FOURTH):
        (folder / FIRST / "train" / part).symlink_to(folder / part)


def merge_beside_the_first(folder: Path) -> None:
    """The tables stay in the first part; all that is train goes where the tables say."""
    (folder / "CheXpert-v1.0" / "train").mkdir(parents=True)
    for part in (SECOND, THIRD, FOURTH):
        for patient in sorted((folder / part).iterdir()):
            shutil.move(patient, folder / "CheXpert-v1.0" / "train")
        (folder / part).rmdir()


def name_no_split(folder: Path) -> None:
    """`latest` and `contest` are no test sets, and one patient lies in a folder that is called like a version."""
    merge_by_moves(folder)
    shutil.move(folder / FIRST / "train", folder / FIRST / "latest v1.0" / "contest")


def second_halves_of_a_mac(folder: Path) -> None:
    """__MACOSX holds a folder and a file for each that was zipped on a Mac, and no image."""
    merge_by_moves(folder)
    shutil.move(folder / FIRST / "train", folder / FIRST / "images")
    for image in sorted((folder / FIRST / "images").rglob("*.jpg")):
        half = folder / FIRST / "__MACOSX" / image.relative_to(folder / FIRST).parent / f"._{image.name}"
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"\0\5\x16\7")


def all_there(reader: Chexpert, found: SourceRows, paths: list[str]) -> None:
    assert found.rejected.empty
    assert found.samples["source_path"].tolist() == paths
    for root, file, path in found.samples[["root", "file", "source_path"]].itertuples(index=False):
        assert (reader.roots[root] / file).is_file()
        assert "batch 5" not in file
        assert file.endswith(path.partition("/")[2])


LAYOUTS = [
    *(lambda folder: None, merge_by_moves, merge_some, merge_into_the_prefix, nest, train_inside),
    *(put_all_into_one_part, zip_the_tables, set_beside, rename_the_parts, link_each_patient, link_the_parts),
    *(merge_beside_the_first, name_no_split, second_halves_of_a_mac),
]


@pytest.mark.parametrize("rearrange", LAYOUTS)
def test_the_portals_folders_are_read_as_unpacked_and_as_merged(
    tmp_path: Path, rearrange: Callable[[Path], None]
) -> None:
    paths = unpack(tmp_path)
    rearrange(tmp_path)
    reader = Chexpert(tmp_path)
    all_there(reader, reader.read(), paths)


@pytest.mark.parametrize("part", [FIRST, SECOND])
def test_any_of_the_four_folders_may_be_named(tmp_path: Path, part: str) -> None:
    paths = unpack(tmp_path)
    reader = Chexpert(tmp_path / part)
    all_there(reader, reader.read(), paths)


def test_the_place_that_the_table_says_is_taken_before_any_other(tmp_path: Path) -> None:
    paths = unpack(tmp_path)
    shutil.copytree(tmp_path / SECOND, tmp_path / FIRST / "train")
    reader = Chexpert(tmp_path)
    found = reader.read()
    all_there(reader, found, paths)
    first = found.samples[found.samples["source_path"].str.contains("patient00000")]
    assert (first["root"] + "/" + first["file"]).str.startswith("source/train/").all()


def test_two_parts_with_tables_are_refused_by_name(tmp_path: Path) -> None:
    unpack(tmp_path)
    shutil.copy(tmp_path / FIRST / "train.csv", tmp_path / SECOND / "train.csv")
    with pytest.raises(DatasetError, match=r"several folders hold train\.csv"):
        Chexpert(tmp_path)


def test_a_patient_who_is_in_no_folder_is_looked_for_where_the_table_says(tmp_path: Path) -> None:
    unpack(tmp_path)
    shutil.rmtree(tmp_path / FOURTH)
    reader = Chexpert(tmp_path)
    samples = reader.read().samples
    missing = [
        path
        for root, file, path in samples[["root", "file", "source_path"]].itertuples(index=False)
        if not (reader.roots[root] / file).is_file()
    ]
    assert 0 < len(missing) < len(samples) / 2
    assert set(samples[samples["source_path"].isin(missing)]["file"]) == set(missing)
