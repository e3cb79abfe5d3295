"""The views of real radiographs against resize -> flip -> rotate -> crop by torchvision in float.

The radiographs are no part of the project: CXR_REAL_DATA names a folder with any number of JPEGs below it, or
../shared/data beside the checkout is taken.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg

from shards.format.dataset import Dataset, open_dataset
from shards.loading.augmentation import ViewRange
from shards.loading.loaders import TwoViewLoader
from tests.shards.loading.reference_views import plain_chain, right_view, steps_in_turn, toned
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


def as_dataset(radiographs: Sequence[bytes], folder: Path) -> Dataset:
    """A dataset of the radiographs as they are."""
    sizes = [simplejpeg.decode_jpeg_header(jpeg)[:2] for jpeg in radiographs]
    return open_dataset(
        write_small_dataset(
            folder / "real", shards={"train-000000": len(radiographs)}, sizes=sizes, jpegs=dict(enumerate(radiographs))
        )
    )


def differences(radiographs: Sequence[bytes], folder: Path, size: int) -> npt.NDArray[np.float64]:
    """|view - plain chain| in gray levels for both views of each radiograph, [2 * images, size, size]."""
    dataset = as_dataset(radiographs, folder)
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


TONE_AND_CROP = ViewRange(crop_area=(0.4, 1), gain=(0.8, 1.2), offset=(-25, 25), gamma=(0.6, 1.65))
EVERYTHING = replace(TONE_AND_CROP, scale=(1, 1.5), translate=0.1)


@pytest.mark.parametrize(
    "view_range", [TONE_AND_CROP, ViewRange(scale=(1, 2)), EVERYTHING], ids=["crop", "zoom", "all"]
)
@pytest.mark.parametrize(("size", "mean", "percentile"), [(320, 0.8, 5), (224, 1.5, 12), (96, 0.8, 4)])
def test_a_view_with_tone_curve_crop_and_zoom_is_close_to_the_right_one(
    radiographs: Sequence[bytes], tmp_path: Path, size: int, mean: float, percentile: float, view_range: ViewRange
) -> None:
    """Against a slow chain in float64: each stored pixel is spread over the view by its exact map, then the curve."""
    dataset = as_dataset(radiographs, tmp_path)
    loader = TwoViewLoader([dataset], image_size=size, batch_size=1, seed=0, views=view_range)
    found, details = [], []
    for one in seen_views(dataset, loader, 0, view_range):
        height, width = one.image.shape
        right = right_view(one.image, steps_in_turn(height, width, size, one.draws, view_range), size)
        expected = toned(right, one.draws, view_range)
        shown = one.view.astype(np.float64) if one.tones is None else one.tones[one.view].astype(np.float64)
        seen = np.isfinite(expected)
        found.append(np.abs(shown - expected)[seen])
        details.append([np.nanmean(np.abs(np.diff(np.where(seen, x, np.nan), axis=1))) for x in (shown, expected)])
    differences, (detail, right_detail) = np.concatenate(found), np.mean(details, axis=0)
    print(
        f"\n{size}: mean {differences.mean():.3f}, 99th percentile {np.percentile(differences, 99):.2f} gray levels, "
        f"{detail / right_detail:.3f} of the detail"
    )
    assert differences.mean() < mean
    assert np.percentile(differences, 99) < percentile
    assert detail / right_detail > 0.95
