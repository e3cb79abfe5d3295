"""cxr-train: registers the commands, one file each."""

import click

from shards.terminal.group import Group, version_option
from training.cli.bench_loader import bench_loader
from training.cli.cache import cache
from training.cli.export import export
from training.cli.fetch_weights import fetch_weights
from training.cli.finetune import finetune
from training.cli.import_published import import_published
from training.cli.pretrain import pretrain
from training.cli.probe import probe
from training.cli.recipes import recipes
from training.cli.sweep import sweep


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@version_option
def main() -> None:
    """Pretrain on shards of chest radiographs, and train on their labels."""


for command in (
    pretrain,
    probe,
    finetune,
    import_published,
    export,
    bench_loader,
    cache,
    recipes,
    sweep,
    fetch_weights,
):
    main.add_command(command)
