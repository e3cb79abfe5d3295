"""Build a command's options from a frozen dataclass: one field holds default, click type, help text and heading.

    @dataclass(frozen=True, kw_only=True)
    class ProbeOptions:
        lr: float = option(1e-4, Positive(), help="Learning rate for the global batch.", group="Optimization")

    @click.command(cls=OptionsCommand)
    @takes(ProbeOptions)
    def probe(options: ProbeOptions) -> None: ...

The same dataclass is what Python code passes to the work, so that an option keeps its type on the way.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from shards.terminal.recipes import print_config_option, recipe_option, recipe_values, show_config

REQUIRED = dataclasses.MISSING
"""Default of an option that must be given."""

Made = TypeVar("Made")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

LARGEST_WHOLE = 2**53
"""Of an option: beyond it numbers are no longer exact everywhere they are used, and sizes are of no machine."""

_KEY = "option"
_LAST_GROUP = "Recipes and help"


@dataclass(frozen=True)
class OptionSpec:
    """Properties of an option, kept with its field. names: the option's, where they are not made from the field's name.

    argument: a positional argument. group: heading in --help. changes_weights: whether a run with another value is
    another run. unset: what --help shows where the default is None ("the cores granted"). multiple: the option may be
    repeated. several: so may its value, up to the next option, as a shell's `*` gives file names.
    """

    type: click.ParamType[Any] | None
    help: str
    group: str
    names: tuple[str, ...]
    metavar: str | None
    multiple: bool
    argument: bool
    changes_weights: bool
    unset: str | None
    several: bool = False


def option(
    default: Any = REQUIRED,  # noqa: ANN401 - of the field's own type
    type: click.ParamType[Any] | None = None,  # noqa: A002 - click's own name
    *,
    help: str,  # noqa: A002
    group: str = "Options",
    names: Sequence[str] = (),
    metavar: str | None = None,
    multiple: bool = False,
    several: bool = False,
    changes_weights: bool = True,
    unset: str | None = None,
) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field of an options dataclass. type: None takes a flag for bool, else click's type for the field's."""
    multiple = multiple or several
    spec = OptionSpec(type, help, group, tuple(names), metavar, multiple, False, changes_weights, unset, several)
    if default is REQUIRED:
        return dataclasses.field(metadata={_KEY: spec})
    return dataclasses.field(default=default, metadata={_KEY: spec})


def argument(type: click.ParamType[Any], *, help: str, metavar: str | None = None) -> Any:  # noqa: A002, ANN401
    """Declare a positional argument of the command, always required."""
    return dataclasses.field(metadata={_KEY: OptionSpec(type, help, "", (), metavar, False, True, True, None)})


def free_keys(options: type[Any]) -> frozenset[str]:
    """List the fields of an options dataclass whose values change no weight: a run may be resumed with others."""
    return frozenset(name for name, spec in specs(options).items() if not spec.changes_weights)


def specs(options: type[Any]) -> dict[str, OptionSpec]:
    """Return the options of a dataclass by field name, in the order of its fields."""
    return {field.name: field.metadata[_KEY] for field in dataclasses.fields(options) if _KEY in field.metadata}


def takes(options: type[Any], *, recipe: bool = False) -> Decorator:
    """Decorator: declares the options of a dataclass and calls the command with one instance of it.

    recipe: add --config and --print-config too. Functions that are wrapped may take a click.Context first
    (click.pass_context below this decorator).
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(*args: Any, **values: Any) -> Any:  # noqa: ANN401 - click's own values
            shown = recipe and values.pop("print_config")
            if recipe:
                values.pop("config")
            own = {name: values.pop(name) for name in specs(options)}
            made = options(**{name: _plain(value) for name, value in own.items()})
            if shown:
                return show_config(dataclasses.asdict(made))
            return command(*args, made, **values)

        parameters: list[Decorator] = [
            _parameter(field) for field in dataclasses.fields(options) if _KEY in field.metadata
        ]
        declared: Callable[..., Any] = wrapped
        if recipe:
            parameters += [recipe_option, print_config_option]
        for declare in reversed(parameters):
            declared = declare(declared)
        return declared

    return decorate


def from_recipe(options: type[Made], recipe: str, **given: object) -> Made:
    """Fill an options dataclass from a recipe (name or path), which is checked as --config checks it.

    given: values that stand above the recipe's. Raises click.BadParameter, naming file and key.
    """
    command = click.command("recipe")(takes(options)(lambda made: made))
    context = click.Context(command)
    known = {parameter.name: parameter for parameter in command.params}
    filled = {
        name: None if value is None else _plain(known[name].process_value(context, value))
        for name, value in recipe_values(context, recipe).items()
    }
    lacking = [name for name, parameter in known.items() if parameter.required and name not in {**filled, **given}]
    if lacking:
        raise click.BadParameter(f"{recipe} has no {', '.join(map(str, lacking))}, which must be given")
    return options(**{**filled, **given})


class OptionsCommand(click.Command):
    """A command whose --help lists the options under the headings of their groups, in the order of the fields."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; an option of several values takes all up to the next option."""
        several = {name for p in self.get_params(ctx) if getattr(p, "several", False) for name in p.opts}
        return super().parse_args(ctx, list(_repeated(args, several)))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section a group; --config, --print-config and --help come last."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "group", None) or _LAST_GROUP, []).append(record)
        last = groups.pop(_LAST_GROUP, [])
        for heading, records in [*groups.items(), (_LAST_GROUP if len(last) > 1 else "Help", last)]:
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


