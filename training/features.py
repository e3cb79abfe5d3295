"""From a frozen backbone and rows of a dataset to their features, computed once and kept.

Knows nothing of labels. The cache is keyed by everything that a feature depends on, so it is never stale.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from shards.dataset import Dataset
from shards.graph import Device
from shards.loader import STATE_FORMAT, EvaluationLoader
from shards.subsets import select
from shards.terminal import progress
from training.devices import torch_device
from training.embeddings import Embeddings, Features, Ids, read_embeddings, write_embeddings
from training.errors import TrainingError
from training.networks import feature_dimension, images_to_input, on_device
from training.weights import Backbone

BATCH = 64


def default_cache() -> Path:
    """Folder of cached embeddings: $CXR_CACHE, else cxr in $XDG_CACHE_HOME, else ~/.cache/cxr."""
    own = os.environ.get("CXR_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cxr"


@torch.inference_mode()
def outputs(
    network: nn.Module,
    dataset: Dataset,
    rows: pd.DataFrame,
    *,
    image_size: int,
    mean: float,
    std: float,
    device: Device,
    threads: int,
    description: str | None = None,
) -> Iterator[tuple[Features, Ids]]:
    """What the network says of each row's fixed view, in the rows' order: batches of float32 [n, D] and ids [n].

    The network runs in eval mode and float32, whatever it was trained in. description: of a progress bar, if wanted.
    """
    loader = EvaluationLoader(
        dataset, rows, image_size=image_size, batch_size=BATCH, device=device, device_id=0, threads=threads
    )
    target = torch_device(device)
    network = on_device(network, target).eval()
    with progress(len(rows), description, "images") if description else contextlib.nullcontext() as bar:
        for batch in loader:
            result = network(images_to_input(batch.image, mean, std))
            if bar is not None:
                bar.advance(len(batch.sample_id))
            yield result.float().cpu().numpy(), batch.sample_id.numpy()


def embed(
    backbone: Backbone,
    dataset: Dataset,
    rows: pd.DataFrame,
    path: Path,
    *,
    device: Device,
    threads: int,
    keep_existing: bool = False,
) -> None:
    """Write the features of `rows` to a Zarr group at `path` (`training.embeddings.write_embeddings`)."""
    batches = outputs(
        backbone.network,
        dataset,
        rows,
        image_size=backbone.image_size,
        mean=backbone.mean,
        std=backbone.std,
        device=device,
        threads=threads,
        description=f"embedding {dataset.name}",
    )
    dimension = feature_dimension(backbone.architecture)
    attributes = embedding_attributes(backbone, dataset)
    write_embeddings(path, batches, len(rows), dimension, attributes, keep_existing=keep_existing)


def embedding_attributes(backbone: Backbone, dataset: Dataset) -> dict[str, Any]:
    """Everything that features depend on but the rows."""
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
        "views": STATE_FORMAT,
    }


def cached_features(
    backbone: Backbone, dataset: Dataset, split: str, *, cache: Path, device: Device, threads: int
) -> Embeddings:
    """Features of a whole split in the order of `select`, read from the cache or computed and put there.

    The device belongs to the key: a GPU's features are not a CPU's to the last bit. So do the samples: a dataset's
    digest does not know which of them are left out. Raises TrainingError for a cache that cannot be written.
    """
    rows = select(dataset, split)
    samples = hashlib.sha256(rows["sample_id"].to_numpy(np.int64).tobytes()).hexdigest()
    attributes = embedding_attributes(backbone, dataset)
    key = {**attributes, "split": split, "samples": samples, "device": device, "torch": torch.__version__}
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    path = cache / f"{dataset.name}-{split}-{name}.zarr"
    if not path.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(
                f"{cache} cannot be made for embeddings: {error.strerror}. Name another folder by --cache or CXR_CACHE."
            ) from error
        embed(backbone, dataset, rows, path, device=device, threads=threads, keep_existing=True)
    return read_embeddings(path)
