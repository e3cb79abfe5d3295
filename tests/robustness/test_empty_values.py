"""Empty values, which a shell gives for a variable that is not set: every command refuses them by the option's name."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.robustness.test_numbers import PROGRAMS


def parameters() -> Iterator[tuple[str, click.Command, click.Parameter]]:
    for program, group in PROGRAMS.items():
        for name, command in group.commands.items():
            for parameter in command.params:
                if not (isinstance(parameter, click.Option) and parameter.is_flag):
                    yield f"{program} {name} {parameter.opts[0]}", command, parameter


ALL = {name: (command, parameter) for name, command, parameter in parameters()}
OPTIONS = [name for name, (_, parameter) in ALL.items() if isinstance(parameter, click.Option)]


def test_there_are_options_and_arguments_of_all_three_programs() -> None:
    assert len(OPTIONS) > 150
    assert {name.split()[0] for name in set(ALL) - set(OPTIONS)} == set(PROGRAMS)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_empty_value_of_an_option_is_a_usage_error(name: str) -> None:
    command, option = ALL[name]
    result = CliRunner().invoke(command, [option.opts[0], *[""] * option.nargs])
    assert result.exit_code == 2
    assert f"Invalid value for '{option.opts[0]}'" in result.output
    assert "the value is empty" in result.output or "'' is neither a file nor a shipped recipe" in result.output


@pytest.mark.parametrize("name", sorted(set(ALL) - set(OPTIONS)))
def test_an_empty_argument_is_a_usage_error(name: str) -> None:
    command, argument = ALL[name]
    with pytest.raises(click.BadParameter, match="the value is empty"):
        argument.process_value(click.Context(command), ("",) if argument.nargs == -1 else "")


@pytest.mark.parametrize("given", [["--output", ""], ["--output="]])
def test_no_run_is_written_into_the_working_folder(given: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(PROGRAMS["cxr-train"], ["pretrain", "--shards", str(tmp_path), *given])
    assert result.exit_code == 2
    assert "Invalid value for '--output': the value is empty (\"\"): a variable of the shell may not be set" in (
        result.output
    )