class GroupedOption(click.Option):
    """An option with the heading under which --help lists it. several: it takes all values up to the next option.

    Refused: an empty value, and a whole number beyond LARGEST_WHOLE unless the option's type has a bound of its own.
    """

    group: str = "Options"
    several: bool = False

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:  # noqa: ANN401 - click's own signature
        """Convert the value, as click does."""
        _refuse_empty(self, ctx, value)
        found = super().type_cast_value(ctx, value)
        if getattr(self.type, "max", None) is None:
            self._refuse_too_large(ctx, found)
        return found

    def _refuse_too_large(self, ctx: click.Context, value: object) -> None:
        if isinstance(value, list | tuple):
            for one in value:
                self._refuse_too_large(ctx, one)
        elif isinstance(value, int) and abs(value) > LARGEST_WHOLE:
            raise click.BadParameter(
                f"{str(value)[:40]} is larger than any number that is meant here ({LARGEST_WHOLE})", ctx, self
            )


class DescribedArgument(click.Argument):
    """A positional argument with a help text, never empty; releases of click before 8.3 have no help text."""

    group: str = "Arguments"
    text: str = ""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:  # noqa: ANN401 - click's own signature
        """Convert the value, as click does."""
        _refuse_empty(self, ctx, value)
        return super().type_cast_value(ctx, value)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """The row of --help: the name as it stands in the usage, and the text."""
        return self.make_metavar(ctx), self.text


class Number(click.FloatRange):
    """A finite number, perhaps within bounds: NaN and infinity are no value of any option."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Parse and check the number."""
        try:
            number = click.FLOAT.convert(value, param, ctx)
        except OverflowError:  # a whole number of hundreds of digits, which YAML can bring
            number = math.inf
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return float(super().convert(number, param, ctx))


class Names(click.ParamType[tuple[str, ...]]):
    """Names as "Edema,Mass", or as the list that a recipe may hold."""

    name = "names"
    takes_list = True

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ANN401
        """Parse the names, in their order."""
        words = value.split(",") if isinstance(value, str) else value
        if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) for word in words):
            self.fail(f"{value!r} is not a list of names such as Edema,Mass", param, ctx)
        return tuple(word.strip() for word in words if word.strip())


class NamesOf(Names):
    """Names of which each is one of the choices."""

    def __init__(self, choices: Sequence[str]) -> None:
        self.choices = tuple(choices)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ANN401
        """Parse the names and check each."""
        names = super().convert(value, param, ctx)
        for name in names:
            if name not in self.choices:
                self.fail(f"{name!r} is not one of {', '.join(self.choices)}", param, ctx)
        return names


class Device(click.Choice[str]):
    """Device that a command computes on; `cuda`, torch's name for it, is accepted as `gpu`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401
        """Parse the device."""
        return str(super().convert("gpu" if value == "cuda" else value, param, ctx))


def _refuse_empty(parameter: click.Parameter, ctx: click.Context, value: object) -> None:
    """Refuse "": a shell gives it for a variable that is not set, and as a path it is the working folder."""
    if "" in (value if isinstance(value, list | tuple) else [value]):
        raise click.BadParameter('the value is empty (""): a variable of the shell may not be set', ctx, parameter)


def _repeated(args: Sequence[str], several: Collection[str]) -> Iterator[str]:
    """Write `--files a b` as `--files a --files b`, which is how click takes an option of several values."""
    taking, given = "", False
    for number, word in enumerate(args):
        if word == "--":
            yield from args[number:]
            return
        if word.startswith("-") and word != "-":
            name, equals, _ = word.partition("=")
            taking, given = (name if name in several else ""), bool(equals)
        else:
            if taking and given:
                yield taking
            given = True
        yield word


def _argument(name: str, spec: OptionSpec) -> Decorator:
    declare = click.argument(name, type=spec.type, metavar=spec.metavar, cls=DescribedArgument)

    def described(command: Callable[..., Any]) -> Callable[..., Any]:
        declared = declare(command)
        declared.__click_params__[-1].text = spec.help  # type: ignore[attr-defined]
        return declared

    return described


def _parameter(field: "dataclasses.Field[Any]") -> Decorator:
    spec: OptionSpec = field.metadata[_KEY]
    if spec.argument:
        return _argument(field.name, spec)
    dashed = field.name.replace("_", "-")
    keywords: dict[str, Any] = {"help": spec.help, "cls": GroupedOption}
    names = list(spec.names) or [f"--{dashed}"]
    if field.type is bool:
        names = list(spec.names) or [f"--{dashed}/--no-{dashed}" if field.default else f"--{dashed}"]
        keywords["is_flag"] = True
    else:
        keywords |= {"type": spec.type or _click_type(field.type), "multiple": spec.multiple}
        if spec.metavar:
            keywords["metavar"] = spec.metavar
    if field.default is REQUIRED:
        keywords["required"] = True
    else:
        keywords["default"] = field.default
        flag_off = field.type is bool and field.default is False
        keywords["show_default"] = spec.unset if spec.unset else field.default is not None and not flag_off
    declare = click.option(*names, field.name, **keywords)

    def grouped(command: Callable[..., Any]) -> Callable[..., Any]:
        declared = declare(command)
        declared.__click_params__[-1].group = spec.group  # type: ignore[attr-defined]
        declared.__click_params__[-1].several = spec.several  # type: ignore[attr-defined]
        return declared

    return grouped


def _click_type(annotation: Any) -> click.ParamType[Any]:  # noqa: ANN401 - a type
    """click's type for that of a field without a type of its own: int, float (finite), str or Path, also with None."""
    if isinstance(annotation, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    found: dict[Any, click.ParamType[Any]] = {
        int: click.INT,
        float: Number(),
        str: click.STRING,
        Path: click.Path(path_type=Path),
    }
    return found[annotation]


def _plain(value: Any) -> Any:  # noqa: ANN401 - click's own values
    """Turn a list that click gives for several values into the tuple that the dataclass holds."""
    return tuple(value) if isinstance(value, list) else value
