"""cxr-train pretrain: options in, a run directory out. Knows nothing of training; imports it when it is called."""

from pathlib import Path
from typing import Any

import click

from shards.terminal.recipes import recipe_option
from training.backbones.architectures import ARCHITECTURES
from training.choices import BATCH_NORMS, DEVICES, OPTIMIZERS, PRECISIONS, SCHEDULES
from training.pretraining.options import PretrainOptions
from training.processes.signals import PREEMPTED_STATUS
from training.processes.time_limit import seconds_of


class Epochs(click.ParamType[tuple[int, ...]]):
    """Epochs as "12,18", or as the list that a recipe may hold."""

    name = "epochs"
    takes_list = True

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:  # noqa: ANN401
        """Parse the epochs and sort them."""
        words = value.split(",") if isinstance(value, str) else value
        if not isinstance(words, (list, tuple)) or not all(str(word).strip().isdecimal() for word in words):
            self.fail(f"{value!r} is not a list of epochs such as 12,18", param, ctx)
        return tuple(sorted(int(word) for word in words))


def _seconds(_ctx: click.Context, parameter: click.Parameter, value: Any) -> float | None:  # noqa: ANN401
    """Seconds of a number or of a duration as Slurm writes it."""
    try:
        return None if value is None else seconds_of(str(value))
    except ValueError as error:
        raise click.BadParameter(f"{error}: give seconds, HH:MM:SS or D-HH:MM:SS", param=parameter) from error


