"""The limit does what it is said to do: it decodes, and turns each image twice."""

import numpy as np
import numpy.typing as npt
import simplejpeg

from shards.loading.augmentation import ViewRange, view_matrices
from shards.loading.placement import ON_CPU
from shards.loading.speed_limit import limit_batches
from tests.shards.loading.reference_views import warp
from tests.shards.small_datasets import jpeg_of, smooth_image


def turn(degrees: float) -> npt.NDArray[np.float32]:
    """The draws of the centre, turned by so many of ten degrees."""
    return np.array([0.5, 0.5 + degrees / 20, 0.5, 0.5], dtype=np.float32)


def test_the_limit_decodes_and_turns_each_image_twice() -> None:
    jpegs = [jpeg_of(smooth_image(50, 61, seed=number)) for number in range(3)]
    batches = limit_batches(
        lambda: [np.frombuffer(jpeg, dtype=np.uint8) for jpeg in jpegs],
        image_shape=(50, 61),
        image_size=40,
        batch_size=3,
        placement=ON_CPU,
        shares=[1, 1],
    )
    next(batches)
    outputs = [output.as_array() for output in next(batches)]  # of the second graph
    assert len(outputs) == 2
    for degrees, views in zip((7.0, -4.0), outputs, strict=True):
        assert (views.shape, views.dtype) == ((3, 40, 40, 1), np.uint8)
        for jpeg, view in zip(jpegs, views, strict=True):
            image = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")[:, :, 0]
            (matrix,) = view_matrices(np.array([[50.0, 61.0]]), 40, turn(degrees)[None], ViewRange(10, flip=False))
            to_view = np.asarray(matrix[:2], dtype=np.float64)
            assert np.abs(view[:, :, 0] - warp(image, to_view, 40)).max() < 0.51
