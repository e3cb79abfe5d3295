"""`cxr-ingest info`: what is in a dataset, for people or as JSON."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("out", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def info(out: Path, as_json: bool) -> None:
    """Count what the dataset in OUT holds: splits, projections, sex, age, labels, sizes, rejected rows.

    Reads dataset.json, samples.parquet and rejected.csv; writes nothing.
    """
    from ingest.inspection.info import as_text, overview
    from shards.format.dataset import open_dataset

    summary = overview(open_dataset(out))
    click.echo(json.dumps(summary, indent=2, ensure_ascii=False) if as_json else as_text(summary))
