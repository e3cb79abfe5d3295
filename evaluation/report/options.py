"""The options of `cxr-eval report`."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.terminal.options import argument, option


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What a report is made of."""

    directory: Path = argument(
        click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of the study.", metavar="DIR"
    )
    output: Path = option(
        type=click.Path(dir_okay=False, path_type=Path), help="HTML page to write.", group="Input and output"
    )
    with_images: bool = option(
        False, help="Embed the runs' two-view sheets, which show images of patients.", group="Input and output"
    )
