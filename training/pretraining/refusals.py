"""Refuse, before a run starts, plans that cannot mean what the person wants. A TrainingError says what to do."""

from shards.loading.positives import is_narrower
from training.backbones.architectures import TABLE
from training.choices import Group
from training.errors import TrainingError
from training.moco.batch_norm import default_groups
from training.pretraining.options import PretrainOptions
from training.runs.files import BACKBONE_WEIGHTS


def refuse_long_queue(options: PretrainOptions, samples: int) -> None:
    """Raise TrainingError for a queue of more keys than half of the `samples`, unless it is forced.

    The oldest key of a queue of K is K samples old: of an encoder that many steps back, and, past an epoch's end, of
    the query's own image for a share of the queries that grows with the square of K / samples.
    """
    most = samples // 2
    if options.queue_size <= most or options.force_queue:
        return
    raise TrainingError(
        f"The queue is to hold {options.queue_size} keys, more than half of the {samples} images: its older keys are "
        "of an encoder more than half an epoch back, and many are of images that the batch is of itself. Give "
        f"--queue-size {most} or fewer, or --force-queue to have it so all the same."
    )


def refuse_long_warmup(options: PretrainOptions) -> None:
    """Raise TrainingError for a warm-up that leaves no epoch to train at the rate that it warms up to."""
    if options.warmup_epochs >= options.epochs:
        raise TrainingError(
            f"--warmup-epochs {options.warmup_epochs} is the whole run of {options.epochs} epochs or more. "
            "Give fewer, or more --epochs."
        )


def refuse_more_of_a_cosine(options: PretrainOptions) -> None:
    """Raise TrainingError where a finished run is given more epochs of a schedule that depends on their number."""
    if options.schedule == "cosine":
        raise TrainingError(
            f"{options.output} is finished, and its learning rate came down to 0 along a cosine over its epochs: with "
            f"--epochs {options.epochs} every step of it would have had another rate. Runs of --schedule constant and "
            f"step can be given more. Start a new run from these weights in another --output: --init "
            f"{options.output / BACKBONE_WEIGHTS}."
        )


def refuse_no_stochastic_depth(options: PretrainOptions, branches: int) -> None:
    """Raise TrainingError where branches are to be dropped by chance and the network has none that could be."""
    if options.stochastic_depth and not branches:
        raise TrainingError(
            f"--stochastic-depth {options.stochastic_depth} drops residual branches, and {options.backbone} has none "
            "that torchvision can drop. Leave it out, or take --backbone convnext_tiny."
        )


def mask_group(options: PretrainOptions) -> Group | None:
    """Images whose earlier keys are no negatives of a query: of its own image, study or patient; None: no mask.

    Raises TrainingError where a key of the group that positives come from would be a negative, and for options that
    contradict each other.
    """
    positives, mask = options.positives, options.mask
    if options.same_projection and positives == "image":
        raise TrainingError(
            "--same-projection is about the other images of --positives study or patient, and --positives is image. "
            "Leave it out, or give --positives."
        )
    if not options.mask_same_image:
        if mask is None and positives == "image":
            return None
        also = f"--mask {mask}" if mask else f"--positives {positives}"
        raise TrainingError(
            f"--no-mask-same-image leaves the keys of a query's own image among its negatives, and {also} does not: "
            "leave one of them out."
        )
    if mask is not None and is_narrower(mask, positives):
        raise TrainingError(
            f"--mask {mask} is narrower than --positives {positives}: of two images of a {positives}, one would be a "
            f"positive of the other and its older keys negatives. Give --mask {positives} or wider, or leave it out."
        )
    return mask or positives


def batch_norm_groups(options: PretrainOptions, batch: int, world_size: int = 1) -> int:
    """Groups that BatchNorm normalises one rank's part of the `batch` images of one pass in.

    Raises TrainingError where it cannot: groups of one image or of unequal size, or one that is spread over ranks.
    """
    if not TABLE[options.backbone].batch_norm:
        if options.batch_norm != "none":
            raise TrainingError(
                f"{options.backbone} has no BatchNorm, so --batch-norm {options.batch_norm} means nothing for it. "
                "Leave the option out, or give --batch-norm none."
            )
        return 1
    if options.batch_norm == "none":
        if world_size > 1:
            raise TrainingError(
                f"--batch-norm none takes its statistics of the whole batch, which none of {world_size} processes has. "
                "Give --batch-norm split, which means the same on any number of processes, or use one process."
            )
        return 1
    # With ema the groups are of the queries alone: nothing leaks through one group for each process.
    whole = world_size if options.batch_norm == "ema" else default_groups(batch)
    groups = options.bn_groups or whole
    if batch % groups or batch // groups < 2:
        raise TrainingError(
            f"--batch-norm {options.batch_norm} needs groups of two images or more and of one size, which {groups} "
            f"groups of a batch of {batch} are not. Give a --batch-size such as 16 or 64, --bn-groups with a divisor "
            "of the batch size, or --batch-norm none."
        )
    if groups % world_size:
        fitting = [n for n in range(world_size, batch // 2 + 1, world_size) if batch % n == 0]
        raise TrainingError(
            f"{groups} groups of BatchNorm cannot be dealt out to {world_size} processes without dividing one. "
            + (
                f"Give --bn-groups {min(fitting, key=lambda n: abs(n - groups))}"
                if fitting
                else "Give a larger --batch-size"
            )
            + ", or use another number of processes."
        )
    return groups // world_size
