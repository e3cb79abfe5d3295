"""Imports point one way, and what a command does not need it does not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Package -> the packages of this project that it may import besides itself.
MAY_IMPORT = {
    "shards": {"recipes"},  # the names of the shipped recipes; a folder of YAML that imports nothing
    "recipes": set[str](),
    "ingest": {"shards", "recipes"},
    "training": {"shards", "recipes"},
    "evaluation": {"shards", "recipes", "training"},
}
TEST_CODE = {"tests", "benchmarks"}


def imported_packages(source: str, package: str) -> set[str]:
    """Top-level names of all imports, also those inside functions; a relative import is one of `package`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(package if node.level else (node.module or "").partition(".")[0])
    return names


def test_imports_are_found_wherever_they_stand() -> None:
    source = "import torch.nn as nn\ndef f():\n    from ingest.plan import Plan\n    from . import sibling\n"
    assert imported_packages(source, "training") == {"torch", "ingest", "training"}


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_it_may_know(package: str) -> None:
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    forbidden = (set(MAY_IMPORT) | TEST_CODE) - MAY_IMPORT[package] - {package}
    wrong = {
        str(module.relative_to(ROOT)): sorted(found)
        for module in modules
        if (found := imported_packages(module.read_text(encoding="utf-8"), package) & forbidden)
    }
    assert not wrong


@pytest.mark.parametrize(
    "statement",
    [
        "import shards",
        "import ingest.cli.main",
        # A plan, a build and a verification use these; only `shards.loader` and its graph may load DALI.
        "import ingest.build, shards.dataset, shards.writer, shards.verify, shards.subsets",
    ],
)
def test_shards_and_ingest_load_neither_torch_nor_dali(statement: str) -> None:
    program = f"{statement}\nimport sys\nprint(*sorted({{'torch', 'torchvision', 'nvidia.dali'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("package", ["training", "evaluation"])
def test_the_other_command_lines_answer_help_without_torch(package: str) -> None:
    program = (
        f"import sys\nsys.argv = ['cxr', '--help']\nfrom {package}.cli.main import main\n"
        "main(standalone_mode=False)\nassert not {'torch', 'nvidia.dali'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
