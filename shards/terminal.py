"""What the three command lines share: errors without tracebacks, progress, and recipes that fill defaults."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import click
import yaml
from tqdm import tqdm

from shards.errors import CxrError

LOG_INTERVAL_S = 60.0


class Group(click.Group):
    """A command group whose commands may raise CxrError: printed as one message, exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        try:
            return super().invoke(ctx)
        except CxrError as error:
            raise click.ClickException(str(error)) from error


class Bar(Protocol):
    """Progress of one long piece of work."""

    def advance(self, n: int = 1, **figures: object) -> None:
        """Count n more units as done and show the figures (name=value) beside the rate."""


@contextlib.contextmanager
def progress(total: int | None, description: str, unit: str, initial: int = 0, *, shown: bool = True) -> Iterator[Bar]:
    """Progress with rate and ETA on a terminal, one line a minute in a batch log. Writes to stderr, or not `shown`."""
    bar: _TerminalBar | _LogBar | _NoBar
    if not shown:
        bar = _NoBar()
    elif sys.stderr.isatty():
        bar = _TerminalBar(total, description, unit, initial)
    else:
        bar = _LogBar(total, description, unit, initial)
    try:
        yield bar
    finally:
        bar.close()


class _TerminalBar:
    def __init__(self, total: int | None, description: str, unit: str, initial: int) -> None:
        self._bar = tqdm(total=total, desc=description, unit=unit, initial=initial, dynamic_ncols=True)

    def advance(self, n: int = 1, **figures: object) -> None:
        if figures:
            self._bar.set_postfix({k: str(v) for k, v in figures.items()}, refresh=False)
        self._bar.update(n)

    def close(self) -> None:
        self._bar.close()


class _LogBar:
    def __init__(self, total: int | None, description: str, unit: str, initial: int) -> None:
        self._total, self._description, self._unit = total, description, unit
        self._initial = self._done = initial
        self._start = self._last = time.monotonic()
        self._figures: dict[str, object] = {}

    def advance(self, n: int = 1, **figures: object) -> None:
        self._done += n
        self._figures.update(figures)
        if time.monotonic() - self._last >= LOG_INTERVAL_S:
            self._print()

    def close(self) -> None:
        self._print()

    def _print(self) -> None:
        now = time.monotonic()
        self._last = now
        rate = (self._done - self._initial) / max(now - self._start, 1e-9)
        line = f"{self._description}: {self._done}"
        if self._total is not None:
            line += f" of {self._total}"
        line += f" {self._unit}, {rate:.1f}/s"
        if self._total is not None and rate > 0 and self._done < self._total:
            line += f", {duration((self._total - self._done) / rate)} to go"
        line += "".join(f", {name} {value}" for name, value in self._figures.items())
        click.echo(line, err=True)


class _NoBar:
    def advance(self, n: int = 1, **figures: object) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


def duration(seconds: float) -> str:
    """Seconds for people: `300 s`, from ten minutes on `h:mm h`."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}:{minutes:02} h"


def read_recipe(name_or_path: str) -> dict[str, Any]:
    """A recipe as a mapping: a path to a YAML file, or the name of one that the project ships."""
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
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise click.BadParameter(f"{path} does not hold a mapping of options to values")
    return content


def _fill_defaults(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    recipe = {str(k).replace("-", "_"): v for k, v in read_recipe(value).items()}
    known = {p.name for p in ctx.command.params if p.name and p.name != parameter.name}
    unknown = sorted(set(recipe) - known)
    if unknown:
        raise click.BadParameter(
            f"{value}: unknown option(s) {', '.join(unknown)}; `{ctx.command_path} --help` lists what there is",
            ctx=ctx,
            param=parameter,
        )
    ctx.default_map = {**(ctx.default_map or {}), **recipe}
    return value


recipe_option = click.option(
    "--config",
    metavar="RECIPE",
    is_eager=True,
    callback=_fill_defaults,
    help="YAML file, or the name of a shipped recipe, that gives defaults to the options below; a flag beats it.",
)
