"""Build the DALI graph: one JPEG decode, then one warp a view by the view's matrix. The same function for CPU and GPU.

A source gives encoded samples, their ids and the matrices of their views, once per batch; the outputs are uint8 views
and ids.
DALI neither shuffles nor draws: order, draws and matrices come with the source (`shards.loading.augmentation`). As
operators of DALI draws and matrices cost a microsecond each an image, a tenth of the whole; the source has them for a
batch at a time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from nvidia.dali import fn, types
from nvidia.dali.data_node import DataNode
from nvidia.dali.pipeline import Pipeline

from shards.loading.placement import Device, Placement

EncodedBatch = tuple[list[npt.NDArray[np.uint8]] | npt.NDArray[Any], ...]
"""JPEG bytes, one array a sample; id words, uint32 [N, 2]; where images are shrunk, their (height, width) then, float32
[N, 2], or for each view this and the window that is shrunk, (top, left) and (bottom, right), float32 [N, 2] each; one
array of matrices a view, float32 [N, 3, 3]."""

PREFETCH = 2
"""Batches that DALI works ahead."""

MAX_GRAPHS = 8
"""Each holds some 75 MB at 320 px in batches of 64."""


def threads_of_graphs(device: Device, threads: int) -> list[int]:
    """Divide the threads among the graphs that share a loader's batches: on a GPU there is one graph.

    On a CPU one a thread, up to MAX_GRAPHS. The threads of one graph wait for each other after every operator, and for
    what it does on one thread; graphs do not (`python -m benchmarks.loader` has the limit both ways).
    """
    graphs = min(threads, MAX_GRAPHS) if device == "cpu" else 1
    return [threads // graphs + (number < threads % graphs) for number in range(graphs)]


def build_pipeline(
    source: Callable[[], EncodedBatch],
    *,
    views: int,
    image_size: int,
    batch_size: int,
    resizes: int,
    windows: bool,
    placement: Placement,
) -> Pipeline:
    """Build a pipeline whose outputs are one uint8 batch [N, image_size, image_size, 1] a view, then ids [N, 1].

    source: called once a batch, in order, PREFETCH batches ahead; StopIteration ends the data.
    batch_size: the largest batch. resizes: number of antialiased resizes before the warps, for which the source gives
    sizes: 0, 1 for all views, or one a view. windows: whether the source gives a window with each size.
    """
    pipeline = Pipeline(
        batch_size=batch_size,
        num_threads=placement.threads,
        device_id=placement.gpu,
        prefetch_queue_depth=PREFETCH,
    )
    if resizes not in (0, 1, views):
        raise ValueError(f"{resizes} resizes for {views} views")
    each = 3 if windows else 1
    sizes = resizes * each
    with pipeline:
        jpeg, words, *rest = fn.external_source(
            source=source,
            num_outputs=2 + sizes + views,
            batch=True,
            dtype=[types.UINT8, types.UINT32] + [types.FLOAT] * (sizes + views),
            ndim=[1, 1] + [1] * sizes + [2] * views,
        )
        image = fn.decoders.image(jpeg, output_type=types.GRAY, device="mixed" if placement.device == "gpu" else "cpu")
        # Sizes and matrices stay on the CPU whatever the device: they are a few numbers an image.
        images = [_resized(image, rest[first : first + each]) for first in range(0, sizes, each)] or [image]
        warped = [_warped(images[view % len(images)], matrix, image_size) for view, matrix in enumerate(rest[sizes:])]
        pipeline.set_outputs(*warped, fn.reinterpret(words, dtype=types.INT64))
    pipeline.build()
    return pipeline


def _warped(image: DataNode, matrix: DataNode, size: int) -> DataNode:
    """Warp to a view of size x size. The matrix maps the image to the view; 'corner' is the default pixel origin."""
    return fn.experimental.warp_perspective(image, matrix=matrix, size=(size, size), inverse_map=False, fill_value=0)


def _resized(image: DataNode, how: Sequence[DataNode]) -> DataNode:
    """Resize with antialiasing. how: the size, or the size, start and end of a window of the image."""
    arguments = dict(zip(("size", "roi_start", "roi_end"), how, strict=False))
    return fn.resize(image, interp_type=types.INTERP_LINEAR, antialias=True, **arguments)
