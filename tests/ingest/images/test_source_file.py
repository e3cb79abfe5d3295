import os
import stat
from pathlib import Path

import pytest

from ingest.images.source_file import read_source_file
from shards.errors import DatasetError
from shards.images.unusable_image import UnusableImage, most_bytes

LIMIT = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "study").mkdir(parents=True)
    (tmp_path / "root" / "study" / "image.jpg").write_bytes(b"pixels")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").write_bytes(b"secret")
    return tmp_path / "root"


def read(root: Path, path: str) -> bytes:
    return read_source_file(root / path, os.path.realpath(root), LIMIT)


def test_a_file_below_its_root_is_read_also_by_a_link_that_stays_inside(root: Path) -> None:
    (root / "linked").symlink_to(root / "study")
    (root / "again.jpg").symlink_to("study/image.jpg")
    assert read(root, "study/image.jpg") == read(root, "linked/image.jpg") == read(root, "again.jpg") == b"pixels"


def test_a_root_that_is_a_link_itself_is_no_way_out(root: Path) -> None:
    (root.parent / "alias").symlink_to(root)
    assert read(root.parent / "alias", "study/image.jpg") == b"pixels"


@pytest.mark.parametrize("path", ["link.jpg", "folder/secret.jpg", "../outside/secret.jpg", "chain/secret.jpg"])
def test_what_leads_out_of_the_root_is_refused_without_saying_where_to(root: Path, path: str) -> None:
    (root / "link.jpg").symlink_to(root.parent / "outside" / "secret.jpg")
    (root / "folder").symlink_to(root.parent / "outside")
    (root / "chain").symlink_to(root / "folder")
    with pytest.raises(UnusableImage, match=r"^path leaves the source: ") as refused:
        read(root, path)
    assert "outside" not in str(refused.value)


def test_a_folder_whose_name_begins_like_the_roots_is_outside(root: Path) -> None:
    (root.parent / "root2").mkdir()
    (root.parent / "root2" / "image.jpg").write_bytes(b"other")
    with pytest.raises(UnusableImage, match=r"^path leaves"):
        read(root, "../root2/image.jpg")


def test_pipes_devices_and_folders_are_refused_at_once(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    with pytest.raises(UnusableImage, match=r"^missing file: .*no regular file"):
        read(root, "pipe.jpg")
    with pytest.raises(UnusableImage, match=r"^missing file: .*no regular file"):
        read(root, "study")
    if os.geteuid() == 0:
        os.mknod(root / "zero.jpg", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        with pytest.raises(UnusableImage, match=r"^missing file: .*no regular file"):
            read(root, "zero.jpg")


@pytest.mark.parametrize("path", ["absent.jpg", "study/image.jpg/below", "a\0b.jpg", "\udcff.jpg", "x" * 300, "loop"])
def test_what_is_not_there_is_missing(root: Path, path: str) -> None:
    (root / "loop").symlink_to("loop")
    with pytest.raises(UnusableImage, match=r"^missing file: "):
        read(root, path)


def test_a_file_larger_than_any_image_is_not_read(root: Path) -> None:
    with (root / "huge.jpg").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UnusableImage, match=r"^image too large: a file of 1,099,511,627,776 bytes"):
        read(root, "huge.jpg")
    assert most_bytes(100_000_000) < 1 << 30


def test_an_error_that_may_pass_stops_the_build_instead_of_losing_the_image(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: str) -> os.stat_result:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("ingest.images.source_file.os.stat", fails)
    monkeypatch.setattr("ingest.images.source_file.os.path.realpath", lambda path: str(path))
    with pytest.raises(DatasetError, match=r"Input/output error"):
        read(root, "study/image.jpg")
