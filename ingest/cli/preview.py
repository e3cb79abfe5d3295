"""`cxr-ingest preview`: draw a contact sheet and histograms, to look at before a dataset is trusted."""

import click

from ingest.inspection.options import PreviewOptions
from shards.terminal.options import OptionsCommand, takes

_HISTOGRAM_IMAGES = 1000


@click.command(cls=OptionsCommand)
@takes(PreviewOptions)
def preview(options: PreviewOptions) -> None:
    """Draw a contact sheet of a dataset, and a page of its gray levels.

    Reads the dataset in OUT. Writes PNG: images evenly spaced over its order, with their labels (`?`: uncertain); it
    shows patients, so mind where you send it. Writes beside it NAME-histograms.png: gray levels of all images, of each
    split and projection and of the commonest labels, over 1,000 images.
    """
    from ingest.inspection.histograms import draw_histograms
    from ingest.inspection.preview import draw_sheet
    from shards.contact_sheet import write_picture
    from shards.format.dataset import open_dataset

    dataset, png = open_dataset(options.out), options.png
    pages = {png: draw_sheet(dataset, options.count, options.split)}
    pages[png.with_name(f"{png.stem}-histograms.png")] = draw_histograms(dataset, _HISTOGRAM_IMAGES)
    for path, page in pages.items():
        write_picture(path, page)
        click.echo(f"{path}: {page.width} x {page.height}")
