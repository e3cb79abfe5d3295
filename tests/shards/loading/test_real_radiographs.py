"""The views of real radiographs against resize -> flip -> rotate -> crop by torchvision in float.

The radiographs are no part of the project: CXR_REAL_DATA names a folder with any number of JPEGs below it, or
../shared/data beside the checkout is taken.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg

from shards.format.dataset import open_dataset
from shards.loading.augmentation import ViewRange
from shards.loading.loaders import TwoViewLoader
from tests.shards.loading.reference_views import plain_chain
from tests.shards.loading.seen import seen_views
from tests.shards.small_datasets import write_small_dataset

pytestmark = pytest.mark.real_data

IMAGES = int(os.environ.get("CXR_REAL_IMAGES", "12"))


@pytest.fixture(scope="module")
def radiographs() -> Sequence[bytes]:
    """JPEGs of real radiographs, evenly taken from all there are."""
    beside = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("CXR_REAL_DATA", beside))
    found = sorted(folder.rglob("*.jpg"))
    if not found:
        pytest.skip(f"no real radiographs: no *.jpg below {folder} (set CXR_REAL_DATA to a folder of them)")
    return [found[number * len(found) // IMAGES].read_bytes() for number in range(min(IMAGES, len(found)))]


def differences(radiographs: Sequence[bytes], folder: Path, size: int) -> npt.NDArray[np.float64]:
    """|view - plain chain| in gray levels for both views of each radiograph, [2 * images, size, size]."""
    sizes = [simplejpeg.decode_jpeg_header(jpeg)[:2] for jpeg in radiographs]
    root = write_small_dataset(
        folder / "real", shards={"train-000000": len(radiographs)}, sizes=sizes, jpegs=dict(enumerate(radiographs))
    )
    dataset = open_dataset(root)
    loader = TwoViewLoader([dataset], image_size=size, batch_size=1, seed=0)
    return np.stack(
        [
            np.abs(one.view - plain_chain(one.image, size, one.draws, ViewRange()))
            for one in seen_views(dataset, loader, 0, ViewRange())
        ]
    )


@pytest.mark.parametrize(
    ("size", "mean", "percentile"),
    [
        # Measured on 100 NIH images (short side 320) and 100 of Kermany's (224), both views of each; mean difference
        # and its 99th percentile in gray levels, of which rounding to uint8 makes 0.25 and 0.5:
        (320, 0.7, 4.5),  # NIH 0.21 and 0.5 (nothing to resize), Kermany 0.42 and 3.0 (enlarged: interpolated twice)
        (224, 1.3, 11),  # NIH 0.85 and 7.6 (shrunk by 0.70 without antialiasing), Kermany 0.22 and 0.5
        (96, 0.5, 2.5),  # NIH 0.30 and 1.3, Kermany 0.28 and 0.8 (both antialiased first)
    ],
)
def test_a_view_of_a_radiograph_is_close_to_the_plain_chain(
    radiographs: Sequence[bytes], tmp_path: Path, size: int, mean: float, percentile: float
) -> None:
    found = differences(radiographs, tmp_path, size)
    print(f"\n{size}: mean {found.mean():.3f}, 99th percentile {np.percentile(found, 99):.2f} gray levels")
    assert found.mean() < mean
    assert np.percentile(found, 99) < percentile
