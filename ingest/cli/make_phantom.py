"""`cxr-ingest make-phantom`: draw procedural radiographs, so that everything can be tried without a download."""

from dataclasses import dataclass
from pathlib import Path

import click

from shards.terminal.options import OptionsCommand, argument, option, takes

_COUNT = click.IntRange(min=0)


@dataclass(frozen=True, kw_only=True)
class MakePhantomOptions:
    """Options of `cxr-ingest make-phantom`."""

    out: Path = argument(click.Path(path_type=Path), help="Folder to write.")
    chexpert_patients: int = option(600, _COUNT, help="Number of patients in CheXpert's train split.")
    shenzhen_images: int = option(300, _COUNT, help="Number of Shenzhen images; half of them show tuberculosis.")
    seed: int = option(0, click.IntRange(0, 2**63 - 1), help="Seed of the patients; another seed draws other patients.")
    full_size: bool = option(False, help="Draw 2,828 x 2,320 JPEG and 3,000 x 2,919 PNG, as first released.")


@click.command("make-phantom", cls=OptionsCommand)
@takes(MakePhantomOptions)
def make_phantom(options: MakePhantomOptions) -> None:
    """Draw chest radiographs with findings into OUT, in the layouts of CheXpert and of Shenzhen.

    Reads nothing. Writes OUT/CheXpert-v1.0-small (CheXpert-v1.0 with --full-size) with train.csv and valid.csv,
    OUT/CheXpert-test with test_labels.csv and groundtruth.csv, and OUT/ChinaSet_AllFiles. Valid and test have 12 % and
    15 % as many patients as train, on top of them, at most CheXpert's own 200 and 500. Fewer patients of a seed are
    the first of more. The same options give the same bytes; run an interrupted command again to finish it.
    """
    from ingest.phantom.generate import make_phantom as draw

    summary = draw(
        options.out,
        chexpert_patients=options.chexpert_patients,
        shenzhen_images=options.shenzhen_images,
        seed=options.seed,
        full_size=options.full_size,
    )
    counts = ", ".join(f"{count:,} {name}" for name, count in summary.images.items())
    click.echo(f"{options.out}: {counts} images ({summary.drawn:,} drawn now)")
    for folder in (summary.chexpert, summary.chexpert_test, summary.shenzhen):
        if folder is not None:
            click.echo(f"  {folder}")
