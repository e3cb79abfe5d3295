"""`cxr-ingest info`: show what is in a dataset, for people or as JSON."""

import json

import click

from ingest.inspection.options import InfoOptions
from shards.terminal.options import OptionsCommand, takes


@click.command(cls=OptionsCommand)
@takes(InfoOptions)
def info(options: InfoOptions) -> None:
    """Count what the dataset in OUT holds: splits, projections, sex, age, labels, sizes, rejected rows.

    Reads dataset.json, samples.parquet and rejected.csv; writes nothing.
    """
    from ingest.inspection.info import overview
    from ingest.inspection.info_text import as_text
    from shards.format.dataset import open_dataset

    summary = overview(open_dataset(options.out))
    click.echo(json.dumps(summary.as_json(), indent=2, ensure_ascii=False) if options.as_json else as_text(summary))
