"""`cxr-eval report`: a study folder -> one HTML page."""

from pathlib import Path

import click


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="HTML page to write.")
@click.option("--with-images", is_flag=True, help="Embed the runs' two-view sheets, which show images of patients.")
def report(directory: Path, output: Path, with_images: bool) -> None:
    """Make one self-contained HTML page of all that DIR holds.

    Reads, anywhere under DIR: pretraining runs (config.yaml, last.json, metrics.jsonl, backbone.json), models
    (model.json, metrics.jsonl), results of `cxr-eval bootstrap` (JSON) and datasets (dataset.json). Writes a page
    with the gains in AUROC by dataset, label, method and label fraction, figures, training curves and what ran;
    unfinished parts are shown as such. The page holds no image of a patient unless --with-images is given, and
    needs nothing from elsewhere.
    """
    from evaluation.report.page import write_report

    study = write_report(directory, output, with_images=with_images)
    click.echo(
        f"{output}: {len(study.results)} results, {len(study.models)} models and {len(study.runs)} pretraining runs "
        f"of {directory}"
    )
    for name in study.unreadable:
        click.echo(f"Warning: {name} cannot be read and is left out.", err=True)
