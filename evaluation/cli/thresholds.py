"""`cxr-eval thresholds`."""

import click

from evaluation.statistics.options import ThresholdOptions
from shards.terminal.options import OptionsCommand, takes


@click.command(cls=OptionsCommand)
@takes(ThresholdOptions)
def thresholds(options: ThresholdOptions) -> None:
    """Choose the score from which on a prediction counts as positive, on data that are not judged.

    Reads truth and predictions as `cxr-eval bootstrap` does, of the validation split: one file a draw, since each is a
    model of its own. Name the arms as in the comparison to come.

    Writes --output (JSON): by arm, draw and label the threshold, and its sensitivity and specificity on the rows that
    it was chosen on, with Wilson's intervals. `cxr-eval bootstrap --thresholds` reads it, and refuses thresholds that
    come from what is judged.
    """
    from evaluation.compare_files import named_arms, refuse_output_that_is_read
    from evaluation.threshold_files import choose_thresholds, summary

    try:
        arms = named_arms(options)
        refuse_output_that_is_read(options, arms)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    chosen = choose_thresholds(options.labels, arms, options.rule, options.level, options.output)
    click.echo(summary(chosen, options.rule, options.level))
    click.echo(f"{options.output} written")
