"""The library's log messages at the terminal."""

import logging

import click
import pytest
from click.testing import CliRunner

from shards.terminal.group import Group
from shards.terminal.logs import NOTE, log_to_terminal

LIBRARY = logging.getLogger("training.runs.lock")


@click.group(cls=Group)
def program() -> None:
    """A command line."""


@program.group(cls=Group)
def inner() -> None:
    """A group in the group."""


@inner.command()
def work() -> None:
    """Log at every level, and as another library."""
    LIBRARY.debug("hidden")
    LIBRARY.info("%s steps done", 3)
    LIBRARY.log(NOTE, "2 images are left out")
    LIBRARY.warning("the disk is full")
    logging.getLogger("some.library").info("not ours")


def test_a_command_shows_messages_once_on_stdout_and_notes_and_warnings_on_stderr() -> None:
    result = CliRunner().invoke(program, ["inner", "work"])
    assert result.exit_code == 0
    assert result.stdout == "3 steps done\n"
    assert result.stderr == "2 images are left out\nWarning: the disk is full\n"


def test_outside_a_command_the_library_is_silent_below_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    CliRunner().invoke(program, ["inner", "work"])
    LIBRARY.info("unseen")
    assert capfd.readouterr() == ("", "")


def test_the_handler_is_removed_also_after_an_error() -> None:
    before = list(logging.getLogger("training").handlers), logging.getLogger("training").level
    with pytest.raises(ZeroDivisionError), log_to_terminal():
        raise ZeroDivisionError
    assert (list(logging.getLogger("training").handlers), logging.getLogger("training").level) == before
