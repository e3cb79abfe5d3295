"""The table of commands and kinds of faults has no empty cell, and what it says is tried is in the tests."""

import ast
import importlib.util
from pathlib import Path

import pytest

from tests.robustness.matrix import KINDS, Nothing, Through, Tried, cells, commands, table

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "robustness.md"


def words_of(module: str) -> set[str]:
    """Texts of a module of tests: the commands of its tables are among them, alone or before a comma."""
    tree = ast.parse((HERE / f"{module}.py").read_text(encoding="utf-8"))
    found = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return found | {word.partition(",")[0] for word in found}


@pytest.mark.parametrize("command", commands())
def test_no_cell_is_empty_and_what_is_tried_is_in_its_test(command: str) -> None:
    found = cells(command)
    assert list(found) == list(KINDS)
    for kind, cell in found.items():
        if isinstance(cell, Nothing):
            assert cell.reason, kind
            continue
        assert importlib.util.find_spec(f"tests.robustness.{cell.module}") is not None
        if isinstance(cell, Tried):
            assert command.split()[1] in words_of(cell.module), f"{cell.module} does not try {command} ({kind})"


def test_every_kind_is_tried_with_some_command_and_shared_code_is_named() -> None:
    every = [cell for command in commands() for cell in cells(command).items()]
    assert {kind for kind, cell in every if isinstance(cell, Tried)} == set(KINDS)
    assert all(cell.function for _, cell in every if isinstance(cell, Through))


def test_the_page_holds_the_table() -> None:
    print(table())
    assert table() in PAGE.read_text(encoding="utf-8"), "write it anew: python -m tests.robustness.matrix"


def test_a_new_command_without_a_row_has_no_cells() -> None:
    with pytest.raises(KeyError):
        cells("cxr-train something-new")
