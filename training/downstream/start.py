"""What a probe and a fine-tuning begin with: dataset, backbone, labels, and the record of what was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from shards.format.dataset import Dataset, open_dataset
from training.backbones.backbone import Backbone
from training.labels import LabelPolicy, parse_labels
from training.runs.backbone_from import load_backbone


@dataclass(frozen=True)
class Start:
    """options: what model.json records; the same options over the same inputs make the same model."""

    dataset: Dataset
    backbone: Backbone
    labels: tuple[str, ...]
    policy: LabelPolicy
    options: Mapping[str, Any]


def begin(
    *,
    method: str,
    shards: Path,
    backbone_from: str,
    labels: str,
    label_fraction: float,
    draw: int,
    uncertain: Any,  # noqa: ANN401 - checked by the command line
    missing: Any,  # noqa: ANN401 - checked by the command line
    seed: int,
    architecture: str | None,
    image_size: int | None,
    allow_unfinished: bool,
    own_options: Mapping[str, Any],
) -> Start:
    """Open the dataset and the backbone. own_options: those of the method, recorded beside the shared ones.

    A backbone without a mean and standard deviation of its own (random, imagenet, a plain file) takes the dataset's.
    """
    dataset = open_dataset(shards)
    names = parse_labels(labels, dataset)
    backbone = load_backbone(
        backbone_from,
        architecture=architecture,
        image_size=image_size,
        seed=seed,
        mean=dataset.mean,
        std=dataset.std,
        allow_unfinished=allow_unfinished,
    )
    options = {
        "method": method,
        "dataset_digest": dataset.digest,
        "backbone_digest": backbone.digest,
        "initial": backbone.initial,
        "mean": backbone.mean,
        "std": backbone.std,
        "image_size": backbone.image_size,
        "labels": list(names),
        "label_fraction": label_fraction,
        "draw": draw,
        "uncertain": uncertain,
        "missing": missing,
        "seed": seed,
        **own_options,
    }
    return Start(dataset, backbone, names, LabelPolicy(uncertain, missing), options)


def print_results(results: Mapping[str, Mapping[str, Any]], output: Path) -> None:
    """The AUROC of each label and split as a small table."""
    click.echo(f"{'AUROC':24} {'valid':>8} {'test':>8}")
    for label, by_split in results.items():
        cells = [_cell(by_split[split]) for split in ("valid", "test")]
        click.echo(f"{label:24} {cells[0]:>8} {cells[1]:>8}")
    click.echo(f"wrote {output}")


def _cell(result: Mapping[str, Any] | None) -> str:
    if result is None:
        return "no split"
    return "undef." if result["auroc"] is None else f"{result['auroc']:.3f}"
