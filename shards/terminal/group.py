"""A command group that prints a CxrError as one message."""

from typing import Any

import click

from shards.errors import CxrError


class Group(click.Group):
    """A command group whose commands may raise CxrError: printed as one message, exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        try:
            return super().invoke(ctx)
        except CxrError as error:
            raise click.ClickException(str(error)) from error
