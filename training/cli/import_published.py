"""`cxr-train import`."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.terminal.options import OptionsCommand, argument, from_recipe, option, takes
from training.options import FOLDER, PATH


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Options of `cxr-train import`."""

    checkpoint: Path = argument(PATH, help="File that the published code's main_moco.py wrote.")
    out: Path = argument(PATH, help="New folder for the backbone.")
    shards: tuple[Path, ...] = option(
        (),
        FOLDER,
        multiple=True,
        metavar="DIR",
        help="Dataset whose train split the weights have seen: its patients are recorded, and --run resumes with it. "
        "Repeat the option for several.",
    )
    seen_patients: str | None = option(
        None,
        metavar="none|FILE",
        help="Declare which patients the weights have seen: none, or a CSV or Parquet file with the columns dataset "
        "and patient_id.",
        unset="those of --shards, else unknown",
    )
    run: Path | None = option(
        None,
        FOLDER,
        metavar="RUN",
        help="Also write a run, which `cxr-train pretrain --config RUN/config.yaml` resumes.",
    )
    config: str | None = option(
        None,
        metavar="RECIPE",
        help="Recipe of the run: a YAML file with options of `cxr-train pretrain`, or the name of a shipped recipe.",
        unset="the published one, with the file's architecture",
    )


@click.command(name="import", cls=OptionsCommand)
@takes(ImportOptions)
def import_published(options: ImportOptions) -> None:
    """Import a checkpoint of the published MoCo-CXR code.

    Reads CHECKPOINT, a file that its main_moco.py wrote (of any --backbone; tensors and plain values only, nothing in
    it is run). Writes into the new folder OUT: backbone.safetensors, backbone.json with the published
    preprocessing, and patients.parquet; without --shards or --seen-patients it is unknown which patients the weights
    have seen, and what is predicted from them is refused. OUT is given to --backbone-from, OUT/backbone.safetensors to
    --init.

    --run also writes a run directory, if everything fits: both encoders with their heads and statistics, the queue
    and its pointer, the optimizer's state and the number of epochs done are the file's. What differs is named, and
    nothing is written. These have no counterpart in the file and start afresh: the order of the images and their views
    (those of this epoch, by --seed), the random state, the metrics, and which image each key in the queue is of. Steps
    are counted as if all epochs had been of these shards; images are normalised by the shards' own mean and deviation.
    """
    from shards.format.dataset import open_datasets
    from training.backbones.published_checkpoint import read_published
    from training.folders import refuse_filled
    from training.pretraining.options import PretrainOptions
    from training.runs.import_published import FILES, import_backbone

    run = options.run
    if (run is not None and not options.shards) or (options.config is not None and run is None):
        raise click.UsageError("--run needs --shards DIR, the dataset to resume with; --config is a recipe of --run")
    published = read_published(options.checkpoint)
    refuse_filled(options.out, FILES)
    if run is not None:
        from training.pretraining.continue_published import import_run

        given = {"shards": options.shards, "output": run, "init": str(options.checkpoint)}
        recipe = options.config
        if recipe is None:  # the published runs differ in their network alone
            recipe, given["backbone"] = "moco_cxr_resnet18", published.architecture
        of_run = from_recipe(PretrainOptions, recipe, **given)
        written = import_run(published, of_run)
        click.echo(
            f"{written}: `cxr-train pretrain --config {run / 'config.yaml'}` resumes after {published.epoch} epochs."
        )
    datasets = open_datasets(options.shards) if options.shards else []
    import_backbone(published, options.out, datasets, options.seen_patients)
    click.echo(f"{options.out}: {published.architecture} after {published.epoch} epochs of {options.checkpoint.name}.")
