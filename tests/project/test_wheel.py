"""A wheel of the project holds its packages whole, and the three commands start from it alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.tree import ROOT, copy_tree, tracked_files

PACKAGES = ("shards", "ingest", "training", "evaluation", "recipes")
PROGRAMS = {"cxr-ingest": "ingest", "cxr-train": "training", "cxr-eval": "evaluation"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the wheel was installed, without dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    source, wheels, target = copy_tree(folder / "source"), folder / "wheels", folder / "installed"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(wheels), str(source)]
    subprocess.run(build, cwd=folder, check=True)
    (wheel,) = wheels.glob("cxr_moco-*.whl")
    install = [*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target", str(target), str(wheel)]
    subprocess.run(install, cwd=folder, check=True)
    return target


def run_from(installed: Path, *words: str) -> str:
    """Run Python with the installed folder and the environment's packages, but none of its .pth files: these would
    bring an editable install of this tree. Returns what it printed."""
    packages = [path for path in sys.path if Path(path).name == "site-packages"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *packages])}
    command = [sys.executable, "-S", "-P", *words]
    done = subprocess.run(command, cwd=installed.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_files_of_the_packages_and_no_others(installed: Path) -> None:
    expected = {name for name in tracked_files() if name.split("/")[0] in PACKAGES}
    found = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    others = {name for name in found - expected if name.split("/")[0] != "bin" and ".dist-info/" not in name}
    assert expected <= found, f"missing in the wheel: {sorted(expected - found)}"
    assert not others, f"only in the wheel: {sorted(others)}"


def test_the_wheel_has_recipes_templates_and_markers_of_types(installed: Path) -> None:
    recipes = {path.name for path in (ROOT / "recipes").glob("*.yaml")}
    assert recipes
    assert {path.name for path in (installed / "recipes").glob("*.yaml")} == recipes
    assert (installed / "evaluation" / "report" / "page" / "templates" / "report.html").is_file()
    assert all((installed / package / "py.typed").is_file() for package in PACKAGES if package != "recipes")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_command_starts_from_the_installed_wheel(installed: Path, program: str) -> None:
    assert run_from(installed, str(installed / "bin" / program), "--help").startswith("Usage: ")


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_python_finds_the_installed_package_and_not_this_tree(installed: Path, package: str) -> None:
    path = run_from(installed, "-c", f"import {package}; print({package}.__file__)").strip()
    assert Path(path).is_relative_to(installed)
