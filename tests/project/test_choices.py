"""Every command that takes a device, an architecture, a label policy takes each choice of the table and no other."""

from collections.abc import Iterator

import click
import pytest

from evaluation.cli.main import main as cxr_eval
from shards.format.schema import SPLITS
from training import choices
from training.backbones.architectures import ARCHITECTURES
from training.cli.main import main as cxr_train

COMMANDS: dict[str, click.Command] = {
    f"{program} {name}": command
    for program, group in {"cxr-train": cxr_train, "cxr-eval": cxr_eval}.items()
    for name, command in group.commands.items()
}
TABLE: dict[str, tuple[str, ...]] = {
    "--backbone": ARCHITECTURES,
    "--device": choices.DEVICES,
    "--precision": choices.PRECISIONS,
    "--optimizer": choices.OPTIMIZERS,
    "--schedule": choices.SCHEDULES,
    "--batch-norm": choices.BATCH_NORMS,
    "--positives": choices.GROUPS,
    "--mask": choices.GROUPS,
    "--fraction-of": choices.FRACTION_OF,
    "--uncertain": choices.UNCERTAIN,
    "--missing": choices.MISSING,
    "--split": SPLITS,
}
OTHERS = {("cxr-train finetune", "--schedule"): choices.FINETUNE_SCHEDULES}
"""Commands with choices of their own: fine-tuning has no milestones for a schedule in steps."""


def taken() -> Iterator[tuple[str, str]]:
    """(command, option) for each option of the table that a command takes."""
    for name, command in COMMANDS.items():
        for parameter in command.params:
            yield from ((name, option) for option in parameter.opts if option in TABLE)


def chosen(command: str, option: str, value: str) -> object:
    """The value that the command gets for `option value`; other required options and arguments are filled in."""
    found = COMMANDS[command]
    required = [p.opts[0] for p in found.params if isinstance(p, click.Option) and p.required and option not in p.opts]
    words = [word for name in required for word in (name, "x")]
    for argument in (p for p in found.params if isinstance(p, click.Argument) and p.required):
        words.append("." if isinstance(argument.type, click.Path) and argument.type.dir_okay else "x")
    context = found.make_context(command, [*words, option, value])
    (parameter,) = (p for p in found.params if option in p.opts)
    return context.params[str(parameter.name)]


def test_the_commands_that_take_such_options_are_found() -> None:
    takers = {option: {command for command, name in taken() if name == option} for option in TABLE}
    supervised = {"cxr-train probe", "cxr-train finetune"}
    assert takers["--backbone"] == {"cxr-train pretrain", "cxr-eval embed", *supervised}
    assert takers["--device"] >= {"cxr-train pretrain", "cxr-eval embed", "cxr-eval predict", *supervised}
    assert takers["--fraction-of"] == supervised
    assert takers["--uncertain"] == takers["--missing"] == supervised
    assert takers["--precision"] == takers["--optimizer"] == {"cxr-train pretrain", "cxr-train finetune"}


@pytest.mark.parametrize(("command", "option"), sorted(taken()))
def test_a_command_takes_every_choice_of_the_table_and_lists_no_other(command: str, option: str) -> None:
    expected = OTHERS.get((command, option), TABLE[option])
    for choice in expected:
        assert chosen(command, option, choice) == choice
    (parameter,) = (p for p in COMMANDS[command].params if option in p.opts)
    assert isinstance(parameter.type, click.Choice)
    assert tuple(parameter.type.choices) == expected
    with pytest.raises(click.BadParameter, match="is not one of"):
        chosen(command, option, "another")


def test_fine_tuning_takes_the_schedules_that_need_no_milestones() -> None:
    assert set(choices.FINETUNE_SCHEDULES) == set(choices.SCHEDULES) - {"step"}
