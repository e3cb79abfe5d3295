"""Compute the outputs of a frozen network for rows of a dataset, batch by batch."""

import contextlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from shards.format.dataset import Dataset
from shards.loading.loaders import EvaluationLoader
from shards.loading.placement import Device, Placement
from shards.terminal.progress import progress
from training.backbones.networks import Preprocessing, images_to_input, on_device
from training.processes.devices import torch_device

BATCH = 64

Features = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


@torch.inference_mode()
def outputs(
    network: nn.Module,
    dataset: Dataset,
    rows: pd.DataFrame,
    preprocessing: Preprocessing,
    *,
    device: Device,
    threads: int,
    description: str | None = None,
) -> Iterator[tuple[Features, Ids]]:
    """Run the network over each row's fixed view, in the rows' order: batches of float32 [n, D] and ids [n].

    The network runs in eval mode and float32, also if it was trained in another precision. description: of a progress
    bar, which is shown if there is one.
    """
    loader = EvaluationLoader(
        dataset, rows, image_size=preprocessing.image_size, batch_size=BATCH, placement=Placement(device, 0, threads)
    )
    target = torch_device(device)
    network = on_device(network, target).eval()
    with progress(len(rows), description, "images") if description else contextlib.nullcontext() as bar:
        for batch in loader:
            result = network(images_to_input(batch.image, preprocessing.mean, preprocessing.std))
            if bar is not None:
                bar.advance(len(batch.sample_id))
            yield result.float().cpu().numpy(), batch.sample_id.numpy()
