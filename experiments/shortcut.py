"""Measure what gray levels alone tell about two views: how often a view's histogram finds the other view of its image.

    python -m experiments.shortcut SHARDS... [--config RECIPE]... [--image-size 64] [--images 1024]

A contrastive task that a histogram solves teaches exposure, not anatomy. For each range of views the query view's
histogram is compared with those of the key views of all images, its own among them: how often its own is the nearest
(top-1). Raw histograms, and those of standardised views (mean 0, standard deviation 1), since a network can standardise
what it sees; of the whole view, and of its middle half, which has no black corners. Without a network.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from torch import Tensor

from shards.format.dataset import Dataset, open_datasets
from shards.loading.augmentation import ViewRange
from shards.loading.loaders import TwoViewLoader
from shards.loading.placement import Placement
from shards.terminal.options import from_recipe
from training.pretraining.options import PretrainOptions

BINS, BATCH = 64, 64
TONED = ViewRange(gain=(0.8, 1.2), offset=(-25.0, 25.0))
SETTINGS = {
    "the paper's views": ViewRange(),
    "gain 0.8 to 1.2, offset -25 to 25": TONED,
    "gain 0.6 to 1.4, offset -50 to 50": ViewRange(gain=(0.6, 1.4), offset=(-50, 50)),
    "gamma 0.6 to 1.65": ViewRange(gamma=(0.6, 1.65)),
    "zoom 1 to 1.5, shift 0.1": ViewRange(scale=(1, 1.5), translate=0.1),
    "crop area 0.4 to 1": ViewRange(crop_area=(0.4, 1)),
    "gain, offset 25 and gamma": replace(TONED, gamma=(0.6, 1.65)),
    "gain, offset 25, gamma and crop": replace(TONED, gamma=(0.6, 1.65), crop_area=(0.4, 1)),
}

Views = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shortcut:
    """Top-1 by the histograms of raw and standardised views, of the whole and of the middle of them."""

    raw: float
    raw_middle: float
    standardised: float
    standardised_middle: float


@click.command(context_settings={"show_default": True})
@click.argument("shards", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--config", "recipes", multiple=True, help="Recipe of pretraining whose views are measured too.")
@click.option("--image-size", default=64, help="Side of a view in pixels; a recipe has its own.")
@click.option("--images", default=1024, help="Number of images, of which each key is one.")
@click.option("--threads", default=1, help="Number of CPU threads.")
def main(shards: Sequence[Path], recipes: Sequence[str], image_size: int, images: int, threads: int) -> None:
    """Print the table for the train splits of SHARDS."""
    datasets = open_datasets(shards)
    cases = [(name, view_range, image_size) for name, view_range in SETTINGS.items()]
    for recipe in recipes:
        options = from_recipe(PretrainOptions, recipe, shards=(), output=Path("unused"))
        cases.append((recipe, options.view_range(), options.image_size))
    click.echo(f"| views of {images:,} images | px | raw | middle | standardised | middle |\n|---|---|---|---|---|---|")
    for name, view_range, size in cases:
        found = shortcut(*two_views(datasets, view_range, size, images, threads))
        click.echo(
            f"| {name} | {size} | {found.raw:.3f} | {found.raw_middle:.3f} | {found.standardised:.3f} | "
            f"{found.standardised_middle:.3f} |"
        )


def two_views(
    datasets: Sequence[Dataset], view_range: ViewRange, size: int, images: int, threads: int
) -> tuple[Views, Views]:
    """Both views of so many images as a network sees them, tone curve included, in gray levels: float32 [N, H, W]."""
    batch_size = min(BATCH, images)
    loader = TwoViewLoader(
        datasets, image_size=size, batch_size=batch_size, seed=0, placement=Placement(threads=threads), views=view_range
    )
    batches = list(islice(loader, -(-images // batch_size)))  # of one epoch: no image comes twice
    loader.close()
    query = [_levels(batch.query, batch.query_tones) for batch in batches]
    key = [_levels(batch.key, batch.key_tones) for batch in batches]
    return np.concatenate(query)[:images], np.concatenate(key)[:images]


def shortcut(query: Views, key: Views) -> Shortcut:
    """Measure how often a view's histogram is nearest to that of its partner. query, key: float32 [N, H, W]."""
    middle = slice(query.shape[1] // 4, query.shape[1] - query.shape[1] // 4)
    parts = [(query, key), (query[:, middle, middle], key[:, middle, middle])]
    raw = [top1(*(_histograms(views, 0, 256) for views in pair)) for pair in parts]
    standard = [top1(*(_histograms(_standardised(views), -4, 4) for views in pair)) for pair in parts]
    return Shortcut(*raw, *standard)


def top1(query: npt.NDArray[np.float64], key: npt.NDArray[np.float64]) -> float:
    """Fraction of rows of `query` whose nearest row of `key`, by the sum of differences, has the same number."""
    nearest = [int(np.abs(key - row).sum(axis=1).argmin()) for row in query]
    return float(np.mean(nearest == np.arange(len(query))))


def _histograms(views: Views, low: float, high: float) -> npt.NDArray[np.float64]:
    """Cumulative histograms, [N, BINS]: their sum of differences is the earth mover's distance."""
    bins = np.clip((views - low) * (BINS / (high - low)), 0, BINS - 1).astype(np.int64).reshape(len(views), -1)
    counts = np.stack([np.bincount(row, minlength=BINS) for row in bins])
    return np.asarray(counts.cumsum(axis=1) / bins.shape[1], dtype=np.float64)


def _standardised(views: Views) -> Views:
    mean, std = views.mean(axis=(1, 2), keepdims=True), views.std(axis=(1, 2), keepdims=True)
    return np.asarray((views - mean) / np.maximum(std, 1e-6), dtype=np.float32)


def _levels(views: Tensor, tones: Tensor | None) -> Views:
    """Gray levels of the views, uint8 [N, 1, H, W], by their tone curves."""
    pixels = views[:, 0].numpy()
    if tones is None:
        return pixels.astype(np.float32)
    return np.stack([table[image] for table, image in zip(tones.numpy(), pixels, strict=True)])


if __name__ == "__main__":
    main()
