"""`cxr-train export`."""

from pathlib import Path

import click


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["torchvision", "onnx"]),
    help="Only backbone.safetensors, or only backbone.onnx.  [default: both]",
)
@click.option("--allow-unfinished", is_flag=True, help="Take an unfinished run's newest checkpoint.")
def export(run: str, out: Path, wanted: str | None, allow_unfinished: bool) -> None:
    """Write a backbone for programs that do not know this project.

    Reads RUN: a finished run of `cxr-train pretrain`, what `cxr-train import` wrote, or the backbone.safetensors in
    one of these. Writes into the new folder OUT: backbone.safetensors (torchvision's names, no head), backbone.onnx
    (any batch size; kept only if onnxruntime's features are torch's to 1e-4), patients.parquet (whom the weights have
    seen) and preprocessing.json (size, resize, mean, std, channels). docs/weights.md has snippets for each.
    """
    from training.backbones.export import FORMATS, export_backbone
    from training.errors import RunError
    from training.runs.backbone_from import load_backbone
    from training.runs.files import BACKBONE, BACKBONE_WEIGHTS

    path = Path(run)
    if not path.is_dir() and not (path.name == BACKBONE_WEIGHTS and path.with_name(BACKBONE).is_file()):
        raise RunError(
            f"{run} has no preprocessing of its own to export: give a run, the folder of an import, or the "
            f"{BACKBONE_WEIGHTS} that has its {BACKBONE} beside it."
        )
    # Both mean and std are the run's: these are never used.
    backbone = load_backbone(run, mean=0.0, std=1.0, allow_unfinished=allow_unfinished)
    difference = export_backbone(backbone, out, FORMATS if wanted is None else (wanted,))
    checked = "" if difference is None else f"; onnxruntime and torch differ by at most {difference:.1e}"
    click.echo(f"{out}: {backbone.architecture} at {backbone.image_size} pixels{checked}.")
