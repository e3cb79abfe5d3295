"""`cxr-eval predict`."""

import click

from evaluation.model_options import PredictOptions
from shards.terminal.options import OptionsCommand, takes


@click.command(cls=OptionsCommand)
@takes(PredictOptions, recipe=True)
def predict(options: PredictOptions) -> None:
    """Write a model's probabilities for a split, or for files.

    Reads a dataset of shards, or JPEG, PNG and DICOM files, and a model directory; writes a table whose first column is
    the id (key, or Study; Path for files), one column a label, and PREDICTIONS.csv.json beside it with the digests of
    model and data. Files that cannot be used are named there with the reason.
    """
    import torch

    from evaluation.predictions import predict as write_predictions
    from training.processes.devices import available_threads

    torch.set_num_threads(options.threads or available_threads())
    click.echo(f"wrote {write_predictions(options)} rows to {options.output}")
