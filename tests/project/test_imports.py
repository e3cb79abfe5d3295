"""Folders import one way, no folder outgrows a dozen modules, and what a command does not need it does not load."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("shards", "ingest", "training", "evaluation", "recipes")
SCRIPTS = {"tests", "benchmarks", "experiments", "examples"}

_FORMAT = {"shards", "shards.format"}
_LOADING = {*_FORMAT, "shards.loading"}
_SELECTION = {*_FORMAT, "shards.selection"}
# Folder -> the folders of this project that its modules may import, besides itself. A package's own name stands for
# the modules that lie directly in it. An __init__ may import what its folder exports.
MAY_IMPORT: dict[str, set[str]] = {
    "recipes": set(),
    "shards": set(),
    "shards.terminal": {"shards", "recipes"},  # the names of the shipped recipes; a folder of YAML
    "shards.images": {"shards"},
    "shards.format": {"shards"},
    "shards.selection": _FORMAT,
    "shards.loading": {*_FORMAT, "shards.terminal"},
    "ingest": {"shards"},
    "ingest.tables": _FORMAT,
    "ingest.archives": {"shards", "ingest.tables"},
    "ingest.challenges": {"shards", "ingest.tables", "ingest.archives"},
    "ingest.own": {*_FORMAT, "shards.images", "ingest.tables", "ingest.archives"},
    "ingest.images": {"shards", "shards.images", "shards.terminal", "ingest"},
    "ingest.build": {
        *_FORMAT,
        *("shards.images", "shards.terminal", "ingest", "ingest.tables", "ingest.archives", "ingest.own"),
        *("ingest.images",),
    },
    "ingest.inspection": {*_FORMAT, "shards.terminal", "ingest.build", "ingest.images"},
    "ingest.phantom": {"shards", "shards.terminal", "ingest", "ingest.archives"},
    "ingest.cli": {
        *_FORMAT,
        *("shards.images", "shards.terminal", "ingest", "ingest.archives", "ingest.build", "ingest.inspection"),
        "ingest.phantom",
    },
    "training": {
        "shards.selection",
        *_LOADING,  # the range of views that the options of augmentation make
        "shards.terminal",
    },
    "training.processes": {*_LOADING, "shards.terminal", "training"},
    "training.backbones": {*_LOADING, "shards.terminal", "training", "training.processes"},
    "training.moco": {"training", "training.processes", "training.backbones"},
    "training.runs": {*_FORMAT, "training", "training.processes", "training.backbones"},
    "training.pretraining": {
        "shards.selection",
        *_LOADING,
        *("shards.terminal", "training", "training.processes", "training.backbones", "training.moco"),
        "training.runs",
    },
    "training.regression": {*_FORMAT, "training"},
    "training.downstream": {
        "shards.selection",
        *_LOADING,
        *("shards.terminal", "training", "training.processes", "training.backbones", "training.runs"),
        "training.regression",
    },
    "training.studies": {
        "shards.selection",
        *_LOADING,
        *("shards.terminal", "recipes", "training", "training.processes", "training.backbones", "training.runs"),
        *("training.pretraining", "training.downstream"),
    },
    "training.publishing": {
        *_FORMAT,
        *("shards.terminal", "training", "training.backbones", "training.runs", "training.studies"),
    },
    "training.cli": {
        "recipes",
        *_LOADING,
        *("shards.terminal", "training", "training.processes", "training.backbones", "training.moco"),
        *("training.runs", "training.pretraining", "training.downstream", "training.studies"),
        "training.publishing",
    },
    "evaluation": {
        "shards.selection",
        *_LOADING,
        "shards.images",  # files are decoded as a build decodes them
        *("shards.terminal", "training", "training.processes", "training.backbones", "training.downstream"),
        *("evaluation.metrics", "evaluation.tables", "evaluation.statistics", "evaluation.calibration"),
        *("evaluation.results", "evaluation.curves"),
    },
    "evaluation.metrics": set(),
    "evaluation.tables": _SELECTION,
    "evaluation.statistics": {"shards", "shards.terminal", "evaluation.metrics", "evaluation.tables"},
    "evaluation.calibration": {
        *("shards", "shards.terminal", "evaluation.metrics", "evaluation.tables", "evaluation.statistics"),
    },
    "evaluation.results": {"shards", "evaluation.tables", "evaluation.statistics"},
    "evaluation.curves": {
        *("shards", "evaluation.metrics", "evaluation.tables", "evaluation.statistics", "evaluation.results"),
    },
    "evaluation.report.figures": {
        *("shards", "evaluation.statistics", "evaluation.calibration", "evaluation.curves"),
    },
    "evaluation.report": {
        *("shards", "shards.terminal", "training.backbones", "training.runs", "evaluation.statistics"),
        *("evaluation.tables", "evaluation.calibration", "evaluation.results", "evaluation.curves"),
        "evaluation.report.figures",
    },
    "evaluation.report.tables": {"evaluation.statistics", "evaluation.report", "evaluation.report.figures"},
    "evaluation.report.page": {
        *("shards", "evaluation.statistics", "evaluation.curves", "evaluation.report", "evaluation.report.figures"),
        *("evaluation.report.tables", "evaluation.report.participants", "evaluation.report.prose"),
    },
    "evaluation.report.participants": {*_SELECTION, "shards.selection", "evaluation.statistics", "evaluation.report"},
    "evaluation.report.prose": {"evaluation.statistics", "evaluation.report"},
    "evaluation.studies": {
        *_FORMAT,
        *("shards.terminal", "training", "training.processes", "training.backbones", "training.runs"),
        *("training.downstream", "training.studies", "evaluation", "evaluation.metrics", "evaluation.tables"),
        *("evaluation.statistics", "evaluation.results", "evaluation.report", "evaluation.report.tables"),
        "evaluation.report.page",
    },
    "evaluation.cli": {
        *_FORMAT,
        *("shards.terminal", "training", "training.processes", "training.backbones", "training.runs"),
        *("training.downstream", "evaluation", "evaluation.tables", "evaluation.statistics", "evaluation.report"),
        *("evaluation.report.page", "evaluation.studies", "evaluation.calibration"),
    },
}
LARGEST_FOLDER = 13
"""Modules in one folder, __init__ not counted: about a dozen."""


def imported_modules(source: str, folder: str) -> Iterator[str]:
    """Dotted names of all imports, also those inside functions; a relative import is one of `folder`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or folder}.{alias.name}" for alias in node.names)


