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
    a label on the label fraction, with C chosen on held-out training patients, and writes a model directory:
    model.safetensors, model.json (with the AUROC on valid and test), patients.parquet.
    """
    import torch

    from training.downstream.model_directory import already_done
    from training.downstream.probe import probe as fit_probe
    from training.downstream.start import begin, recorded_options
    from training.processes.devices import available_threads

    torch.set_num_threads(options.threads or available_threads())
    start = begin(options)
    if already_done(options.output, recorded_options(start, options)):
        click.echo(f"{options.output} holds this probe already")
        return
    print_results(fit_probe(start, options), options.output)
