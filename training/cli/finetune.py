"""`cxr-train finetune`."""

import click

from shards.terminal.options import OptionsCommand, takes
from training.cli.results_table import print_results
from training.downstream.options import FinetuneOptions


@click.command(cls=OptionsCommand)
@takes(FinetuneOptions, recipe=True)
def finetune(options: FinetuneOptions) -> None:
    """Fine-tune a backbone end to end.

    Reads a dataset of shards and a backbone. Trains on one augmented view of each image of the label fraction, keeps
    the epoch with the best mean AUROC on the valid split (on held-out training patients where there is none), and
    writes a model directory: model.safetensors, model.json (with the AUROC on valid and test), metrics.jsonl,
    patients.parquet. The published trainer does not augment by default; this command does (--degrees, --flip).
    """
    from training.downstream.command import finetune as fit

    fitted = fit(options)
    if fitted.new:
        print_results(fitted.results, fitted.folder)
    else:
        click.echo(f"{fitted.folder} holds this model already")
