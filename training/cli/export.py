"""`cxr-train export`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shards.terminal.options import OptionsCommand, argument, option, takes
from training.choices import EXPORT_FORMATS
from training.options import FOLDER, PATH

if TYPE_CHECKING:
    from training.backbones.backbone import Backbone


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of `cxr-train export`."""

    run: str = argument(click.STRING, help="Run, folder of an import, or its backbone.safetensors.", metavar="RUN")
    out: Path = argument(PATH, help="New folder for the exported files.")
    format: str | None = option(
        None,
        click.Choice(EXPORT_FORMATS),
        help="Write only backbone.safetensors (torchvision), only backbone.onnx, or a folder for a model hub: "
        "model.safetensors, config.json and a model card.",
        unset="torchvision and onnx",
    )
    study: Path | None = option(
        None, FOLDER, metavar="DIR", help="Judged study of the run, whose results the model card of --format hub shows."
    )
    shards: tuple[Path, ...] = option(
        (),
        FOLDER,
        multiple=True,
        metavar="DIR",
        help="Dataset of the pretraining, for licence and counts in the model card; those of the run's config are "
        "found by themselves. Repeat the option for several.",
    )
    license: str = option(
        "other", metavar="SPDX", help="Licence of the weights, for the front matter of the model card."
    )
    with_patients: bool = option(
        False,
        help="Also write patients.parquet and images.parquet, which list all that the weights have seen: for further "
        "training and testing with this project, not for publishing.",
    )
    allow_unfinished: bool = option(False, help="Take the newest checkpoint of an unfinished run.")


@click.command(cls=OptionsCommand)
@takes(ExportOptions)
def export(options: ExportOptions) -> None:
    """Write a backbone for programs that do not know this project.

    Reads RUN: a finished run of `cxr-train pretrain`, what `cxr-train import` wrote, or the backbone.safetensors in
    one of these. Writes into the new folder OUT: backbone.safetensors (torchvision's names, no head), backbone.onnx
    (any batch size; kept only if onnxruntime's features are torch's to 1e-4) and preprocessing.json (size, resize,
    mean, std, channels). docs/weights.md has snippets for each. No patient is named, unless --with-patients asks for
    patients.parquet and images.parquet (what the weights have seen), by which `probe` and others find leakage.

    --format hub writes model.safetensors, config.json and README.md, a model card with lines that load the weights in
    torchvision and timm. No patient is named in them, so a folder of it is to be published, and not for further runs.
    """
    from training.backbones.export import FORMATS, export_backbone
    from training.errors import RunError
    from training.runs.backbone_from import load_backbone
    from training.runs.files import BACKBONE, BACKBONE_WEIGHTS

    for_card = (options.study is not None, bool(options.shards), options.license != "other")
    if options.format != "hub" and any(for_card):
        raise click.UsageError("--study, --shards and --license are for the model card of --format hub")
    if options.format == "hub" and options.with_patients:
        raise click.UsageError("--format hub is for publishing and names no patient: leave --with-patients out")
    path = Path(options.run)
    if not path.is_dir() and not (path.name == BACKBONE_WEIGHTS and path.with_name(BACKBONE).is_file()):
        raise RunError(
            f"{options.run} has no preprocessing of its own to export: give a run, the folder of an import, or the "
            f"{BACKBONE_WEIGHTS} that has its {BACKBONE} beside it."
        )
    # Both mean and std are the run's: these are never used.
    backbone = load_backbone(options.run, mean=0.0, std=1.0, allow_unfinished=options.allow_unfinished)
    if options.format == "hub":
        _export_hub(backbone, path if path.is_dir() else path.parent, options)
        click.echo(f"{options.out}: {backbone.architecture} at {backbone.image_size} pixels, for a model hub.")
        return
    formats = FORMATS if options.format is None else (options.format,)
    difference = export_backbone(backbone, options.out, formats, with_patients=options.with_patients)
    checked = "" if difference is None else f"; onnxruntime and torch differ by at most {difference:.1e}"
    click.echo(f"{options.out}: {backbone.architecture} at {backbone.image_size} pixels{checked}.")


def _export_hub(backbone: "Backbone", run: Path, options: ExportOptions) -> None:
    from training.publishing.hub import export_hub
    from training.runs.directory import read_config
    from training.runs.files import CONFIG

    config = read_config(run) if (run / CONFIG).is_file() else None
    recorded = config.get("shards") if config is not None else None
    own = [Path(str(path)) for path in recorded] if isinstance(recorded, list | tuple) else []
    export_hub(
        backbone,
        options.out,
        config=config,
        shards=[*options.shards, *own],
        study=options.study,
        licence=options.license,
    )
