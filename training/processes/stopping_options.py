"""Options of when a training writes checkpoints by the clock and when it stops. No torch, so that --help is quick."""

from dataclasses import dataclass
from typing import Any

import click

from shards.terminal.options import Number, option
from training.processes.time_limit import seconds_of

CHECKPOINTS = "Checkpoints"
"""Heading in --help."""

MINUTES = 15.0


class Duration(click.ParamType[float]):
    """Seconds, as a number or as a duration in Slurm's notation."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Parse the duration into seconds."""
        try:
            return seconds_of(str(value))
        except ValueError as error:
            self.fail(f"{error}: give seconds, HH:MM:SS or D-HH:MM:SS", param, ctx)


@dataclass(frozen=True, kw_only=True)
class StoppingOptions:
    """When a checkpoint is due by the clock, and when the training stops. Neither changes a weight."""

    checkpoint_minutes: float = option(
        MINUTES,
        Number(min=0),
        metavar="MINUTES",
        help="Minutes from one checkpoint to the next; 0: none by the clock.",
        group=CHECKPOINTS,
        changes_weights=False,
    )
    time_limit: float | None = option(
        None,
        Duration(),
        metavar="SECONDS|[D-]HH:MM:SS",
        help="Stop before this time has passed, with a checkpoint and exit status 75.",
        group=CHECKPOINTS,
        changes_weights=False,
        unset="Slurm's, where SLURM_JOB_END_TIME says it",
    )
