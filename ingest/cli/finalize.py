"""`cxr-ingest finalize`: ends a build that the tasks of an array have filled."""

from pathlib import Path

import click


@click.command()
@click.argument("out", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--max-rejected",
    type=click.FloatRange(0, 1),
    help="Share of rows that may be missing.  [default: what the tasks were told]",
)
def finalize(out: Path, max_rejected: float | None) -> None:
    """Check that every shard of OUT is filled and end the build.

    Writes samples.parquet, rejected.csv, duplicates.csv and, last, dataset.json.

    Run it once all tasks of `build-shards --task-index I --task-count N` have ended. Reads no image.
    """
    from ingest.build.dataset_build import finish

    finished = finish(out, max_rejected)
    if finished is None:
        click.echo(f"{out} is finished already: nothing to do.")
        return
    click.echo(str(finished))
