"""docs/differences.md lists the defaults that differ from the paper, and --help marks each of them."""

import re

import click
import pytest

from shards.terminal.recipes import read_recipe
from tests.project.test_docs import COMMANDS
from tests.project.tree import ROOT

PAGE = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Defaults that differ from the paper")[2].partition("\n## ")[0]
ROWS = [
    (command, option, default)
    for commands, option, default in re.findall(r"^\| (`cxr[^|]*) \| `(--[\w-]+)` \| ([^|]*) \|", TABLE, re.MULTILINE)
    for command in re.findall(r"`(cxr-[^`]+)`", commands)
]


def parameter_of(command: str, option: str) -> click.Option:
    """An option of a command."""
    (found,) = (p for p in COMMANDS[command].params if isinstance(p, click.Option) and option in p.opts)
    return found


def shown_default(parameter: click.Option) -> str:
    """The default as --help shows it; of one that depends on other options, what it is without their exceptions."""
    if isinstance(parameter.show_default, str):
        return parameter.show_default.partition(";")[0]
    return ("on" if parameter.default else "off") if parameter.is_flag else str(parameter.default)


@pytest.mark.parametrize(("command", "option", "default"), ROWS)
def test_a_default_that_differs_is_the_one_that_the_page_names(command: str, option: str, default: str) -> None:
    assert shown_default(parameter_of(command, option)) == default.strip("`")


@pytest.mark.parametrize(("command", "option", "default"), ROWS)
def test_help_marks_a_default_that_differs(command: str, option: str, default: str) -> None:
    sentences = (COMMANDS[command].help or "").split(". ")
    texts = [parameter_of(command, option).help or "", *(text for text in sentences if option in text)]
    assert any(re.search(r"publish|the paper", text) for text in texts), f"{command} {option}"


def test_pretrain_says_in_its_help_which_defaults_differ() -> None:
    """The sentence at the top of `cxr-train pretrain --help` and the table name the same options."""
    text = " ".join((COMMANDS["cxr-train pretrain"].help or "").split())
    (sentence,) = re.findall(r"The defaults are the published ones of MoCo-CXR, but for (.*?)\. ", text + " ")
    assert set(re.findall(r"--[\w-]+", sentence)) == {
        option for name, option, _ in ROWS if name == "cxr-train pretrain"
    }


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_an_option_that_help_says_differs_from_the_published_one_is_on_the_page(command: str) -> None:
    """`published: VALUE` in a help text is the mark of a difference."""
    marked = {
        p.opts[0]
        for p in COMMANDS[command].params
        if isinstance(p, click.Option) and re.search(r"published: |the paper has", p.help or "")
    }
    assert marked <= {option for name, option, _ in ROWS if name == command}


def test_the_other_defaults_of_pretrain_are_those_of_the_published_recipe() -> None:
    recipe = {name.replace("-", "_"): value for name, value in read_recipe("moco_cxr_resnet18").items()}
    defaults = {p.name: p.default for p in COMMANDS["cxr-train pretrain"].params if p.name in recipe}
    different = {name for name, value in recipe.items() if _plain(defaults[name]) != _plain(value)}
    marked = {option[2:].replace("-", "_") for name, option, _ in ROWS if name == "cxr-train pretrain"}
    assert different == marked


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list | tuple) else value
