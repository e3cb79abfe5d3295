"""Options that several commands share, and the types of their values. No torch here, so that --help is quick."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.terminal.options import Device, Number, option
from training.choices import DEVICES

PATH = click.Path(path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
COUNT = click.IntRange(min=1)
SEED = click.IntRange(min=0, max=2**63 - 1)
ABOVE_ZERO = Number(min=0, min_open=True)
DEVICE = Device(DEVICES)

AUGMENTATION, MACHINE = "Augmentation", "Machine"
"""Headings in --help."""


@dataclass(frozen=True, kw_only=True)
class AugmentationOptions:
    """Range of an augmented view, as in `shards.loading.augmentation.ViewRange`."""

    degrees: float = option(
        10.0, Number(min=0, max=180), help="Largest rotation of a view in degrees, either way.", group=AUGMENTATION
    )
    flip: bool = option(
        True, help="Mirror half of the views left to right; the heart is on one side.", group=AUGMENTATION
    )
    scale: tuple[float, float] = option(
        (1.0, 1.0),
        click.Tuple([ABOVE_ZERO, ABOVE_ZERO]),
        metavar="LOW HIGH",
        help="Smallest and largest zoom of a view, above 0.",
        group=AUGMENTATION,
    )
    translate: float = option(
        0.0,
        Number(min=0, max=1),
        help="Largest shift of a view as a fraction of its side, either way.",
        group=AUGMENTATION,
    )
