"""`cxr-train cache`: what is listed and removed, and what is never touched."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from training.cli.main import main
from training.downstream.embedding_cache import cache_entries, default_cache, entry_name

DIGEST = "0123456789abcdef" * 2


def put_entry(folder: Path, name: str, size: int = 1000) -> Path:
    group = folder / name
    (group / "features").mkdir(parents=True)
    (group / "features" / "zarr.json").write_bytes(b"x" * size)
    return group


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["cache", *map(str, words)])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with two entries, one that a killed command left behind, and things of other people."""
    folder = tmp_path / "cache"
    put_entry(folder, entry_name("chexpert", "train", DIGEST), 1_500_000)
    put_entry(folder, entry_name("my-own_set", "test", DIGEST))
    put_entry(folder, f".{entry_name('chexpert', 'valid', DIGEST)}.{DIGEST}.tmp")
    put_entry(folder, "thesis.zarr")
    (folder / entry_name("chexpert", "test", DIGEST)).mkdir()  # a folder of that name that holds no embeddings
    (folder / "notes.txt").write_text("mine")
    (folder / entry_name("linked", "test", DIGEST)).symlink_to(folder / "thesis.zarr")
    return folder


def test_the_cache_is_listed_with_sizes_and_what_is_unfinished(cache: Path) -> None:
    result = run("--list", "--cache", cache)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[:4] for line in lines[:-1]] == [
        ["1.0", "kB", "chexpert", "valid"],
        ["1.5", "MB", "chexpert", "train"],
        ["1.0", "kB", "my-own_set", "test"],
    ]
    assert "(unfinished)" in lines[0]
    assert lines[-1] == f"{cache}: 3 embeddings, 1.5 MB in all."


def test_clearing_removes_the_embeddings_and_nothing_else(cache: Path) -> None:
    result = run("--clear", "--cache", cache)
    assert result.exit_code == 0
    assert "3 embeddings, 1.5 MB removed" in result.stdout
    assert cache_entries(cache) == []
    left = {path.name for path in cache.iterdir()}
    assert left == {
        "thesis.zarr",
        "notes.txt",
        entry_name("chexpert", "test", DIGEST),
        entry_name("linked", "test", DIGEST),
    }
    assert (cache / "thesis.zarr" / "features" / "zarr.json").is_file()


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert run("--list", "--cache", tmp_path / "none").stdout.endswith("0 embeddings, 0 B in all.\n")


@pytest.mark.parametrize("words", [(), ("--list", "--clear")])
def test_one_of_list_and_clear_is_asked_for(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert "either --list or --clear" in result.stderr


def test_the_folder_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("CXR_CACHE", str(cache))
    assert default_cache() == cache
    assert str(cache) in run("--list").stdout


def test_the_command_answers_without_torch() -> None:
    program = (
        "import sys\nfrom click.testing import CliRunner\nfrom training.cli.main import main\n"
        "assert CliRunner().invoke(main, ['cache', '--list', '--cache', 'nowhere']).exit_code == 0\n"
        "assert not {'torch', 'nvidia.dali', 'zarr'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
