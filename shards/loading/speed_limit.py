"""Run the least that DALI could do for two views: one decode and two warps with constant rotations, nothing else.

The loader is measured against it: no order, no draws, no checksums, no ids. It is not used for training.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline

from shards.loading.dali_graph import PREFETCH
from shards.loading.placement import Placement

_DEGREES = (7.0, -4.0)  # distinct, and not the identity, which would be cheaper


def limit_batches(
    source: Callable[[], list[npt.NDArray[np.uint8]]],
    *,
    image_shape: tuple[float, float],
    image_size: int,
    batch_size: int,
    placement: Placement,
    shares: Sequence[int],
) -> Iterator[Any]:
    """Batches without end: DALI's two outputs, uint8 [N, image_size, image_size, 1].

    source: batches of JPEG bytes. image_shape: (height, width) of a typical image: the matrices are the same for all.
    shares: the threads of each graph; the graphs take the batches in turn.
    """
    pipelines = []
    for threads in shares:
        pipeline = Pipeline(
            batch_size=batch_size,
            num_threads=threads,
            device_id=placement.gpu,
            prefetch_queue_depth=PREFETCH,
        )
        with pipeline:
            jpeg = fn.external_source(source=source, batch=True, dtype=types.UINT8, ndim=1)
            image = fn.decoders.image(
                jpeg, output_type=types.GRAY, device="mixed" if placement.device == "gpu" else "cpu"
            )
            matrices = [turned(degrees, *image_shape, image_size) for degrees in _DEGREES]
            pipeline.set_outputs(
                *(
                    fn.experimental.warp_perspective(image, matrix=matrix, size=(image_size, image_size), fill_value=0)
                    for matrix in matrices
                )
            )
        pipeline.build()
        pipelines.append(pipeline)
    for pipeline in cycle(pipelines):
        yield pipeline.run()


def turned(degrees: float, height: float, width: float, size: int) -> npt.NDArray[np.float32]:
    """Compute the map from the coordinates of a view to those of an image, float32 [3, 3].

    The image's short side is scaled to the view's, its centre comes to the middle, and it is turned about that.
    """
    zoom = min(height, width) / size
    cos, sin = zoom * np.cos(np.deg2rad(degrees)), zoom * np.sin(np.deg2rad(degrees))
    linear = np.array([[cos, sin], [-sin, cos]])
    offset = np.array([width / 2, height / 2]) - linear @ [size / 2, size / 2]
    return np.vstack([np.column_stack([linear, offset]), [0, 0, 1]]).astype(np.float32)
