from pathlib import Path

import pytest
from click.testing import CliRunner

import ingest
from ingest.build.out_folder import PACKAGES, refuse_own_packages
from ingest.cli.main import main
from shards.errors import DatasetError
from tests.ingest.archives.layouts import write_shenzhen

PROJECT = Path(ingest.__file__).parents[1]


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("below", ["", "chexpert", "chexpert/deep/../small"])
def test_a_folder_of_the_projects_code_is_refused(package: str, below: str) -> None:
    with pytest.raises(DatasetError, match=rf"lies in .*{package}, which holds this project's code"):
        refuse_own_packages(PROJECT / package / below)


def test_a_link_into_the_code_and_a_relative_path_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").symlink_to(PROJECT / "shards")
    monkeypatch.chdir(PROJECT)
    for out in (tmp_path / "out" / "chexpert", Path("shards/chexpert"), Path("shards")):
        with pytest.raises(DatasetError, match="this project's code"):
            refuse_own_packages(out)


def test_folders_beside_the_code_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for out in (PROJECT / "data" / "shards", Path("shards/chexpert"), tmp_path / "ingest"):
        refuse_own_packages(out)


def test_a_build_into_the_code_writes_nothing_and_its_advice_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shenzhen(tmp_path / "source")
    inside = PROJECT / "evaluation" / "shenzhen"
    words = [
        "build-shards",
        str(tmp_path / "source"),
        str(inside),
        "--dataset",
        "shenzhen",
        "--name",
        "few",
        "--short-side",
        "32",
    ]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "such as data/shenzhen" in result.stderr
    assert not inside.exists()
    monkeypatch.chdir(tmp_path)
    words[2] = "data/shenzhen"
    assert CliRunner().invoke(main, words).exit_code == 0
