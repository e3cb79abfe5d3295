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

    Reads datasets that `cxr-ingest build-shards` made. Writes a run directory: config.yaml, metrics.jsonl,
    tensorboard/, checkpoints/, last.json, patients.parquet, two_views.png and, at the end, backbone.safetensors
    and backbone.json. The defaults are the published ones of MoCo-CXR, but for --mask-same-image and --batch-norm.

    Started by srun or torchrun in several processes, one for each GPU, these train one run together: batch, learning
    rate and queue are those of the run, whatever the number of processes.

    The same command resumes a run that was stopped. SIGUSR1, SIGTERM and a time limit stop it after the step under
    way, with a checkpoint and exit status 75.
    """
    from training.pretraining.command import Outcome, pretrain

    if pretrain(options) is Outcome.PREEMPTED:
        ctx.exit(PREEMPTED_STATUS)
