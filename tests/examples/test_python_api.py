"""docs/python-api.md is what the docstrings and the examples say; tests/examples runs the examples."""

import importlib
import inspect

from scripts.python_api import PACKAGES, PAGE, examples, page


def test_the_page_is_that_of_the_docstrings_and_examples() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: .venv/bin/python -m scripts.python_api"


def test_every_public_function_and_loader_has_an_example_and_every_example_a_name() -> None:
    exported = {
        f"{name}.{public}": getattr(importlib.import_module(name), public)
        for name in PACKAGES
        for public in importlib.import_module(name).__all__
    }
    shown = set(examples())
    assert shown <= set(exported)
    assert {name for name, value in exported.items() if inspect.isfunction(value)} <= shown
    assert {name for name in exported if name.endswith("Loader")} <= shown


def test_an_entry_names_the_errors_and_the_fields_of_options_with_their_help() -> None:
    text = page()
    assert "Raises WeightsError for files that are missing" in text
    assert "| `uncertain=` | `Literal['ignore', 'zeros', 'ones']` | `'ignore'` |" in text
    assert "(shards: tuple" not in text
