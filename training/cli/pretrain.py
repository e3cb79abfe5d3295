"""`cxr-train pretrain`."""

import click

from shards.terminal.options import OptionsCommand, takes
from training.pretraining.options import PretrainOptions
from training.processes.signals import PREEMPTED_STATUS


@click.command(cls=OptionsCommand)
@takes(PretrainOptions, recipe=True)
@click.pass_context
def pretrain(ctx: click.Context, /, options: PretrainOptions) -> None:
    """Pretrain a backbone with MoCo v2 on the train splits of shards.

    Reads datasets that `cxr-ingest build-shards` made. Writes a run directory:

    \b
    config.yaml             the resolved options; can be given to --config
    start.safetensors       the weights that the run begins with
    start_patients.parquet  the patients that those have seen
    patients.parquet        the patients that the weights will have seen
    images.parquet          checksum and length of the images that they will have seen
    two_views.png           the augmented views of the first batch
    metrics.jsonl           a line every --log-every steps; tensorboard/ has the same
    checkpoints/            the newest two; last.json names the newest
    backbone.safetensors    the trained backbone, written at the end
    backbone.json           its architecture, preprocessing and provenance

    The defaults are the published ones of MoCo-CXR, but for --mask-same-image and --batch-norm.

    Started by srun or torchrun in several processes, one for each GPU, these train one run together: batch, learning
    rate and queue are those of the run, whatever the number of processes.

    The same command resumes a run that was stopped. SIGUSR1, SIGTERM, the first Ctrl-C and a time limit stop it after
    the step under way, with a checkpoint and exit status 75; a second Ctrl-C ends it at once.
    """
    from training.pretraining.command import Outcome, pretrain

    if pretrain(options) is Outcome.PREEMPTED:
        ctx.exit(PREEMPTED_STATUS)
