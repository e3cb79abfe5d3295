"""Options of `cxr-eval study`. No torch here, so that --help is quick."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.terminal.options import argument, option
from training.downstream.options import MachineOptions


@dataclass(frozen=True, kw_only=True)
class StudyOptions(MachineOptions):
    """Which study is judged."""

    directory: Path = argument(
        click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR", help="Folder of the study."
    )
    data: Path = option(
        Path(),
        click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Folder below which the study file's datasets are found.",
        group="Study",
    )
    with_images: bool = option(
        False, help="Embed the runs' two-view sheets, which show images of patients, in the report.", group="Study"
    )
