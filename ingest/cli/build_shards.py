"""`cxr-ingest build-shards`: convert a raw dataset to shards, in one go or as one task of an array."""

import click

from ingest.build.options import BuildShardsOptions
from shards.format.identity import KEY_PATTERN
from shards.terminal.options import OptionsCommand, takes


@click.command(cls=OptionsCommand)
@takes(BuildShardsOptions)
def build_shards(options: BuildShardsOptions) -> None:
    """Read the raw dataset in SOURCE and write it as shards to OUT.

    SOURCE is the folder of the archive, or its parent: docs/datasets.md draws each. Reads tables and
    images; writes OUT/*.tar, *.idx, samples.parquet, rejected.csv, duplicates.csv, suspicious.csv and, last,
    dataset.json.

    Run the same command again after any interruption: finished shards are kept. In an array give each task
    --task-index I --task-count N, in any order or at once, then run `cxr-ingest finalize OUT`.
    """
    from ingest.build.command import build_shards as build
    from ingest.build.command import read_salt

    _refuse_contradictions(options)
    try:
        salt = None if options.hash_identifiers is None else read_salt(options.hash_identifiers)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--hash-identifiers") from error
    click.echo(build(options, salt))


def _refuse_contradictions(options: BuildShardsOptions) -> None:
    """Raise click's usage errors for options that cannot go together."""
    index, count = options.task_index, options.task_count
    if options.name is not None and not KEY_PATTERN.fullmatch(options.name):
        raise click.BadParameter(f"{options.name!r}: only letters, digits, '_' and '-'", param_hint="--name")
    if (index is None) != (count is None):
        raise click.UsageError("--task-index and --task-count go together")
    if index is not None and count is not None and index >= count:
        raise click.UsageError(f"--task-index {index} is not below --task-count {count}: it begins at 0")
    if options.test_source is not None and options.test_fraction:
        raise click.UsageError("--test-source brings the test split: leave --test-fraction out")
    if (options.valid_fraction or 0) + (options.test_fraction or 0) >= 1:
        raise click.UsageError("--valid-fraction and --test-fraction leave nothing to train on")
