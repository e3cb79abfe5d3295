"""`cxr-train export`."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.terminal.options import OptionsCommand, argument, option, takes
from training.choices import EXPORT_FORMATS
from training.options import PATH


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of `cxr-train export`."""

    run: str = argument(click.STRING, help="Run, folder of an import, or its backbone.safetensors.", metavar="RUN")
    out: Path = argument(PATH, help="New folder for the exported files.")
    format: str | None = option(
        None,
        click.Choice(EXPORT_FORMATS),
        help="Write only backbone.safetensors (torchvision) or only backbone.onnx.",
        unset="both",
    )
    allow_unfinished: bool = option(False, help="Take the newest checkpoint of an unfinished run.")


@click.command(cls=OptionsCommand)
@takes(ExportOptions)
def export(options: ExportOptions) -> None:
    """Write a backbone for programs that do not know this project.

    Reads RUN: a finished run of `cxr-train pretrain`, what `cxr-train import` wrote, or the backbone.safetensors in
    one of these. Writes into the new folder OUT: backbone.safetensors (torchvision's names, no head), backbone.onnx
    (any batch size; kept only if onnxruntime's features are torch's to 1e-4), patients.parquet (the patients that the
    weights have seen) and preprocessing.json (size, resize, mean, std, channels). docs/weights.md has snippets for
    each.
    """
    from training.backbones.export import FORMATS, export_backbone
    from training.errors import RunError
    from training.runs.backbone_from import load_backbone
    from training.runs.files import BACKBONE, BACKBONE_WEIGHTS

    path = Path(options.run)
    if not path.is_dir() and not (path.name == BACKBONE_WEIGHTS and path.with_name(BACKBONE).is_file()):
        raise RunError(
            f"{options.run} has no preprocessing of its own to export: give a run, the folder of an import, or the "
            f"{BACKBONE_WEIGHTS} that has its {BACKBONE} beside it."
        )
    # Both mean and std are the run's: these are never used.
    backbone = load_backbone(options.run, mean=0.0, std=1.0, allow_unfinished=options.allow_unfinished)
    difference = export_backbone(backbone, options.out, FORMATS if options.format is None else (options.format,))
    checked = "" if difference is None else f"; onnxruntime and torch differ by at most {difference:.1e}"
    click.echo(f"{options.out}: {backbone.architecture} at {backbone.image_size} pixels{checked}.")
