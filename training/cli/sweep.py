"""`cxr-train sweep`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipes import shipped_recipes
from shards.terminal.options import OptionsCommand, takes
from training.processes.signals import PREEMPTED_STATUS
from training.studies.options import SweepOptions

if TYPE_CHECKING:
    from training.studies.cells import Selection
    from training.studies.study_file import Study
    from training.studies.sweep import SweepResult


@click.command(cls=OptionsCommand)
@takes(SweepOptions)
@click.pass_context
def sweep(ctx: click.Context, /, options: SweepOptions) -> None:
    """Train all models of a study.

    Reads a study file (YAML; recipes/study_*.yaml are shipped) and the datasets of shards that it names. Writes DIR:
    study.yaml (with the value of every option), a directory for each pretraining run in runs/ and for each model (cell)
    in cells/, and embeddings/.

    Pretraining runs come first, then the cells. What is finished stays, so the same command again does what is
    missing; several sweeps of one DIR share the work. A cell that fails is named and stops no other; the exit status
    is 1 then. SIGUSR1, SIGTERM and the first Ctrl-C stop it with exit status 75, after a checkpoint of the pretraining
    or fine-tuning under way; a second Ctrl-C ends it at once.
    """
    from training.studies.cells import listed_paths, select_cells
    from training.studies.study_file import read_study

    if (options.task_index is None) != (options.task_count is None):
        raise click.UsageError("--task-index and --task-count belong together")
    if options.task_index is not None and options.task_index >= (options.task_count or 1):
        raise click.UsageError(
            f"--task-index {options.task_index}: the tasks of --task-count {options.task_count} are numbered from 0 to "
            f"{(options.task_count or 1) - 1}"
        )
    study = read_study(_study_path(options.study))
    selection = select_cells(study, options.only)
    if options.list_cells:
        click.echo("\n".join(listed_paths(selection, options.output)))
        return
    if options.list_datasets:
        click.echo("\n".join(f"{name}\t{options.data / one.shards}" for name, one in study.datasets.items()))
        return
    if options.dry_run:
        _say_costs(study, selection, options)
        return
    result = _trained(study, selection, options)
    if result is None:
        click.echo(f"{options.output}: stopped; the same command again does what is missing.", err=True)
        ctx.exit(PREEMPTED_STATUS)
    _say(result, options)
    if result.failed:
        ctx.exit(1)


def _study_path(path: Path) -> Path:
    """The study file at a path, or the shipped one of that name."""
    shipped = shipped_recipes()
    name = str(path).removesuffix(".yaml").removeprefix("recipes/")
    return path if path.is_file() or name not in shipped else shipped[name]


def _trained(study: "Study", selection: "Selection", options: SweepOptions) -> "SweepResult | None":
    """Train the selection; None if a signal has stopped it."""
    from training.processes.devices import available_threads
    from training.studies.stopping import Stopped, stopped_by_signals
    from training.studies.sweep import Task, sweep
    from training.studies.training_parts import Place

    place = Place(
        study=study,
        data=options.data,
        output=options.output,
        device=options.device,
        threads=options.threads or available_threads(),
        stage_to=options.stage_to,
        checkpoint_minutes=options.checkpoint_minutes,
    )
    task = Task(options.task_index or 0, options.task_count or 1)
    try:
        with stopped_by_signals():
            return sweep(place, selection, task, workers=options.workers, redo_changed=options.redo_changed)
    except Stopped:
        return None


def _say_costs(study: "Study", selection: "Selection", options: SweepOptions) -> None:
    """Print what is to be trained, what is done and what the rest takes."""
    from shards.terminal.progress import size_in_units
    from training.studies.cells import StudyFolder, comparisons_of
    from training.studies.costs import estimate

    found = estimate(StudyFolder(study, options.data, options.output), selection)
    click.echo(f"{found.cells} cells, {found.cells_done} of them done")
    if found.cells_changed:
        click.echo(f"{found.cells_changed} cells were made with other options: --redo-changed trains them again")
    click.echo(f"{found.runs} pretraining runs, {found.runs_done} of them done")
    click.echo(f"{len(comparisons_of(study))} comparisons in the whole study")
    click.echo(
        f"{found.jobs} jobs to come: {found.runs - found.runs_done} pretraining runs, {found.embeddings} embeddings of "
        f"a split, {found.cells - found.cells_done} cells"
    )
    for work in found.work:
        rate = f"{work.rate:,.1f} images/s ({work.source})"
        click.echo(f"  {work.kind:8} {work.backbone:12} {work.images:>14,.0f} images at {rate}: {work.hours:,.1f} h")
    click.echo(f"{found.hours:,.1f} hours of one process, {size_in_units(found.size)}, {found.files:,} files to come")
    if found.unknown:
        click.echo(f"Not counted, since neither built nor counted in the study file: {', '.join(found.unknown)}")


def _say(result: "SweepResult", options: SweepOptions) -> None:
    parts = [f"{result.already + result.trained} of {result.cells} cells are done"]
    if result.elsewhere:
        parts.append(f"{len(result.elsewhere)} are trained by another process")
    if result.failed:
        parts.append(f"{len(result.failed)} failed")
    click.echo(f"{options.output}: {', '.join(parts)}.")
    for path, error in result.failed.items():
        click.echo(f"  {path}: {error}", err=True)
    if result.failed:
        click.echo("The same command again tries those that failed.", err=True)
