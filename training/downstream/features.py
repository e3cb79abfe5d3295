"""Compute the features of a dataset's rows with a frozen backbone, and keep those of a split in a cache.

The cache is keyed by everything that a feature depends on, so it is never stale.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch

from shards.format.dataset import Dataset
from shards.format.subsets import select
from shards.loading.augmentation import EVALUATION_VIEW
from shards.loading.placement import Device, Placement
from shards.terminal.progress import size_in_units
from training.backbones.backbone import Backbone
from training.backbones.inference import outputs
from training.backbones.networks import feature_dimension
from training.claims import waited_for
from training.downstream.embedding_cache import entry_name, folder_size
from training.downstream.embeddings import Embeddings, read_embeddings, write_embeddings
from training.errors import TrainingError

_log = logging.getLogger(__name__)


def embed(
    backbone: Backbone,
    dataset: Dataset,
    rows: pd.DataFrame,
    path: Path,
    where: Placement,
    *,
    keep_existing: bool = False,
    remarks: Mapping[str, Any] | None = None,
) -> None:
    """Write the features of `rows` to a Zarr group at `path` (`training.downstream.embeddings.write_embeddings`).

    remarks: further attributes of the group.
    """
    batches = outputs(
        backbone.network,
        dataset,
        rows,
        backbone.preprocessing,
        device=where.device,
        threads=where.threads,
        description=f"embedding {dataset.name}",
    )
    dimension = feature_dimension(backbone.architecture)
    attributes = {**embedding_attributes(backbone, dataset), **(remarks or {})}
    write_embeddings(path, batches, len(rows), dimension, attributes, keep_existing=keep_existing)


def embedding_attributes(backbone: Backbone, dataset: Dataset) -> dict[str, Any]:
    """Describe what features depend on, apart from the rows: backbone, dataset and the version of the views."""
    return {
        "backbone": {
            "digest": backbone.digest,
            "architecture": backbone.architecture,
            "image_size": backbone.image_size,
            "mean": backbone.mean,
            "std": backbone.std,
            "initial": backbone.initial,
            "provenance": dict(backbone.provenance),
        },
        "dataset": dataset.citation,
        **({} if dataset.row_filter is None else {"row_filter": dataset.row_filter}),
        "views": EVALUATION_VIEW,
    }


class FeatureSource(Protocol):
    """Gives the features of a whole split, as `cached_features` does."""

    def __call__(
        self, backbone: Backbone, dataset: Dataset, split: str, *, cache: Path, device: Device, threads: int
    ) -> Embeddings:
        """Features in the order of `select(dataset, split)`."""


def cached_features(
    backbone: Backbone, dataset: Dataset, split: str, *, cache: Path, device: Device, threads: int
) -> Embeddings:
    """Read the features of a whole split from the cache, or compute and keep them; in the order of `select`.

    The device belongs to the key: a GPU's features differ from a CPU's in the last bits. So do the samples: a dataset's
    digest does not say which of them are left out. Raises TrainingError for a cache that cannot be written.
    """
    rows = select(dataset, split)
    path = cache_path(backbone, dataset, split, cache=cache, device=device)
    if not path.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(
                f"{cache} cannot be made for embeddings: {error.strerror}. Name another folder by --cache or CXR_CACHE."
            ) from error
        with waited_for(path, f"embeddings of {dataset.name} {split}"):
            if path.is_dir():
                return read_embeddings(path)
            embed(backbone, dataset, rows, path, Placement(device, 0, threads), keep_existing=True)
        _log.info("embeddings of %s %s kept in %s: %s", dataset.name, split, cache, size_in_units(folder_size(path)))
    return read_embeddings(path)


def cache_path(backbone: Backbone, dataset: Dataset, split: str, *, cache: Path, device: Device) -> Path:
    """Where the cache keeps the features of a split, whether they are there or not."""
    rows = select(dataset, split)
    samples = hashlib.sha256(rows["sample_id"].to_numpy(np.int64).tobytes()).hexdigest()
    attributes = embedding_attributes(backbone, dataset)
    key = {**attributes, "split": split, "samples": samples, "device": device, "torch": torch.__version__}
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return cache / entry_name(dataset.name, split, name)
