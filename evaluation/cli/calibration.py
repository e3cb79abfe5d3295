"""`cxr-eval calibration`."""

import click

from evaluation.calibration.options import CalibrationOptions
from shards.terminal.options import OptionsCommand, takes


@click.command(cls=OptionsCommand)
@takes(CalibrationOptions)
def calibration(options: CalibrationOptions) -> None:
    """Judge whether predicted probabilities are the fractions that are observed.

    Reads truth and predictions as `cxr-eval bootstrap` does; all scores must be probabilities.

    Writes --output (JSON): by arm and label the intercept and the slope of the logits with clustered intervals, the
    Brier score, and a reliability curve in bins of equally many rows.
    """
    from evaluation.calibration.files import judge_calibration, summary
    from evaluation.compare_files import named_arms, refuse_output_that_is_read

    try:
        arms = named_arms(options)
        refuse_output_that_is_read(options, arms)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    found = judge_calibration(options, arms)
    click.echo(summary(found, options.level))
    for sentence in found.warnings:
        click.echo(f"Warning: {sentence}", err=True)
    click.echo(f"{options.output} written")
