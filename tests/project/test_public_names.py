"""What the packages export to Python: light to import, visible to type checkers, each name with a docstring."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import shards
from shards.lazy_imports import lazy_exports

ROOT = Path(__file__).parents[2]
PACKAGES = ("shards", "ingest", "training", "evaluation")
HEAVY = ("torch", "torchvision", "nvidia.dali", "sklearn", "scipy", "matplotlib", "cv2", "pydicom")


def inits() -> list[Path]:
    """The `__init__` of each package and folder that exports names lazily."""
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")]
    return [path for path in found if "lazy_exports(" in path.read_text(encoding="utf-8")]


def name_of(path: Path) -> str:
    """The dotted name of the package whose `__init__` this is."""
    return ".".join(path.parent.relative_to(ROOT).parts)


def type_checked(tree: ast.Module) -> dict[str, set[str]]:
    """Names by module, as they are imported below `if TYPE_CHECKING:`."""
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {str(node.module): {alias.name for alias in node.names} for node in imports}


def lazy(tree: ast.Module) -> dict[str, set[str]]:
    """Names by module, as `lazy_exports` is given them."""
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "lazy_exports"
    )
    given = eval(compile(ast.Expression(call.args[1]), "names", "eval"))  # a literal, perhaps with starred tuples
    return {module: set(names) for module, names in given.items()}


def test_the_packages_export_names_lazily() -> None:
    assert {name_of(path) for path in inits()} >= {"shards", "ingest", "training", "evaluation"}


@pytest.mark.parametrize("path", inits(), ids=name_of)
def test_type_checkers_see_the_names_that_are_imported_on_first_use(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert type_checked(tree) == lazy(tree)
    assert {name for names in lazy(tree).values() for name in names} <= set(
        importlib.import_module(name_of(path)).__all__
    )


@pytest.mark.parametrize("path", inits(), ids=name_of)
def test_each_exported_name_is_there_documented_and_no_module(path: Path) -> None:
    package = importlib.import_module(name_of(path))
    assert package.__all__ == sorted(
        package.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )
    for name in package.__all__:
        value = getattr(package, name)
        assert not isinstance(value, ModuleType), f"{name} is a module of {package.__name__}"
        assert not (path.parent / name).exists(), f"importing {package.__name__}.{name} would hide what is exported"
        assert not (path.parent / f"{name}.py").exists()
        assert name in dir(package)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), f"{package.__name__}.{name} has no docstring"


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    program = f"import {package}, sys\nprint(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_a_name_is_imported_on_first_use_and_found_at_once_afterwards() -> None:
    program = (
        "import sys, shards\nassert 'torch' not in sys.modules\n"
        "from shards import EvaluationLoader\nassert 'torch' in sys.modules\n"
        "assert vars(shards)['EvaluationLoader'] is EvaluationLoader"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)


def test_a_name_that_is_not_exported_is_refused_as_in_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'shards' has no attribute 'nonsense'"):
        _ = shards.nonsense  # type: ignore[attr-defined]
    get, listed = lazy_exports("shards", {"shards.format.schema": ("SPLITS",)})
    assert get("SPLITS") == ("train", "valid", "test")
    assert "SPLITS" in listed()
