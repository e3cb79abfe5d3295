"""Options of `cxr-train sweep`. No torch here, so that --help and --list are quick."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.terminal.options import argument, option
from training.options import FOLDER

_STUDY, _CHOICE, _TASKS = "Study", "What is trained", "Array tasks and processes"


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Which study is trained, which part of it, and where. task_index: None outside of an array."""

    study: Path = argument(
        click.Path(dir_okay=False, path_type=Path), metavar="STUDY.yaml", help="Study file, or a shipped one's name."
    )
    output: Path = option(type=FOLDER, metavar="DIR", help="Folder of the study.", group=_STUDY)
    data: Path = option(
        Path(),
        FOLDER,
        metavar="DIR",
        help="Folder below which the study file's datasets are found.",
        group=_STUDY,
    )
    only: str | None = option(
        None,
        metavar="PATTERN",
        help="Train only the runs and cells whose path (runs/NAME, cells/NAME) or name fits this pattern with * and ?, "
        "and the runs that those cells need.",
        group=_CHOICE,
        unset="everything",
    )
    list_cells: bool = option(
        False, names=("--list",), help="List the runs and cells by path, one a line, and end.", group=_CHOICE
    )
