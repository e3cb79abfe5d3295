"""Options that several commands share, and the types of their values. No torch here, so that --help is quick."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shards.errors import SubsetError
from shards.selection.condition import parse
from shards.selection.row_filter import ALL, AP_PA, PROJECTIONS, row_filter
from shards.terminal.options import Device, Number, option, specs
from training.choices import DEVICES

if TYPE_CHECKING:
    from shards.loading.augmentation import ViewRange

PATH = click.Path(path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
COUNT = click.IntRange(min=1)
THREADS = click.IntRange(1, 4096)
"""More are refused by the system only when the first of them is started, without a sentence."""
IMAGE_SIZE = click.IntRange(32, 8192)
SEED = click.IntRange(min=0, max=2**63 - 1)
ABOVE_ZERO = Number(min=0, min_open=True)
DEVICE = Device(DEVICES)
_FACTORS = click.Tuple([ABOVE_ZERO, ABOVE_ZERO])
_OFFSETS = click.Tuple([Number(min=-255, max=255)] * 2)
_FRACTIONS = click.Tuple([Number(min=0, max=1, min_open=True)] * 2)

PlainValue = str | int | float | Sequence[str] | Sequence[int] | Sequence[float] | None
"""Value of an option as a config, a recipe or a model's record holds it."""
Config = Mapping[str, PlainValue]
"""Options under their names, as config.yaml records them."""

AUGMENTATION, MACHINE, ROWS = "Augmentation", "Machine", "Rows"
"""Headings in --help."""


class Condition(click.ParamType[str]):
    """A condition on the columns of samples.parquet, as `shards.selection.condition` reads it."""

    name = "condition"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401
        """Check that it can be read; whether the dataset has its columns is seen when that is opened."""
        try:
            parse(str(value))
        except SubsetError as error:
            self.fail(str(error), param, ctx)
        return str(value)


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """Which rows of a dataset are used, before splits, label fractions and draws are taken."""

    projection: str = option(
        ALL, click.Choice(PROJECTIONS), help="Use the radiographs of this projection only.", group=ROWS
    )
    ap_pa: str = option(ALL, click.Choice(AP_PA), help="Use the AP or the PA radiographs only.", group=ROWS)
    where: str | None = option(
        None,
        Condition(),
        names=("--where", "--row-filter"),
        metavar="CONDITION",
        help="Use the rows that fulfil a condition on the columns of samples.parquet only, such as "
        "\"sex == 'female' and age >= 18\". An unknown value fulfils none but `is null`.",
        group=ROWS,
        unset="every row",
    )

    @property
    def row_filter(self) -> str | None:
        """The three as one condition, as it is recorded; None for all rows."""
        return row_filter(self.projection, self.ap_pa, self.where)

    @property
    def recorded_rows(self) -> dict[str, str]:
        """The three as one key `row_filter` of a record; no key where all rows are used."""
        return {} if self.row_filter is None else {"row_filter": self.row_filter}


ROW_OPTIONS = frozenset(specs(RowOptions))
"""Options that a config, a model or a cell records as the one key `row_filter` (`RowOptions.recorded_rows`)."""


def differences(there: Config, here: Config) -> str:
    """Name the options whose recorded values differ, with both, for a message; nothing where all are the same."""
    keys = sorted(key for key in there.keys() | here.keys() if there.get(key) != here.get(key))
    return "; ".join(f"{key}: {there.get(key)!r} there, {here.get(key)!r} here" for key in keys)


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
        _FACTORS,
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
    crop_area: tuple[float, float] = option(
        (1.0, 1.0),
        _FRACTIONS,
        metavar="LOW HIGH",
        help="Smallest and largest area of the window that a view is cut out of, as a fraction of the largest square "
        "in the image. Its place is free within the image.",
        group=AUGMENTATION,
    )
    gain: tuple[float, float] = option(
        (1.0, 1.0),
        _FACTORS,
        metavar="LOW HIGH",
        help="Smallest and largest factor of the contrast of a view, about mid-gray; the result is clipped to 0..255.",
        group=AUGMENTATION,
    )
    offset: tuple[float, float] = option(
        (0.0, 0.0),
        _OFFSETS,
        metavar="LOW HIGH",
        help="Smallest and largest change of the brightness of a view, in gray levels; the result is clipped to "
        "0..255.",
        group=AUGMENTATION,
    )
    gamma: tuple[float, float] = option(
        (1.0, 1.0),
        _FACTORS,
        metavar="LOW HIGH",
        help="Smallest and largest exponent of the gray levels of a view, after --gain and --offset; above 1 darkens.",
        group=AUGMENTATION,
    )

    def view_range(self) -> "ViewRange":
        """Make the range of views of a loader."""
        from shards.loading.augmentation import ViewRange  # loads numpy, which --help does not need

        return ViewRange(**{field.name: getattr(self, field.name) for field in dataclasses.fields(ViewRange)})


LATER_AUGMENTATION: dict[str, list[float]] = {
    "crop_area": [1.0, 1.0],
    "gain": [1.0, 1.0],
    "offset": [0.0, 0.0],
    "gamma": [1.0, 1.0],
}
"""Values, as records hold them, of options that runs and models of earlier releases did not record."""
