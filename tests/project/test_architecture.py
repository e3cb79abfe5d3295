"""docs/architecture.md and its diagram name the folders that there are."""

import re

import pytest

from tests.project.test_imports import MAY_IMPORT
from tests.project.tree import ROOT

FOLDERS = sorted(folder for folder in MAY_IMPORT if "." in folder)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_in_the_diagram(folder: str) -> None:
    words = re.findall(r">([^<]+)</text>", (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8"))
    assert folder.partition(".")[2] in " ".join(words).split()


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if not folder.endswith(".cli")])
def test_a_folder_is_in_the_table(folder: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert f"| `{folder.replace('.', '/')}/` |" in page
