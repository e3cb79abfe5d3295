"""Options of `cxr-train sweep`. No torch here, so that --help and --list are quick."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.terminal.options import Number, argument, option
from training.options import COUNT, DEVICE, FOLDER, MACHINE, THREADS
from training.processes.stopping_options import MINUTES

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
    list_datasets: bool = option(
        False,
        help="List the datasets that the study reads, name and folder with a tab between, and end.",
        group=_CHOICE,
    )
    dry_run: bool = option(
        False, help="Say what would be trained, what is done, hours, GB and files, and end.", group=_CHOICE
    )
    redo_changed: bool = option(
        False, help="Train cells again that were made with other options than the study file has now.", group=_CHOICE
    )
    workers: int = option(
        1, THREADS, help="Number of processes for the cells; each has its share of the threads.", group=_TASKS
    )
    task_index: int | None = option(
        None,
        click.IntRange(min=0),
        help="Number of this task of an array, from 0; it trains every N-th cell.",
        group=_TASKS,
    )
    task_count: int | None = option(None, COUNT, help="Number of tasks of the array.", group=_TASKS)
    device: str = option("auto", DEVICE, help="Device to train on; auto takes a GPU where there is one.", group=MACHINE)
    threads: int | None = option(
        None, THREADS, help="Number of CPU threads of all workers together.", group=MACHINE, unset="the cores granted"
    )
    stage_to: Path | None = option(
        None,
        FOLDER,
        metavar="DIR",
        help="Copy the samples that are read often to this folder of the node first, checked.",
        group=MACHINE,
    )
    checkpoint_minutes: float = option(
        MINUTES,
        Number(min=0),
        metavar="MINUTES",
        help="Minutes from one checkpoint of a pretraining or fine-tuning to the next; 0: none by the clock.",
        group=MACHINE,
    )
