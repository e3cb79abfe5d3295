"""Train lightly's MoCo on shards, from the same initial weights as `cxr-train pretrain --init random`.

The output is a folder that `--backbone-from` takes. What is finished is kept.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import torch
from torch.utils.data import DataLoader

from benchmarks.lightly_moco import (
    LightlyMoCo,
    LightlySettings,
    RgbViews,
    lightly_epoch,
    lightly_optimizer,
    lightly_transform,
)
from shards.format.dataset import Dataset
from shards.format.pixel_statistics import pooled_statistics
from training.backbones.description import BackboneDescription
from training.backbones.networks import backbone_weights, build_backbone
from training.provenance import Provenance
from training.runs.backbone_from import save_backbone
from training.runs.files import BACKBONE
from training.seen_patients import seen_by_training, write_seen

ARCHITECTURE = "resnet18"


class _Provenance(Provenance, total=False):
    """That of a run of this project, with the time and the settings of lightly's."""

    seconds: float
    settings: dict[str, float]


def pretrain_with_lightly(
    datasets: Sequence[Dataset],
    output: Path,
    *,
    settings: LightlySettings,
    seed: int,
    epochs: int,
    batch_size: int,
    image_size: int,
    threads: int,
) -> None:
    """Train for `epochs` epochs of whole batches and write backbone.safetensors and backbone.json into `output`.

    seed: of the backbone, as in `--init random --seed`, and of torch's random state: head, memory bank, order, views.
    """
    if (output / BACKBONE).is_file():
        click.echo(f"{output} is finished. Nothing is left to do.")
        return
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    mean, std = pooled_statistics(datasets)
    images = RgbViews(datasets, lightly_transform(image_size, mean / 255, std / 255))
    # No worker processes: both sides have `threads` threads in all.
    loader = DataLoader(images, batch_size=batch_size, shuffle=True, drop_last=True)
    model = LightlyMoCo(build_backbone(ARCHITECTURE, seed), settings)
    optimizer = lightly_optimizer(model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    began = time.monotonic()
    for epoch in range(1, epochs + 1):
        loss = lightly_epoch(model, optimizer, loader)
        schedule.step()
        rate = epoch * len(loader) * batch_size / (time.monotonic() - began)
        click.echo(f"lightly, epoch {epoch} of {epochs}: loss {loss:.3f}, images/s {rate:.0f}")
    output.mkdir(parents=True, exist_ok=True)
    write_seen(output, seen_by_training(datasets))
    description = BackboneDescription(
        architecture=ARCHITECTURE,
        image_size=image_size,
        mean=mean,
        std=std,
        provenance=_Provenance(
            method="lightly-moco",
            init="random",
            seed=seed,
            epochs=epochs,
            steps=epochs * len(loader),
            seconds=time.monotonic() - began,
            settings=asdict(settings),
            datasets=[dataset.citation for dataset in datasets],
        ),
    )
    save_backbone(output, backbone_weights(model.backbone, ARCHITECTURE), description)
