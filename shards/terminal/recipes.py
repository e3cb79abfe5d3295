"""Recipes: YAML files that fill the defaults of a command's options, checked as strictly as the command line.

A flag beats the recipe, the recipe beats the default. A value that only YAML can bring (null, 1.9 for a whole number,
yes for a number, a list, a date) is refused by key and file, before anything is written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from shards.input_files import load_yaml, read_text


def read_recipe(name_or_path: str) -> dict[str, Any]:
    """Read a recipe as a mapping: a path to a YAML file, or the name of one that the project ships."""
    path = Path(name_or_path)
    if not path.is_file():
        from recipes import shipped_recipes

        shipped = shipped_recipes()
        name = name_or_path.removesuffix(".yaml")
        if name not in shipped:
            raise click.BadParameter(
                f"{name_or_path!r} is neither a file nor a shipped recipe ({', '.join(sorted(shipped))})"
            )
        path = shipped[name]
    try:
        content = load_yaml(read_text(path))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise click.BadParameter(f"{path} does not hold a mapping of options to values")
    return content


def checked_recipe_value(parameter: click.Parameter, value: Any, ctx: click.Context) -> Any:  # noqa: ANN401 - YAML's
    """Check the value of a recipe's key as the parameter's type takes it. Raises BadParameter for any other.

    null is the default of an option that is unset by default, and refused for all others.
    """
    if value is None:
        if not parameter.required and _is_unset_by_default(parameter):
            return None
        raise click.BadParameter("has no value: write one, or leave the line out")
    if parameter.multiple:
        values = value if isinstance(value, list) else [value]
        return [_scalar(parameter, one) for one in values]
    if isinstance(parameter.type, click.Tuple):
        if not isinstance(value, list) or len(value) != parameter.nargs:
            raise click.BadParameter(f"{value!r} is not a list of {parameter.nargs} values")
        parts = zip(value, parameter.type.types, strict=True)
        return [_scalar(parameter, one, kind) for one, kind in parts]
    if isinstance(value, list) and getattr(parameter.type, "takes_list", False):
        return value
    return _scalar(parameter, value)


def show_config(options: Mapping[str, Any]) -> None:
    """Print options as a recipe holds them: YAML, ready for --config."""
    plain = {name: _as_yaml(value) for name, value in options.items()}
    click.echo(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), nl=False)


def _is_unset_by_default(parameter: click.Parameter) -> bool:
    """Tell whether leaving the option out gives None.

    click marks an option without any default by a sentinel of its own.
    """
    return parameter.default is None or type(parameter.default).__name__ == "Sentinel"


def _scalar(parameter: click.Parameter, value: Any, kind: click.ParamType[Any] | None = None) -> Any:  # noqa: ANN401
    kind = kind or parameter.type
    if isinstance(kind, click.types.BoolParamType):
        if not isinstance(value, bool):
            raise click.BadParameter(f"{value!r} is neither true nor false")
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise click.BadParameter(f"{_shown(value)} is not a value of this option{_wanted(kind)}")
    if isinstance(kind, click.types.IntParamType) and isinstance(value, float):
        raise click.BadParameter(f"{value!r} is not a whole number")
    texts = (click.types.StringParamType, click.Path, click.Choice)
    if isinstance(kind, texts) and not isinstance(value, str):
        raise click.BadParameter(f"{value!r} is a number, where text is wanted: put it in quotes{_wanted(kind)}")
    if isinstance(value, str) and not _can_be_typed(value):
        raise click.BadParameter(f"{value!r} holds a character that no command line can give")
    return value


def _can_be_typed(text: str) -> bool:
    """Tell whether a command line can hold the text: no NUL, no half of a pair of UTF-16."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _wanted(kind: click.ParamType[Any]) -> str:
    return f" ({', '.join(map(str, kind.choices))})" if isinstance(kind, click.Choice) else ""


def _shown(value: Any) -> str:  # noqa: ANN401 - YAML's
    """Describe the value as YAML reads it, and its kind: `yes` is seen as true."""
    kinds = {bool: "true or false", list: "a list", dict: "a mapping"}
    return (
        f"{str(value).lower() if isinstance(value, bool) else value!r} ({kinds.get(type(value), type(value).__name__)})"
    )


def _as_yaml(value: Any) -> Any:  # noqa: ANN401 - whatever an options dataclass holds
    if isinstance(value, Path):
        return str(value)
    return [_as_yaml(one) for one in value] if isinstance(value, (list, tuple)) else value


def recipe_values(ctx: click.Context, value: str, parameter: click.Parameter | None = None) -> dict[str, Any]:
    """Read what a recipe gives to the parameters of the context's command, by their names, as YAML holds it.

    A key is any name of an option, without its dashes at the front.

    parameter: the option that names the recipe. Raises BadParameter for an unknown key, and for a value that the
    parameter does not take, naming file and key.
    """
    recipe = {str(key).replace("-", "_"): content for key, content in read_recipe(value).items()}
    known = {p.name: p for p in ctx.command.params if p.name and p.name not in ("config", "print_config")}
    names = {_key(spelling): name for name, p in known.items() for spelling in (*p.opts, name)}
    unknown = sorted(set(recipe) - set(names))
    if unknown:
        raise click.BadParameter(
            f"{value}: unknown option(s) {', '.join(unknown)}; `{ctx.command_path} --help` lists what there is",
            ctx=ctx,
            param=parameter,
        )
    found: dict[str, Any] = {}
    for key, content in recipe.items():
        if names[key] in found:
            raise click.BadParameter(f"{value}: {key}: given twice, by another name", ctx=ctx, param=parameter)
        found[names[key]] = _checked(known[names[key]], content, ctx, value)
    return found


def _key(spelling: str) -> str:
    return spelling.lstrip("-").replace("-", "_")


def _fill_defaults(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        ctx.default_map = {**(ctx.default_map or {}), **recipe_values(ctx, value, parameter)}
    return value


def _checked(parameter: click.Parameter, value: Any, ctx: click.Context, recipe: str) -> Any:  # noqa: ANN401 - YAML's
    """Return the value after the parameter itself has taken it.

    A recipe's error names the file, the key and the value.
    """
    try:
        checked = checked_recipe_value(parameter, value, ctx)
        if checked is not None:
            parameter.process_value(ctx, checked)
    except click.BadParameter as error:
        raise click.BadParameter(f"{recipe}: {parameter.name}: {error.message}", ctx=ctx) from error
    return checked


recipe_option = click.option(
    "--config",
    metavar="RECIPE",
    is_eager=True,
    callback=_fill_defaults,
    help="YAML file, or the name of a shipped recipe (`cxr-train recipes`), with values for the options of this "
    "command; an option on the command line beats it.",
)

print_config_option = click.option(
    "--print-config", is_flag=True, help="Print the resolved options as YAML, as a recipe holds them, and end."
)
