"""`cxr-eval report`."""

import click

from evaluation.report.options import ReportOptions
from shards.terminal.options import OptionsCommand, takes


@click.command(cls=OptionsCommand)
@takes(ReportOptions)
def report(options: ReportOptions) -> None:
    """Make one self-contained HTML page of all that DIR holds.

    Reads, anywhere under DIR: pretraining runs (config.yaml, last.json, metrics.jsonl, backbone.json), models
    (model.json, metrics.jsonl), results and curves of `cxr-eval bootstrap` and of `cxr-eval calibration` (JSON) and
    datasets; and the datasets that these name where they were given them (dataset.json, samples.parquet, rejected.csv,
    quarantine.json). Writes a page with the main result, gains in AUROC by dataset, label, method and label fraction,
    figures, participants, methods, training curves, cost and versions; unfinished parts are shown as such. The page
    holds no image of a patient unless --with-images is given, and loads nothing from other files or from the network.
    Beside it: the gains as tables/report-*.csv and .tex, and the figures as figures/report-*.svg, .png and .pdf.
    """
    from evaluation.report.page.beside import write_beside
    from evaluation.report.page.render import write_report

    study = write_report(options.directory, options.output, with_images=options.with_images)
    beside = write_beside(study, options.output.parent)
    click.echo(
        f"{options.output}: {len(study.results)} results, {len(study.models)} models and {len(study.runs)} pretraining "
        f"runs of {options.directory}"
    )
    if beside:
        click.echo(f"{len(beside)} tables and figures for a paper beside it, in tables/ and figures/")
    for name in study.unreadable:
        click.echo(f"Warning: {name} cannot be read and is left out.", err=True)
    for name in study.unknown:
        click.echo(f"Warning: not read: {name}. Run `cxr-eval bootstrap` again to have it in the page.", err=True)
