"""`cxr-train import`."""

from pathlib import Path

import click


@click.command(name="import")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--shards",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Dataset whose train split the weights have seen: its patients are recorded, and --run goes on with it. "
    "Repeat for several.",
)
@click.option(
    "--run",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="RUN",
    help="Write a run, too, which `cxr-train pretrain --config RUN/config.yaml` goes on with.",
)
@click.option(
    "--config",
    metavar="RECIPE",
    help="Recipe of the run: a YAML file of `cxr-train pretrain`'s options, or a shipped recipe's name.  "
    "[default: the published one of the architecture]",
)
def import_published(
    checkpoint: Path, out: Path, shards: tuple[Path, ...], run: Path | None, config: str | None
) -> None:
    """Take over a checkpoint of the published MoCo-CXR code.

    Reads CHECKPOINT, a file that its main_moco.py wrote (ResNet-18 or DenseNet-121; tensors and plain values only,
    nothing in it is run). Writes into the new folder OUT: backbone.safetensors, backbone.json with the published
    preprocessing, and patients.parquet. OUT is given to --backbone-from, OUT/backbone.safetensors to --init.

    --run writes a run directory besides, if everything fits: both encoders with their heads and statistics, the queue
    and its pointer, the optimizer's state and the number of epochs done are the file's. What differs is named, and
    nothing is written. These have no counterpart in the file and begin anew: the order of the images and their views
    (those of this epoch, by --seed), the random state, the metrics, and who the keys in the queue were. Steps are
    counted as if all epochs had been of these shards; images are normalised by the shards' own mean and deviation.
    """
    from shards.format.dataset import open_datasets
    from training.backbones.published_checkpoint import read_published
    from training.cli.pretrain import pretrain
    from training.folders import refuse_filled
    from training.pretraining.options import PretrainOptions
    from training.runs.import_published import import_backbone

    if (run is not None and not shards) or (config is not None and run is None):
        raise click.UsageError("--run needs --shards DIR, the dataset to go on with; --config is a recipe of --run")
    published = read_published(checkpoint)
    refuse_filled(out)
    if run is not None:
        from training.pretraining.continue_published import import_run

        words = [f"--config={config or f'moco_cxr_{published.architecture}'}", f"--output={run}"]
        words += [*(f"--shards={folder}" for folder in shards), f"--init={checkpoint}"]
        values = pretrain.make_context("pretrain", words).params
        options = PretrainOptions(**{key: value for key, value in values.items() if key != "config"})
        written = import_run(published, options)
        click.echo(
            f"{written}: `cxr-train pretrain --config {run / 'config.yaml'}` goes on after {published.epoch} epochs."
        )
    import_backbone(published, out, open_datasets(shards) if shards else [])
    click.echo(f"{out}: {published.architecture} after {published.epoch} epochs of {checkpoint.name}.")
