"""`cxr-train finetune`."""

import click

from shards.terminal.options import OptionsCommand, takes
from training.cli.results_table import print_results
from training.downstream.options import FinetuneOptions
from training.errors import PreemptedError
from training.processes.signals import PREEMPTED_STATUS


@click.command(cls=OptionsCommand)
@takes(FinetuneOptions, recipe=True)
@click.pass_context
def finetune(ctx: click.Context, /, options: FinetuneOptions) -> None:
    """Fine-tune a backbone end to end.

    Reads a dataset of shards and a backbone. Trains on one augmented view of each image of the label fraction, keeps
    the epoch with the best mean AUROC on the valid split (on held-out training patients where there is none), and
    writes a model directory: model.safetensors, model.json (with the AUROC on valid and test), metrics.jsonl,
    patients.parquet. The published trainer does not augment by default; this command does (--degrees, --flip).

    The same command resumes a fine-tuning that was stopped, to the same weights. SIGUSR1, SIGTERM, the first Ctrl-C and
    a time limit stop it after the step under way, with a checkpoint and exit status 75; a second Ctrl-C ends it at
    once. Checkpoints are removed when the model is written.
    """
    from training.downstream.command import finetune as fit

    try:
        fitted = fit(options)
    except PreemptedError:  # its message is in the log
        ctx.exit(PREEMPTED_STATUS)
    if fitted.new:
        print_results(fitted.results, fitted.folder)
    else:
        click.echo(f"{fitted.folder} holds this model already")
