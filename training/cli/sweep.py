"""`cxr-train sweep`."""

import click

from shards.terminal.options import OptionsCommand, takes
from training.studies.options import SweepOptions


@click.command(cls=OptionsCommand)
@takes(SweepOptions)
def sweep(options: SweepOptions) -> None:
    """Train all models of a study.

    Reads a study file (YAML; recipes/study_*.yaml are shipped) and the datasets of shards that it names. Writes DIR:
    study.yaml, a directory for each pretraining run in runs/ and one for each model (cell) in cells/.
    """
    from training.studies.listing import listed_paths, select_cells, study_path
    from training.studies.study_file import read_study

    study = read_study(study_path(options.study))
    selection = select_cells(study, options.only)
    if options.list_cells:
        click.echo("\n".join(listed_paths(selection, options.output)))
        return
