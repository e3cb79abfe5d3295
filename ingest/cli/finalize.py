"""`cxr-ingest finalize`: end a build that the tasks of an array have filled."""

import click

from ingest.build.options import FinalizeOptions
from shards.terminal.options import OptionsCommand, takes


@click.command(cls=OptionsCommand)
@takes(FinalizeOptions)
def finalize(options: FinalizeOptions) -> None:
    """Check that every shard of OUT is filled and end the build.

    Writes samples.parquet, rejected.csv, duplicates.csv, suspicious.csv and, last, dataset.json.

    Run it once all tasks of `build-shards --task-index I --task-count N` have ended. Reads no image.
    """
    from ingest.build.dataset_build import finish

    finished = finish(options.out, options.max_rejected)
    if finished is None:
        click.echo(f"{options.out} is finished already: nothing to do.")
        return
    click.echo(finished.report())
