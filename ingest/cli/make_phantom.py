"""`cxr-ingest make-phantom`: procedural radiographs, so that everything can be tried without a download."""

from pathlib import Path

import click


@click.command("make-phantom")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--chexpert-patients", type=click.IntRange(min=0), default=600, help="Patients in train.")
@click.option("--shenzhen-images", type=click.IntRange(min=0), default=300, help="Half of them tuberculous.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Another seed draws other patients.")
@click.option("--full-size", is_flag=True, help="2,828 x 2,320 JPEG and 3,000 x 2,919 PNG, as first released.")
def make_phantom(out: Path, chexpert_patients: int, shenzhen_images: int, seed: int, full_size: bool) -> None:
    """Draw chest radiographs with findings into OUT, in the layouts of CheXpert and of Shenzhen.

    Reads nothing. Writes OUT/CheXpert-v1.0-small (CheXpert-v1.0 with --full-size) with train.csv and valid.csv,
    OUT/CheXpert-test with test_labels.csv and groundtruth.csv, and OUT/ChinaSet_AllFiles. Valid and test have 12 % and
    15 % as many patients as train, on top of them, at most CheXpert's own 200 and 500. Fewer patients of a seed are
    the first of more. The same options give the same bytes; an interrupted command goes on when it is run again.
    """
    from ingest.phantom import make_phantom as draw

    summary = draw(
        out,
        chexpert_patients=chexpert_patients,
        shenzhen_images=shenzhen_images,
        seed=seed,
        full_size=full_size,
    )
    counts = ", ".join(f"{count:,} {name}" for name, count in summary.images.items())
    click.echo(f"{out}: {counts} images ({summary.drawn:,} drawn now)")
    for folder in (summary.chexpert, summary.chexpert_test, summary.shenzhen):
        if folder is not None:
            click.echo(f"  {folder}")
