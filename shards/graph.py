"""The DALI graph: one JPEG decode, then one matrix and one warp a view. The same function for CPU and GPU.

Encoded samples and their ids flow in from a source; uint8 views and ids flow out. DALI neither shuffles nor draws:
order comes with the source, and a view is a pure function of the sample's id and the epoch's streams.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from nvidia.dali import fn, math, types
from nvidia.dali.data_node import DataNode
from nvidia.dali.pipeline import Pipeline

from shards.views import ANTIALIAS_BELOW, DRAWS, ViewRange

Device = Literal["cpu", "gpu"]
EncodedBatch = tuple[list[npt.NDArray[np.uint8]], npt.NDArray[np.uint32], *tuple[npt.NDArray[np.uint32], ...]]
"""JPEG bytes, one array a sample; id words, uint32 [N, 2]; for random views also streams, uint32 [N, D]."""

PREFETCH = 2
"""Batches that DALI works ahead."""


def build_pipeline(
    source: Callable[[], EncodedBatch],
    *,
    view_ranges: tuple[ViewRange | None, ...],
    image_size: int,
    batch_size: int,
    shrink: bool,
    device: Device,
    device_id: int | None,
    threads: int,
) -> Pipeline:
    """A built pipeline whose outputs are one uint8 batch [N, image_size, image_size, 1] a view, then ids [N, 1].

    source: called once a batch, in order, PREFETCH batches ahead; StopIteration ends the data.
    view_ranges: one a view; None for the fixed view of evaluation (no flip, no rotation, the centre).
    batch_size: the largest batch. shrink: whether any image needs the antialiased resize first.
    """
    pipeline = Pipeline(
        batch_size=batch_size,
        num_threads=threads,
        device_id=device_id if device == "gpu" else None,
        prefetch_queue_depth=PREFETCH,
    )
    inputs = [types.UINT8, types.UINT32] + [types.UINT32] * bool(draw_numbers(view_ranges))
    with pipeline:
        jpeg, words, *stream = fn.external_source(
            source=source, num_outputs=len(inputs), batch=True, dtype=inputs, ndim=[1] * len(inputs)
        )
        image = fn.decoders.image(jpeg, output_type=types.GRAY, device="mixed" if device == "gpu" else "cpu")
        # Size, draws and matrices stay on the CPU whatever the device: they are a few numbers an image.
        shape = fn.cast(fn.peek_image_shape(jpeg), dtype=types.FLOAT)
        height, width = shape[0], shape[1]
        if shrink:
            height, width = _shrunk_size(height, width, image_size)
            image = fn.resize(image, resize_y=height, resize_x=width, interp_type=types.INTERP_LINEAR, antialias=True)
        draws: Any = _uniform(words, *stream) if stream else None
        views, used = [], 0
        for view_range in view_ranges:
            if view_range is None:
                matrix = _fixed_matrix(height, width, image_size)
            else:
                own = draws[used : used + view_range.draws]
                used += view_range.draws
                matrix = _view_matrix(height, width, image_size, own, view_range)
            # inverse_map=False: the matrix maps the image to the view. 'corner' is the default pixel origin.
            views.append(
                fn.experimental.warp_perspective(
                    image, matrix=matrix, size=(image_size, image_size), inverse_map=False, fill_value=0
                )
            )
        pipeline.set_outputs(*views, fn.reinterpret(words, dtype=types.INT64))
    pipeline.build()
    return pipeline


def draw_numbers(view_ranges: tuple[ViewRange | None, ...]) -> list[int]:
    """Which draws a sample needs, for `draws.streams`: those of each view in turn, none for a fixed one."""
    needed = [0 if view_range is None else view_range.draws for view_range in view_ranges]
    return [DRAWS * view + number for view, count in enumerate(needed) for number in range(count)]


def _uniform(words: DataNode, stream: DataNode) -> DataNode:
    """`draws.uniform` in the graph. DALI has no shift: a division by a power of two is one."""

    def constant(value: int) -> Any:  # noqa: ANN401 - DALI's constants have no type of their own
        return types.Constant(np.array([value], dtype=np.uint32), dtype=types.UINT32)

    def mix32(x: DataNode) -> DataNode:
        x = (x ^ (x // constant(1 << 16))) * constant(0x85EBCA6B)
        x = (x ^ (x // constant(1 << 13))) * constant(0xC2B2AE35)
        return x ^ (x // constant(1 << 16))

    mixed = mix32(mix32(stream ^ words[0:1]) + words[1:2])
    return fn.cast(mixed // constant(1 << 8), dtype=types.FLOAT) * np.float32(2.0**-24)


def _shrunk_size(height: DataNode, width: DataNode, size: int) -> tuple[DataNode, DataNode]:
    """`views.shrunk_size` in the graph."""
    scale = size / fn.reductions.min(fn.stack(height, width))
    needed = fn.cast(scale < ANTIALIAS_BELOW, dtype=types.FLOAT)
    factor = needed * scale + (1.0 - needed)
    return math.floor(height * factor + 0.5), math.floor(width * factor + 0.5)


def _view_matrix(height: DataNode, width: DataNode, size: int, draws: DataNode, view_range: ViewRange) -> DataNode:
    """`views.view_matrix` in the graph: float32 [3, 3]."""
    scale = size / fn.reductions.min(fn.stack(height, width))
    across = size / 2 + (0.5 - draws[2]) * (width * scale - size)
    down = size / 2 + (0.5 - draws[3]) * (height * scale - size)
    if view_range.draws == DRAWS:
        low, high = view_range.scale
        scale = scale * (low + draws[4] * (high - low))
        across = across + (draws[5] * 2 - 1) * (view_range.translate * size)
        down = down + (draws[6] * 2 - 1) * (view_range.translate * size)
    mirror = fn.cast(draws[0] >= 0.5, dtype=types.FLOAT) * 2 - 1 if view_range.flip else 1.0
    matrix = fn.transforms.translation(offset=fn.stack(-width / 2, -height / 2))
    matrix = fn.transforms.scale(matrix, scale=fn.stack(mirror * scale, scale))
    matrix = fn.transforms.rotation(matrix, angle=(draws[1] * 2 - 1) * view_range.degrees)
    return _perspective(fn.transforms.translation(matrix, offset=fn.stack(across, down)))


def _fixed_matrix(height: DataNode, width: DataNode, size: int) -> DataNode:
    """The view of evaluation, scaled and cut out at the centre: float32 [3, 3]."""
    scale = size / fn.reductions.min(fn.stack(height, width))
    matrix = fn.transforms.translation(offset=fn.stack(-width / 2, -height / 2))
    matrix = fn.transforms.scale(matrix, scale=fn.stack(scale, scale))
    return _perspective(fn.transforms.translation(matrix, offset=[size / 2, size / 2]))


def _perspective(affine: DataNode) -> DataNode:
    """An affine [2, 3] matrix with the last row of a perspective one."""
    return fn.cat(affine, types.Constant(np.array([[0, 0, 1]], dtype=np.float32)), axis=0)
