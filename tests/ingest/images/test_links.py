"""Links below SOURCE: folders that the user linked are followed, and nothing else leads out."""

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.cli.main import main
from ingest.images.links import LinkRule, resolve
from ingest.images.source_file import read_source_file
from shards.format.dataset import open_dataset
from shards.images.unusable_image import UnusableImage
from tests.ingest.archives.layouts import write_chexpert


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """CheXpert's layout, with room for images elsewhere on the machine."""
    write_chexpert(tmp_path / "source")
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "source"


def build(source: Path, out: Path, *words: str) -> Result:
    arguments = [
        "build-shards",
        str(source),
        str(out),
        "--dataset",
        "chexpert",
        "--name",
        "linked",
        "--short-side",
        "32",
    ]
    return CliRunner().invoke(main, [*arguments, "--workers", "1", *words])


def link_train(source: Path) -> None:
    shutil.move(source / "train", source.parent / "elsewhere" / "train")
    (source / "train").symlink_to(source.parent / "elsewhere" / "train")


def link_each_patient(source: Path) -> None:
    shutil.move(source / "train", source.parent / "elsewhere" / "train")
    (source / "train").mkdir()
    for patient in (source.parent / "elsewhere" / "train").iterdir():
        (source / "train" / patient.name).symlink_to(patient)


def link_a_link(source: Path) -> None:
    link_train(source)
    (source / "train").rename(source.parent / "alias")
    (source / "train").symlink_to(source.parent / "alias")


@pytest.mark.parametrize("link", [link_train, link_each_patient, link_a_link])
def test_linked_folders_give_the_same_dataset_and_are_named(source: Path, tmp_path: Path, link) -> None:  # type: ignore[no-untyped-def]
    assert build(source, tmp_path / "before").exit_code == 0
    link(source)
    result = build(source, tmp_path / "after")
    assert result.exit_code == 0, result.output
    assert "Following links of folders: " in result.stderr
    assert str(tmp_path / "elsewhere" / "train") in result.stderr
    assert open_dataset(tmp_path / "after").digest == open_dataset(tmp_path / "before").digest


def test_no_follow_links_refuses_and_its_advice_works(source: Path, tmp_path: Path) -> None:
    link_train(source)
    refused = build(source, tmp_path / "out", "--no-follow-links")
    assert refused.exit_code == 1
    assert "leave --no-follow-links out" in refused.output
    assert not (tmp_path / "out" / "dataset.json").exists()
    assert build(source, tmp_path / "out").exit_code == 0


@pytest.mark.parametrize("where", ["parent", "itself", "out"])
def test_a_link_to_what_holds_the_source_or_is_written_is_always_refused(
    source: Path, tmp_path: Path, where: str
) -> None:
    target = {"parent": tmp_path, "itself": source, "out": tmp_path / "out"}[where]
    (tmp_path / "out").mkdir()
    (source / "loop").symlink_to(target)
    path = {"parent": "loop/source/valid", "itself": "loop/valid", "out": "loop/valid"}[where]
    (tmp_path / "out" / "valid").mkdir()
    rule = LinkRule(out=os.path.realpath(tmp_path / "out"))
    if where == "itself":  # stays inside: harmless
        assert resolve(f"{source}/{path}", os.path.realpath(source), rule).followed == ()
        return
    with pytest.raises(UnusableImage, match=r"folder that (holds the source|is written)"):
        resolve(f"{os.path.realpath(source)}/{path}", os.path.realpath(source), rule)


def test_a_link_of_a_single_image_that_leads_out_is_refused_whatever_is_followed(source: Path, tmp_path: Path) -> None:
    link_train(source)
    image = next((source / "train").rglob("*.jpg"))
    shutil.move(image, tmp_path / "secret.jpg")
    image.symlink_to(tmp_path / "secret.jpg")
    inner = sorted((tmp_path / "elsewhere" / "train").rglob("*.jpg"))[-1]
    shutil.move(inner, tmp_path / "elsewhere" / "train" / "kept.jpg")
    inner.symlink_to(tmp_path / "elsewhere" / "train" / "kept.jpg")  # stays within the followed folder
    result = build(source, tmp_path / "out", "--max-rejected", "0.5")
    assert result.exit_code == 0, result.output
    rejected = (tmp_path / "out" / "rejected.csv").read_text().splitlines()[1:]
    assert len(rejected) == 1
    assert "path leaves the source: it leads out by a link (train.csv line" in rejected[0]


def test_a_link_of_another_user_is_not_followed(source: Path) -> None:
    link_train(source)
    image = os.path.relpath(next((source / "train").rglob("*.jpg")), source)
    root = os.path.realpath(source)
    assert read_source_file(f"{root}/{image}", root, 10**6, LinkRule())
    with pytest.raises(UnusableImage, match="link of another user"):
        read_source_file(f"{root}/{image}", root, 10**6, LinkRule(owner=os.geteuid() + 1))


def test_a_source_without_its_images_is_refused_before_it_is_planned_and_the_advice_works(
    source: Path, tmp_path: Path
) -> None:
    shutil.move(source / "train", tmp_path / "elsewhere" / "train")
    shutil.move(source / "valid", tmp_path / "elsewhere" / "valid")
    refused = build(source, tmp_path / "out")
    assert refused.exit_code == 1
    assert "none of 69 images looked for can be read" in refused.output
    assert str(source / "train/patient00000/study1/view1_frontal.jpg") in refused.output
    assert "link the folder that holds them" in refused.output
    assert not (tmp_path / "out" / ".build").exists()
    for split in ("train", "valid"):
        (source / split).symlink_to(tmp_path / "elsewhere" / split)
    assert build(source, tmp_path / "out").exit_code == 0


def test_some_missing_images_are_left_to_max_rejected(source: Path, tmp_path: Path) -> None:
    shutil.rmtree(source / "valid")
    assert "rows were rejected" in build(source, tmp_path / "out").output
    assert build(source, tmp_path / "out", "--max-rejected", "0.5").exit_code == 0
