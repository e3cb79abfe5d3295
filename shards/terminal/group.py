"""A command group that prints a CxrError, or an error of the disk, as one message and shows the log of the library."""

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import click

from shards.disk_errors import said_plainly
from shards.errors import CxrError
from shards.terminal.interruption import ended_by_signals
from shards.terminal.logs import log_to_terminal

_DISTRIBUTION = "cxr-moco"


class Group(click.Group):
    """A command group whose commands may raise CxrError: printed as one message, exit status 1.

    So is what the system says of a file (no space, no permission, removed meanwhile), from whatever command.
    SIGTERM and Ctrl-C end a command within a second, and are named.
    """

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - click's own signature
        named = dict(zip(("args", "prog_name"), args, strict=False)) | extra
        words = sys.argv[1:] if named.get("args") is None else list(named["args"])
        program = named.get("prog_name") or Path(sys.argv[0]).name
        with ended_by_signals(" ".join([program, *words[:1]])):
            return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        try:
            with log_to_terminal():
                return super().invoke(ctx)
        except CxrError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            said = said_plainly(error)
            if said is None:
                raise
            raise click.ClickException(said) from error


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"{context.info_name} {importlib.metadata.version(_DISTRIBUTION)}")
        context.exit()


version_option = click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
