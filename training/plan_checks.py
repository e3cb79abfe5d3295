"""What is refused before a run begins, since its plan cannot mean what the person wants.

Flows in: options and how many images there are. Flows out: nothing, or a TrainingError that says what to do.
"""

from training.errors import TrainingError
from training.options import PretrainOptions
from training.split_batch_norm import default_groups


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


def batch_norm_groups(options: PretrainOptions, batch: int) -> int:
    """Groups that BatchNorm normalises the `batch` images of one pass in. Raises TrainingError where it cannot."""
    if options.batch_norm == "none":
        return 1
    groups = options.bn_groups or default_groups(batch)
    if batch % groups or batch // groups < 2:
        raise TrainingError(
            f"--batch-norm split needs groups of two images or more and of one size, which {groups} groups of a batch "
            f"of {batch} are not. Give a --batch-size such as 16 or 64, --bn-groups with a divisor of the batch size, "
            "or --batch-norm none."
        )
    return groups
