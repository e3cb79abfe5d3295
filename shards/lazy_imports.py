"""Export names of a package that are imported when they are first used.

torch and DALI take about 600 MB and 2 s a process. Worker processes of a build, `--help` and a look at a dataset need
neither, so a package's `__init__` imports nothing heavy and names here what to import on first use. Type checkers and
editors cannot see such names, so the same imports stand below `if TYPE_CHECKING:` in the package; a test of
tests/project holds the two to each other.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(
    package: str, names: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the functions `__getattr__` and `__dir__` of a package (PEP 562).

    names: for each module, by its dotted path, the names that the package exports from it. A name must not be that of
    a module of the package: importing that module would put it in the place of the exported one.
    """
    module_of = {name: module for module, exported in names.items() for name in exported}

    def get(name: str) -> Any:  # noqa: ANN401 - whatever is exported
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(module_of[name]), name)
        setattr(sys.modules[package], name, value)  # found without this function from now on
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return get, listed
