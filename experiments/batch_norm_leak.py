"""Measure the leakage through BatchNorm in MoCo on one device, with `--batch-norm none`, `split` and `ema`.

    python -m experiments.batch_norm_leak SHARDS

Trains a ResNet-18 from random weights each way on the same batches, and measures every few steps what fraction of the
queries is nearest to its own key: once with keys that were normalised in their own batch, and once in batches of which
half the images are others. An encoder that recognises an image by its content gives the same fraction both times; one
that recognises it by the statistics of its batch does not.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import click
import torch
from torch import Tensor

from shards.format.dataset import Dataset, open_dataset
from shards.loading.loaders import TwoViewBatch, TwoViewLoader
from shards.loading.placement import Placement
from training.backbones.networks import build_backbone, images_to_input
from training.moco.health import of_logits
from training.moco.model import MoCo, MoCoSettings
from training.pretraining.options import PretrainOptions
from training.pretraining.refusals import batch_norm_groups
from training.pretraining.trainer import STATISTICS_BATCHES, Trainer

QUEUE_SIZE, MOMENTUM, RATE, PAIRS = 256, 0.99, 0.0075, 6
WAYS = ("none", "split", "ema")


@click.command(context_settings={"show_default": True})
@click.argument("shards", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--steps", default=400, help="Number of training steps.")
@click.option("--every", default=200, help="Number of steps between two measurements.")
@click.option("--batch-size", default=16, help="Number of images in a batch.")
@click.option("--image-size", default=64, help="Side of a view in pixels.")
@click.option("--threads", default=1, help="Number of CPU threads.")
@click.option("--way", "ways", type=click.Choice(WAYS), multiple=True, default=WAYS, help="Way of BatchNorm; repeat.")
def main(
    shards: Path, steps: int, every: int, batch_size: int, image_size: int, threads: int, ways: tuple[str, ...]
) -> None:
    """Print the two fractions for each way of BatchNorm while they train on the train split of SHARDS.

    Each way sees the same batches, whatever other ways train beside it.
    """
    torch.set_num_threads(threads)
    dataset = open_dataset(shards)
    trainers = {way: new_trainer(dataset, way, batch_size, image_size, threads) for way in ways}
    batches = endless(dataset, batch_size, image_size, seed=0)
    for step in range(1, steps + 1):
        batch = next(batches)
        for way, trainer in trainers.items():
            trainer.step(batch)
            if step % every == 0:
                own, other = (f"{fraction:.2f}" for fraction in fractions(trainer, dataset, batch_size, image_size))
                loss = sum(trainer.window.losses()[-50:]) / 50
                click.echo(f"{way:>5} step {step}: loss {loss:.2f}; in their own batch {own}, half with others {other}")


def new_trainer(dataset: Dataset, way: str, batch_size: int, image_size: int, threads: int) -> Trainer:
    """Make a trainer with SGD, since so short a run gets further with it than with the published Adam."""
    options = PretrainOptions(
        shards=(dataset.root,), output=Path("unused"), optimizer="sgd", lr=RATE, batch_size=batch_size,
        queue_size=QUEUE_SIZE, momentum=MOMENTUM, schedule="constant", batch_norm=way, device="cpu", threads=threads,
    )  # fmt: skip
    groups = batch_norm_groups(options, batch_size)
    moco = MoCo(
        build_backbone("resnet18", 0),
        "resnet18",
        MoCoSettings(
            queue_size=QUEUE_SIZE,
            momentum=MOMENTUM,
            temperature=options.temperature,
            bn_groups=groups,
            ema=way == "ema",
        ),
        seed=0,
    )
    trainer = Trainer(moco, options, mean=dataset.mean, std=dataset.std, steps_per_epoch=1)
    if way == "ema":
        trainer.set_statistics(itertools.islice(endless(dataset, batch_size, image_size, seed=0), STATISTICS_BATCHES))
    return trainer


def endless(dataset: Dataset, batch_size: int, image_size: int, seed: int) -> Iterator[TwoViewBatch]:
    """Yield batches of two views, epoch after epoch."""
    loader = TwoViewLoader(
        [dataset], image_size=image_size, batch_size=batch_size, seed=seed, placement=Placement(threads=1)
    )
    while True:
        yield from loader


@torch.no_grad()
def fractions(trainer: Trainer, dataset: Dataset, batch_size: int, image_size: int) -> tuple[float, float]:
    """Fraction of queries nearest to their key, for keys of their own batch and of batches of half other images."""
    statistics = {name: value.clone() for name, value in trainer.moco.state_dict().items()}
    batches, moco = endless(dataset, batch_size, image_size, seed=1), trainer.moco
    found: list[tuple[Tensor, Tensor]] = []
    for _ in range(PAIRS):
        both = [next(batches), next(batches)]
        queries = torch.cat([moco.queries(images_to_input(batch.query, dataset.mean, dataset.std)) for batch in both])
        images = torch.cat([images_to_input(batch.key, dataset.mean, dataset.std) for batch in both])
        sample_ids = torch.cat([batch.sample_id for batch in both])
        own = torch.cat([moco.keys(images[:batch_size]), moco.keys(images[batch_size:])])
        other = torch.empty_like(own)
        for half in (slice(0, None, 2), slice(1, None, 2)):  # every second image of either batch
            other[half] = moco.keys(images[half])
        own_fraction, other_fraction = (
            of_logits(moco.logits(queries, keys, sample_ids), moco.settings.temperature)["top1"]
            for keys in (own, other)
        )
        found.append((own_fraction, other_fraction))
    moco.load_state_dict(statistics)  # the measurement has moved BatchNorm's running statistics
    own_fraction, other_fraction = (torch.stack(part).mean() for part in zip(*found, strict=True))
    return float(own_fraction), float(other_fraction)


if __name__ == "__main__":
    main()
