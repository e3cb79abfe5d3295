"""`cxr-eval study`."""

import click

from evaluation.studies.options import StudyOptions
from shards.terminal.options import OptionsCommand, takes
from shards.terminal.progress import progress


@click.command(cls=OptionsCommand)
@takes(StudyOptions)
@click.pass_context
def study(ctx: click.Context, /, options: StudyOptions) -> None:
    """Judge a study that `cxr-train sweep` trains, at any time.

    Reads DIR (study.yaml, runs/, cells/) and the datasets of shards that the study file names. Predicts what has no
    predictions yet, compares the arms with intervals, corrects p-values within the study's families, and writes
    results/, tables/ (gains.csv, means.csv, cells.csv), figures/ and report.html into DIR. Cells that are missing are
    listed; run it again when more of them are done.
    """
    import torch

    from evaluation.studies.judge import judge
    from training.processes.devices import available_threads

    torch.set_num_threads(options.threads or available_threads())
    with progress(None, "predicting cells", "cells") as bar:
        judged = judge(options, bar.advance)
    click.echo(
        f"{options.directory}: {len(judged.states) - len(judged.missing)} of {len(judged.states)} cells are done, "
        f"{judged.predicted} were predicted now; {len(judged.results)} results"
    )
    for mean in judged.means:
        click.echo(f"  {mean.sentence}")
    for path in judged.missing:
        click.echo(f"  missing: {path}")
    for name in judged.open_comparisons:
        click.echo(f"  not compared yet: {name}")
    for path, error in judged.failed.items():
        click.echo(f"  {path}: {error}", err=True)
    click.echo(f"{options.directory / 'tables'} and {options.directory / 'report.html'} written")
    if judged.failed:
        ctx.exit(1)
