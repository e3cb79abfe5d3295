"""Image files are found by what they begin with, and only regular files of a sensible size are read."""

import os
from pathlib import Path

import pytest

from shards.images.found_files import is_image, read_regular_file, walk
from shards.images.unusable_image import UnusableImage

JPEG, PNG, DICOM = b"\xff\xd8\xff\xe0rest", b"\x89PNG\r\n\x1a\nrest", bytes(128) + b"DICMrest"


@pytest.mark.parametrize("content", [JPEG, PNG, DICOM])
def test_a_file_is_an_image_by_its_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "scan").write_bytes(content)
    assert is_image(tmp_path / "scan")


def test_other_files_folders_pipes_and_dangling_links_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "table.jpg").write_bytes(b"path,label\n")
    (tmp_path / "empty.png").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.jpg").mkdir()
    assert not any(is_image(path) for path in [*tmp_path.iterdir(), tmp_path / "not there"])


def test_a_folder_is_walked_in_order_without_what_is_hidden_and_each_link_once(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/1", "c", ".hidden", ".git/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "d").symlink_to(tmp_path / "b")
    assert [str(path.relative_to(tmp_path)) for path in walk(tmp_path)] == ["c", "a/1", "b/1", "b/2"]


def test_only_regular_files_are_read_and_none_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "big").write_bytes(bytes(11))
    said = {
        "pipe": "no regular file",
        "": "no regular file",
        "not there": "No such file",
        "big": "11 bytes, more than 10",
    }
    for name, reason in said.items():
        with pytest.raises(UnusableImage, match=reason):
            read_regular_file(tmp_path / name, 10)
    with pytest.raises(UnusableImage, match="no regular file"):
        read_regular_file(Path("/dev/zero"), 10)
    with pytest.raises(UnusableImage, match="no file can have this name"):
        read_regular_file(tmp_path / "a\0b", 10)
    (tmp_path / "good").write_bytes(b"content")
    (tmp_path / "link").symlink_to("good")
    assert read_regular_file(tmp_path / "link", 10) == b"content"
