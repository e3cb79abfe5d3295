"""Paths in the documentation's commands collide with no package, and git ignores what they write in a clone."""

import subprocess
from pathlib import Path

import pytest

from tests.project.test_docs import PAGES, blocks, commands_in
from tests.project.tree import ROOT

PACKAGES = ("shards", "ingest", "training", "evaluation", "recipes")
WRITING = {"build-shards": 1, "import": 1, "export": 1, "preview": 1, "make-phantom": 0, "finalize": 0}
"""Commands whose argument, at this place, is what they write."""


def paths_in(words: list[str]) -> list[str]:
    """The words of a command that look like paths, relative to the clone."""
    values = [part for word in words for part in word.split(",")]
    return [value for value in values if "/" in value and not value.startswith(("/", "-", "$"))]


def written_by(name: str, words: list[str]) -> list[str]:
    """What a command of the documentation writes: the value of --output or --run, or its own argument."""
    options = [words[place + 1] for place, word in enumerate(words[:-1]) if word in ("--output", "--run")]
    arguments = [
        word for place, word in enumerate(words) if not word.startswith("-") and place <= WRITING.get(name, -1)
    ]
    return [*options, *arguments[WRITING.get(name, 0) :][:1]] if name in WRITING else options


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_example_path_lies_in_a_package(page: Path) -> None:
    for _, _, *words in commands_in(blocks(page)):
        inside = [path for path in paths_in(words) if path.split("/")[0] in PACKAGES]
        assert not inside, f"{page.name}: {inside} would lie in a package of this project"


@pytest.mark.parametrize("page", ["README.md", "docs/reproducing.md", "docs/weights.md", "docs/pretraining.md"])
def test_git_ignores_what_the_commands_of_a_page_write(page: str) -> None:
    commands = commands_in(blocks(ROOT / page))
    written = [path for _, name, *words in commands for path in written_by(name, words) if not path.startswith("$")]
    assert written
    for path in [*written, "demo-output/report.html"]:
        done = subprocess.run(["git", "check-ignore", "-q", "--no-index", f"{path}/x"], cwd=ROOT)
        assert done.returncode == 0, f"{page}: git does not ignore {path}"


def test_what_a_command_writes_is_found() -> None:
    assert written_by("build-shards", ["in", "data/a", "--dataset", "chexpert"]) == ["data/a"]
    assert written_by("probe", ["--shards", "data/a", "--output", "study/m"]) == ["study/m"]
    assert written_by("import", ["file", "study/i", "--run", "study/r"]) == ["study/r", "study/i"]
