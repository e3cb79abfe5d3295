"""`cxr-eval bootstrap`."""

import click

from evaluation.statistics.options import BootstrapOptions
from shards.terminal.options import OptionsCommand, takes
from shards.terminal.progress import progress


@click.command(cls=OptionsCommand)
@takes(BootstrapOptions)
def bootstrap(options: BootstrapOptions) -> None:
    """Compare arms of predictions: each arm's metrics by label, and its difference from the reference, with intervals.

    Reads truth (--labels: a CSV or Parquet file, or a dataset of shards, of which the predictions' split is taken)
    and predictions (CSV, Parquet, or a Zarr group `scores`). The first column is the id: `key`, `Study` (compared
    on its last two components) or `Path` (its last three; in the truth also matched to keys and studies). Both sides
    must hold the same ids. The labels that all files share are used. Truth is 1, 0, -1 (uncertain) or blank; rows
    with -1 or blank are left out of that label. Where predictions are by Study and the truth by image, a study is 1
    if any image is 1, else uncertain if any is -1, else 0 if any is 0.

    Resamples --cluster, else the patient where ids or tables name one, else the id; all arms and labels share the
    replicates. Several files of an arm are its draws, whose values are averaged: from three draws (or pretraining
    seeds) on, intervals include the variation between them.

    --metric names further metrics; those of decisions judge by --thresholds, which come from other data. --by makes
    subgroups, with their differences from the rest.

    Writes --output (JSON, docs/statistics.md): by label and for the mean over labels, the value and interval of each
    arm, and the difference of each arm from --reference with interval and p-value. --curves writes ROC and
    precision-recall curves with bands for the report too, and --readers the operating points of human readers.
    """
    from evaluation.compare_files import arms_of
    from evaluation.compare_files import bootstrap as compare
    from evaluation.statistics.analysis import passes
    from evaluation.statistics.summary import summary

    try:
        arms = arms_of(options).arms
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    for arm in arms:
        if len(arm.files) > 1:
            click.echo(f"{arm.name}: {len(arm.files)} files, {', '.join(map(str, arm.files))}")
    with progress(options.replicates * len(passes(options, options.by)), "bootstrap", "replicates") as bar:
        result = compare(options, bar.advance)
    click.echo(summary(result))
    for sentence in result.warnings:
        click.echo(f"Warning: {sentence}", err=True)
    click.echo(f"{options.output} written")
