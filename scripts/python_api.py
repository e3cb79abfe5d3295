"""Write docs/python-api.md from the docstrings of the exported names and from examples/from_python.py.

    python -m scripts.python_api

A test holds the page to the docstrings, and runs the examples.
"""

import dataclasses
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

from shards.durable import write_atomically
from shards.terminal.options import REQUIRED, OptionSpec, specs

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python-api.md"
EXAMPLES = ROOT / "examples" / "from_python.py"
PACKAGES = ("shards", "ingest", "training", "evaluation")

INTRODUCTION = """\
# From Python

What the four packages export. This page is made from their docstrings by `python -m scripts.python_api`; the examples
are the cells of [examples/from_python.py](../examples/from_python.py), which a test runs from top to bottom, and
[examples/first_look.ipynb](../examples/first_look.ipynb) shows the same path with pictures and curves.

- A function that does a command's work takes the dataclass that builds the command's options: same names (with `_` for
  `-`), same defaults, and `--help` of the command explains each. It does not print: progress goes to stderr, and what a
  command would say goes to the `logging` of its module.
- Names are imported when they are first used: `import shards` and `import ingest` load neither torch nor DALI.
- Errors that a person can mend are `shards.CxrError` or a class below it, with a message that says what to do.
- Functions that start worker processes (`ingest.make_phantom`, `ingest.build_shards`; workers=1 starts none) do not
  import the main script in them: a script needs no `if __name__ == "__main__":` for their sake.
- The packages have generic names at the top level (`shards`, `training`, ...): install this project into an environment
  of its own.
"""


def examples() -> dict[str, str]:
    """The cells of the file of examples, by the name of the function that they show."""
    cells = re.split(r"^# %% ", EXAMPLES.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {cell.partition("\n")[0].strip(): cell.partition("\n")[2].strip() for cell in cells}


def page() -> str:
    """The whole page."""
    shown = examples()
    parts = [INTRODUCTION]
    for name in PACKAGES:
        package = importlib.import_module(name)
        parts.append(f"## {name}\n\n{_text(package)}\n")
        parts += [_entry(package, exported, shown) for exported in _in_order(package, list(shown))]
    return "\n".join(parts)


def _in_order(package: ModuleType, shown: list[str]) -> list[str]:
    """What has an example first, in the order of the examples, then options, other classes, errors and tables."""
    place = {name.partition(".")[2]: number for number, name in enumerate(shown) if name.startswith(package.__name__)}
    return sorted(package.__all__, key=lambda name: (place.get(name, len(shown)), _rank(getattr(package, name)), name))


def _rank(value: object) -> int:
    if not inspect.isclass(value):
        return 3
    if issubclass(value, Exception):
        return 2
    return 0 if dataclasses.is_dataclass(value) and specs(value) else 1


def _entry(package: ModuleType, name: str, shown: dict[str, str]) -> str:
    value, full = getattr(package, name), f"{package.__name__}.{name}"
    lines = [f"### {full}\n"]
    if full in shown:
        lines.append(f"```python\n{_signature(name, value)}\n```\n")
    lines.append(_text(value) if inspect.isclass(value) or inspect.isfunction(value) else f"`{value!r}`")
    if inspect.isclass(value) and dataclasses.is_dataclass(value):
        lines.append("\n" + _fields(value))
    if full in shown:
        lines.append(f"\n```python\n{shown[full]}\n```")
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    """A docstring as Markdown: paragraphs and indented code stay as they are."""
    return inspect.getdoc(value) or ""


def _signature(name: str, value: Any) -> str:  # noqa: ANN401 - a function or a class
    """The signature, a parameter a line where one line would be too long; types without the folders they are in."""
    found = inspect.signature(value)
    parameters = []
    starred = False
    for parameter in found.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            parameters.append("*")
            starred = True
        parameters.append(_plain(str(parameter.replace(default=inspect.Parameter.empty))) + _default(parameter))
    returned = "" if found.return_annotation in (inspect.Signature.empty, None) else f" -> {_type(found)}"
    line = f"{name}({', '.join(parameters)}){returned}"
    if len(line) <= 110:
        return line
    return f"{name}(\n" + "".join(f"    {parameter},\n" for parameter in parameters) + f"){returned}"


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return ""
    shown = parameter.default.__name__ if callable(parameter.default) else repr(parameter.default)
    return " = ..." if shown == "<lambda>" else f" = {shown}"


def _type(found: inspect.Signature) -> str:
    return _plain(inspect.formatannotation(found.return_annotation))


def _plain(annotation: str) -> str:
    """`shards.format.dataset.Dataset` as `Dataset`."""
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z])", "", annotation)


def _fields(value: type[Any]) -> str:
    """A dataclass's fields and their types; of options, a table with what the command's --help says of each."""
    options = specs(value)
    if not options:
        named = [f"`{field.name}: {_field_type(field, code=True)}`" for field in dataclasses.fields(value)]
        return f"Fields: {', '.join(named)}."
    rows = [
        f"| `{field.name}=` | `{_field_type(field)}` | {_field_default(field, options.get(field.name))} | "
        f"{_cell(options[field.name].help) if field.name in options else ''} |"
        for field in dataclasses.fields(value)
    ]
    return "\n".join(["| field | type | default | meaning |", "|---|---|---|---|", *rows])


def _field_type(field: "dataclasses.Field[Any]", *, code: bool = False) -> str:
    text = _plain(field.type if isinstance(field.type, str) else inspect.formatannotation(field.type))
    return text if code else _cell(text)


def _field_default(field: "dataclasses.Field[Any]", spec: OptionSpec | None) -> str:
    if field.default is REQUIRED:
        return "required"
    if field.default is None and spec is not None and spec.unset:
        return f"None: {_cell(spec.unset)}"
    return f"`{_cell(repr(field.default))}`"


def _cell(text: str) -> str:
    return textwrap.dedent(text).replace("\n", " ").replace("|", "\\|")


def main() -> None:
    """Write the page."""
    with write_atomically(PAGE) as file:
        file.write(page().encode())


if __name__ == "__main__":
    main()
