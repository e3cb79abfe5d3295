"""`cxr-ingest preview`: a contact sheet and histograms, to look at before trusting a dataset."""

from pathlib import Path

import click

_HISTOGRAM_IMAGES = 1000


@click.command()
@click.argument("out", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("png", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--count", type=click.IntRange(1, 400), default=32, help="How many images.")
@click.option("--split", type=click.Choice(["train", "valid", "test"]), help="Of this split only.")
def preview(out: Path, png: Path, count: int, split: str | None) -> None:
    """Draw a contact sheet of a dataset, and a page of its gray levels.

    Reads the dataset in OUT. Writes PNG: images evenly spaced over its order, with their labels (`?`: uncertain); it
    shows patients, so mind where you send it. Writes beside it NAME-histograms.png: gray levels of all images, of each
    split and projection and of the commonest labels, over 1,000 images.
    """
    from ingest.inspection.histograms import draw_histograms
    from ingest.inspection.preview import draw_sheet
    from shards.format.dataset import open_dataset

    dataset = open_dataset(out)
    pages = {png: draw_sheet(dataset, count, split)}
    pages[png.with_name(f"{png.stem}-histograms.png")] = draw_histograms(dataset, _HISTOGRAM_IMAGES)
    for path, page in pages.items():
        page.save(path, format="PNG")
        click.echo(f"{path}: {page.width} x {page.height}")