@click.command(context_settings={"show_default": True})
@click.option(
    "--shards",
    multiple=True,
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Dataset to read; its train split only. Repeat the option to pretrain on several.",
)
@click.option(
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Run directory: begun if it is not there, gone on with if it holds the same run.",
)
@recipe_option
@click.option("--backbone", type=click.Choice(ARCHITECTURES), default=PretrainOptions.backbone)
@click.option(
    "--init",
    default=PretrainOptions.init,
    metavar="imagenet|random|FILE",
    help="Weights to start from; FILE: .safetensors or .pth with torchvision's names.",
)
@click.option("--image-size", type=click.IntRange(min=32), default=PretrainOptions.image_size, help="Side, in pixels.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=2),
    default=PretrainOptions.batch_size,
    help="Images a batch, of all processes.",
)
@click.option(
    "--accumulate",
    type=click.IntRange(min=1),
    default=PretrainOptions.accumulate,
    help="Batches whose gradients make one step. It enlarges the gradient's batch and nothing else: all of them are "
    "compared with the queue as it was before the step, and BatchNorm sees --batch-size images. The queue and the key "
    "encoder move once a step.",
)
@click.option("--epochs", type=click.IntRange(min=1), default=PretrainOptions.epochs)
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), default=PretrainOptions.lr, help="Global.")
@click.option(
    "--queue-size",
    type=click.IntRange(min=1),
    default=PretrainOptions.queue_size,
    help="Keys to compare with; at most half the images.",
)
@click.option(
    "--mask-same-image/--no-mask-same-image",
    default=PretrainOptions.mask_same_image,
    help="Earlier keys of a query's own image, in the queue from the epoch before, are no negatives of it. MoCo and "
    "the published MoCo-CXR have no mask.",
)
@click.option(
    "--force-queue",
    is_flag=True,
    default=PretrainOptions.force_queue,
    help="Allow a queue of more than half the images.",
)
@click.option(
    "--batch-norm",
    type=click.Choice(BATCH_NORMS),
    default=PretrainOptions.batch_norm,
    help="split: statistics of each of several groups of a batch, other groups for the keys than for the queries, so "
    "that the statistics do not betray which key is whose. none: of the whole batch, as published.",
)
@click.option(
    "--bn-groups",
    type=click.IntRange(min=2),
    default=None,
    show_default="4 of a batch of 16, 8 of 64",
    help="Groups of --batch-norm split; a divisor of the batch size.",
)
@click.option(
    "--momentum",
    type=click.FloatRange(min=0, max=1, max_open=True),
    default=PretrainOptions.momentum,
    help="How slowly the key encoder follows. A short run (few thousand steps) needs less, e.g. 0.99.",
)
@click.option("--temperature", type=click.FloatRange(min=0, min_open=True), default=PretrainOptions.temperature)
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), default=PretrainOptions.optimizer)
@click.option("--weight-decay", type=click.FloatRange(min=0), default=PretrainOptions.weight_decay)
@click.option(
    "--decay-norms/--no-decay-norms",
    default=PretrainOptions.decay_norms,
    help="Weight decay on the parameters of norms and on biases too, as published.",
)
@click.option(
    "--schedule",
    type=click.Choice(SCHEDULES),
    default=PretrainOptions.schedule,
    help="Learning rate: a tenth at each milestone, a cosine to 0, or constant.",
)
@click.option(
    "--milestones",
    type=Epochs(),
    metavar="EPOCH[,EPOCH...]",
    default=",".join(map(str, PretrainOptions.milestones)),
    help="Epochs at which --schedule step divides the learning rate by ten.",
)
@click.option(
    "--warmup-epochs",
    type=click.IntRange(min=0),
    default=PretrainOptions.warmup_epochs,
    help="Epochs in which the learning rate rises to --lr, step by step, before its schedule; part of --epochs.",
)
@click.option(
    "--degrees",
    type=click.FloatRange(min=0, max=180),
    default=PretrainOptions.degrees,
    help="A view is rotated by up to so much, either way.",
)
@click.option(
    "--flip/--no-flip", default=PretrainOptions.flip, help="Mirror half of the views; the heart is on one side."
)
@click.option(
    "--scale",
    type=(float, float),
    metavar="LOW HIGH",
    default=PretrainOptions.scale,
    help="A view is zoomed by a factor between these; above 0.",
)
@click.option(
    "--translate",
    type=click.FloatRange(min=0, max=1),
    default=PretrainOptions.translate,
    help="A view is shifted by up to this share of its side, either way.",
)
@click.option("--device", type=click.Choice(DEVICES), default=PretrainOptions.device)
@click.option("--precision", type=click.Choice(PRECISIONS), default=PretrainOptions.precision)
@click.option(
    "--compile/--no-compile",
    default=PretrainOptions.compile,
    help="Compile the encoders with torch.compile, anew at each start.",
)
@click.option("--seed", type=click.IntRange(min=0), default=PretrainOptions.seed)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=None,
    show_default="the run's own, else all cores",
    help="CPU threads. Another number gives other bits, so a run keeps its own.",
)
@click.option(
    "--log-every",
    type=click.IntRange(min=1),
    default=PretrainOptions.log_every,
    help="Steps a line of metrics.jsonl.",
)
@click.option(
    "--knn-label",
    metavar="LABEL",
    help="Log `knn_auroc` after epochs: how well nearest neighbours among labelled training images of other patients "
    "tell this label. It changes no weight.",
)
@click.option(
    "--knn-every", type=click.IntRange(min=1), default=PretrainOptions.knn_every, help="Epochs between two of them."
)
@click.option(
    "--knn-images",
    type=click.IntRange(min=2),
    default=PretrainOptions.knn_images,
    help="About how many images that looks at.",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=0),
    default=PretrainOptions.checkpoint_every,
    help="Steps between checkpoints, beside the one after each epoch; 0: only those.",
)
@click.option(
    "--verify-checksums/--no-verify-checksums",
    default=PretrainOptions.verify_checksums,
    help="Check the crc32c of each image that is read: about 0.1 % of an image's cost.",
)
@click.option(
    "--stage-to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Copy the shards to this folder of the node first, checked and once a node, and read them there.",
)
@click.option(
    "--time-limit",
    callback=_seconds,
    metavar="SECONDS|[D-]HH:MM:SS",
    show_default="Slurm's, if it says so in SLURM_JOB_END_TIME",
    help="Stop before so much time has gone, with a checkpoint and exit status 75.",
)
@click.pass_context
def pretrain(ctx: click.Context, /, config: str | None, **options: Any) -> None:  # noqa: ANN401 - all sorts
    """Pretrain a backbone with MoCo v2 on the train splits of shards.

    Reads datasets that `cxr-ingest build-shards` made. Writes a run directory: config.yaml, metrics.jsonl,
    tensorboard/, checkpoints/, last.json, patients.parquet, two_views.png and, at the end, backbone.safetensors
    and backbone.json. The defaults are the published ones of MoCo-CXR, but for --mask-same-image and --batch-norm.

    Started by srun or torchrun in several processes, one for each GPU, these train one run together: batch, learning
    rate and queue are those of the run, whatever the number of processes.

    The same command goes on with a run that was stopped. SIGUSR1, SIGTERM and a time limit stop it after the step under
    way, with a checkpoint and exit status 75.
    """
    from training.pretraining.command import Outcome, pretrain

    options["scale"] = tuple(options["scale"])
    if pretrain(PretrainOptions(**options)) is Outcome.PREEMPTED:
        ctx.exit(PREEMPTED_STATUS)
