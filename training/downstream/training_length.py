"""How long a fine-tuning trains, and how often it is validated."""

import math
from dataclasses import dataclass

from training.downstream.options import AUTO, FinetuneOptions

MOST_VALIDATIONS = 50
"""Validations of a run, at most: with 500 epochs of 20 steps each, one an epoch would take most of the time."""


@dataclass(frozen=True)
class TrainingLength:
    """epochs: of steps_per_epoch steps each. validate_every: epochs from one validation to the next."""

    epochs: int
    steps_per_epoch: int
    validate_every: int

    def is_validated(self, epoch: int) -> bool:
        """Whether an epoch (1, 2, ...) ends with a validation; the last one always does."""
        return epoch % self.validate_every == 0 or epoch == self.epochs


def training_length(options: FinetuneOptions, batches: int) -> TrainingLength:
    """Compute the length of a fine-tuning. batches: of the training set, whole ones.

    An epoch has min_steps steps or more. With --epochs auto the number of epochs is that of the published code for the
    label fraction, and is raised until the run has min_total_steps.
    """
    steps = max(batches, options.min_steps)
    if options.epochs == AUTO:
        epochs = max(published_epochs(options.label_fraction), math.ceil(options.min_total_steps / steps))
    else:
        epochs = options.epochs
    return TrainingLength(epochs, steps, math.ceil(epochs / MOST_VALIDATIONS))


def published_epochs(fraction: float) -> int:
    """Number of epochs of the published code: 500, 107, 23, 7, 5 at 0.1, 1, 10, 50, 100 % of the labels.

    MoCo-CXR's generator of scripts has `int(5 * 4 ** math.log(1 / semi_ratio, 8))`.
    """
    return int(5 * 4 ** math.log(1 / fraction, 8))
