"""`cxr-train probe`."""

import click

from shards.terminal.options import OptionsCommand, takes
from training.cli.results_table import print_results
from training.downstream.options import ProbeOptions


@click.command(cls=OptionsCommand)
@takes(ProbeOptions, recipe=True)
def probe(options: ProbeOptions) -> None:
    """Fit a linear probe on a frozen backbone.

    Reads a dataset of shards and a backbone. Embeds every split once (kept in the cache), fits a logistic regression
    a label on the label fraction, with C chosen by cross-validation (on one held-out part of 400 training patients and
    more), and writes a model directory: model.safetensors, model.json (with the AUROC on valid and test),
    patients.parquet.
    """
    from training.downstream.command import probe as fit

    fitted = fit(options)
    if fitted.new:
        print_results(fitted.results, fitted.folder)
    else:
        click.echo(f"{fitted.folder} holds this probe already")
