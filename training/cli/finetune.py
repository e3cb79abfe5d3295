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
    patients.parquet.
    """
    import torch

    from training.downstream.finetune import finetune as tune
    from training.downstream.model_directory import already_done
    from training.downstream.start import begin, recorded_options
    from training.processes.devices import available_threads

    torch.set_num_threads(options.threads or available_threads())
    start = begin(options)
    if already_done(options.output, recorded_options(start, options)):
        click.echo(f"{options.output} holds this model already")
        return
    print_results(tune(start, options), options.output)
