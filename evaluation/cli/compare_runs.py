"""`cxr-eval compare-runs`."""

from pathlib import Path

import click

from shards.terminal.options import DescribedArgument, GroupedOption


@click.command("compare-runs")
@click.argument(
    "runs",
    nargs=-1,
    required=True,
    metavar="RUN...",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    cls=DescribedArgument,
)
@click.option(
    "--output",
    cls=GroupedOption,
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Figure to write: .svg, .png or .pdf.",
)
def compare_runs(runs: tuple[Path, ...], output: Path) -> None:
    """Draw the health curves of pretraining runs into one figure.

    Reads metrics.jsonl of each RUN, finished or not; writes the figure: a panel for loss, top-1, cosines, rank,
    gradient norm, nearest neighbours, learning rate and speed, as far as any run has them, with a line a run.
    """
    from evaluation.report.health import compare_runs as draw

    names = draw(runs, output)
    click.echo(f"{output}: {', '.join(names)}")
