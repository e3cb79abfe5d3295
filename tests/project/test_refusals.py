"""docs/refusals.md quotes messages that the code has."""

import ast
import re

import pytest

from tests.project.tree import ROOT

PACKAGES = ("shards", "ingest", "training", "evaluation")
PAGE = (ROOT / "docs" / "refusals.md").read_text(encoding="utf-8")
QUOTES = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)


def _joined(node: ast.JoinedStr) -> str:
    """An f-string with ... where its values stand."""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values)


def literals() -> list[str]:
    """Every string of the packages, f-strings with ... where their values stand."""
    found: list[str] = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(_joined(node))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


LITERALS = literals()


def test_an_f_string_is_searched_as_a_person_reads_it() -> None:
    (node,) = (node for node in ast.walk(ast.parse('f"a {1} b" "c"')) if isinstance(node, ast.JoinedStr))
    assert _joined(node) == "a ... bc"


@pytest.mark.parametrize("quote", QUOTES)
def test_a_message_that_the_page_quotes_is_one_of_the_code(quote: str) -> None:
    pattern = re.compile(".*".join(map(re.escape, quote.split("..."))), re.DOTALL)
    assert any(pattern.search(text) for text in LITERALS)