def folder_of(name: str) -> str:
    """The folder of the module that a dotted name is in, or is: `shards.format.dataset.Dataset` -> `shards.format`."""
    parts = name.split(".")
    folders = [".".join(parts[:end]) for end in range(1, len(parts) + 1) if (ROOT.joinpath(*parts[:end])).is_dir()]
    return folders[-1] if folders else parts[0]


def modules_of(folder: str) -> list[Path]:
    return sorted(path for path in ROOT.joinpath(*folder.split(".")).glob("*.py") if path.name != "__init__.py")


def test_imports_are_found_wherever_they_stand() -> None:
    source = "import torch.nn as nn\ndef f():\n    from ingest.build.plan import Plan\n    from . import sibling\n"
    found = set(imported_modules(source, "training.runs"))
    assert found == {"torch.nn", "ingest.build.plan.Plan", "training.runs.sibling"}
    assert [folder_of(name) for name in sorted(found)] == ["ingest.build", "torch", "training.runs"]


def test_the_table_names_every_folder() -> None:
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    }
    assert folders == set(MAY_IMPORT)


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_a_folder_imports_only_what_the_table_allows(folder: str) -> None:
    allowed = MAY_IMPORT[folder] | {folder}
    ours = {*PACKAGES, *SCRIPTS}
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules_of(folder)
        for name in imported_modules(path.read_text(encoding="utf-8"), folder)
        if name.partition(".")[0] in ours and folder_of(name) not in allowed
    }
    assert not wrong


def test_the_table_has_no_circle() -> None:
    done: set[str] = set()
    while len(done) < len(MAY_IMPORT):
        free = {folder for folder, allowed in MAY_IMPORT.items() if folder not in done and allowed <= done}
        assert free, f"these import each other: {sorted(set(MAY_IMPORT) - done)}"
        done |= free


@pytest.mark.parametrize("folder", sorted(folder for folder in MAY_IMPORT if folder != "ingest.phantom"))
def test_a_folder_holds_about_a_dozen_modules(folder: str) -> None:
    assert folder.endswith(".cli") or len(modules_of(folder)) <= LARGEST_FOLDER


@pytest.mark.parametrize("folder", sorted(folder for folder in MAY_IMPORT))
def test_a_folder_says_what_it_is_for(folder: str) -> None:
    text = ROOT.joinpath(*folder.split("."), "__init__.py").read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{folder}/__init__.py has no docstring"


@pytest.mark.parametrize(
    "statement",
    [
        "import shards",
        "import ingest.cli.main",
        # A plan, a build and a verification use these; only `shards.loading.loaders` and its graph may load DALI.
        "import ingest.build.dataset_build, shards.format.dataset, shards.format.shard_writer, shards.format.verify",
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
