"""`cxr-eval bootstrap`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evaluation.statistics.options import BootstrapOptions
from evaluation.tables.arm_files import ArmFiles
from shards.durable import write_json_atomically
from shards.terminal.options import OptionsCommand, takes
from shards.terminal.progress import progress

if TYPE_CHECKING:
    from evaluation.tables.comparison import Comparison

MODEL, BASELINE = "model", "baseline"


@click.command(cls=OptionsCommand)
@takes(BootstrapOptions)
def bootstrap(options: BootstrapOptions) -> None:
    """Compare arms of predictions: each arm's AUROC by label, and its difference from the reference, with intervals.

    Reads truth (--labels: a CSV or Parquet file, or a dataset of shards, of which the predictions' split is taken)
    and predictions (CSV, Parquet, or a Zarr group `scores`). The first column is the id: `key`, `Study` (compared
    on its last two components) or `Path` (its last three; in the truth also matched to keys and studies). Both sides
    must hold the same ids. The labels that all files share are used. Truth is 1, 0, -1 (uncertain) or blank; rows
    with -1 or blank are left out of that label. Where predictions are by Study and the truth by image, a study is 1
    if any image is 1, else uncertain if any is -1, else 0 if any is 0.

    Resamples --cluster, else the patient where ids or tables name one, else the id; all arms and labels share the
    replicates. Several files of an arm are its draws, whose values are averaged: from three draws (or pretraining
    seeds) on, intervals include the variation between them.

    Writes --output (JSON, docs/statistics.md): by label and for the mean over labels, the value and interval of each
    arm, and the difference of each arm from --reference with interval and p-value.
    """
    from evaluation.statistics.analysis import bootstrap_result
    from evaluation.statistics.remarks import fewest_replicates
    from evaluation.statistics.summary import summary

    arms, reference = _arms(options)
    if options.replicates < fewest_replicates(options.level):
        raise click.UsageError(
            f"--replicates {options.replicates} are too few for --level {options.level:g}: at least "
            f"{fewest_replicates(options.level)} are needed"
        )
    _refuse_output_that_is_read(options, arms)
    for arm in arms:
        if len(arm.files) > 1:
            click.echo(f"{arm.name}: {len(arm.files)} files, {', '.join(map(str, arm.files))}")
    comparison = _joined(options, arms)
    with progress(options.replicates, "bootstrap", "replicates") as bar:
        result = bootstrap_result(comparison, options, reference, bar.advance)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(options.output, result.as_json())
    click.echo(summary(result))
    for sentence in result.warnings:
        click.echo(f"Warning: {sentence}", err=True)
    click.echo(f"{options.output} written")


def _arms(options: BootstrapOptions) -> tuple[list[ArmFiles], str | None]:
    """The arms and the name of the reference. Raises UsageError where they are not given, or not to be told apart."""
    short = [
        ArmFiles(name, tuple(path for files in given for path in files))
        for name, given in ((MODEL, options.model), (BASELINE, options.baseline))
        if given
    ]
    if options.arm and short:
        raise click.UsageError("--model and --baseline are the short form of two arms: give either them or --arm")
    if not options.arm and not options.model:
        raise click.UsageError("Missing option '--arm' (or '--model'): which predictions are to be judged?")
    arms = list(options.arm) or short
    names = [arm.name for arm in arms]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise click.UsageError(f"--arm {repeated[0]} is given twice: name all of its files in one, with commas")
    reference = options.reference or (BASELINE if options.baseline else None)
    if reference is not None and reference not in names:
        raise click.UsageError(f"--reference {reference} is none of the arms: {', '.join(names)}")
    if reference is None and len(arms) > 1:
        raise click.UsageError(f"--reference is needed: which of {', '.join(names)} are the others compared with?")
    return arms, reference if len(arms) > 1 else None


def _refuse_output_that_is_read(options: BootstrapOptions, arms: list[ArmFiles]) -> None:
    """No output is ever an input: neither truth nor predictions, nor their sidecars, nor a file inside of them."""
    output = options.output.resolve()
    for path in (options.labels, *(file for arm in arms for file in arm.files)):
        read = path.resolve()
        if output in (read, Path(f"{read}.json")) or (path.is_dir() and read in output.parents):
            raise click.UsageError(
                f"--output {options.output} would overwrite {path}, which is read: name another file"
            )


def _joined(options: BootstrapOptions, arms: list[ArmFiles]) -> "Comparison":
    """Read truth and predictions as arrays. The tables, which take more memory than the bootstrap, are freed."""
    from evaluation.statistics.metrics import METRICS
    from evaluation.tables.comparison import ArmTables, compare
    from evaluation.tables.table import read_predictions
    from evaluation.tables.truth import read_truth

    read = [ArmTables(arm.name, tuple(t for path in arm.files for t in read_predictions(path))) for arm in arms]
    truth = read_truth(options.labels, [table for arm in read for table in arm.tables])
    needs_probabilities = METRICS[options.metric].needs_probabilities
    return compare(truth, read, options.cluster, probabilities=needs_probabilities)
