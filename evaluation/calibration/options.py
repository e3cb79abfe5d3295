"""Options of `cxr-eval calibration`."""

from dataclasses import dataclass

import click

from evaluation.statistics.options import PredictionOptions
from shards.terminal.options import Number, option

_CALIBRATION = "Calibration"


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions(PredictionOptions):
    """Which predictions are judged, and how."""

    level: float = option(
        0.95,
        Number(0, 1, min_open=True, max_open=True),
        help="Confidence level of the intervals.",
        group=_CALIBRATION,
    )
    bins: int = option(
        10, click.IntRange(min=2), help="Bins of the reliability curve, of equally many rows.", group=_CALIBRATION
    )
    cluster: str | None = option(
        None,
        metavar="COLUMN",
        help="Column of the truth whose values vary.",
        group=_CALIBRATION,
        unset="the patient where ids or tables name one, else the id",
    )
