"""A command group that prints a CxrError, or an error of the disk, as one message and shows the log of the library."""

import importlib.metadata
from typing import Any

import click

from shards.disk_errors import said_plainly
from shards.errors import CxrError
from shards.terminal.logs import log_to_terminal

_DISTRIBUTION = "cxr-moco"


class Group(click.Group):
    """A command group whose commands may raise CxrError: printed as one message, exit status 1.

    So is what the system says of a file (no space, no permission, removed meanwhile), from whatever command.
    """

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
