"""`cxr-ingest preview`: a contact sheet, to look at before trusting a dataset."""

from pathlib import Path

import click


@click.command()
@click.argument("out", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("png", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--count", type=click.IntRange(1, 400), default=32, help="How many images.")
@click.option("--split", type=click.Choice(["train", "valid", "test"]), help="Of this split only.")
def preview(out: Path, png: Path, count: int, split: str | None) -> None:
    """Draw a contact sheet of a dataset.

    Reads the dataset in OUT; writes PNG: images evenly spaced over its order, with their labels. `?` marks an
    uncertain label. The picture shows patients: mind where you send it.
    """
    from ingest.sheet import draw_sheet
    from shards.dataset import open_dataset

    sheet = draw_sheet(open_dataset(out), count, split)
    sheet.save(png)
    click.echo(f"{png}: {sheet.width} x {sheet.height}")
