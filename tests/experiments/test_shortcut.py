"""Measure how well gray levels alone find the other view of an image."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from experiments.shortcut import Views, shortcut, top1, two_views
from shards.format.dataset import open_dataset
from shards.loading.augmentation import ViewRange
from tests.shards.small_datasets import write_small_dataset


@pytest.fixture(scope="module")
def images() -> Views:
    """Thirty images of noise with a distribution of gray levels of their own each, 24 x 24, well inside 0..255."""
    rng = np.random.default_rng(0)
    shape = rng.uniform(0.5, 3, (30, 1, 1))
    return (60 + 120 * rng.uniform(0, 1, (30, 24, 24)) ** shape).astype(np.float32)


def shuffled(images: Views, seed: int) -> Views:
    """The same gray levels at other places."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permuted(image.ravel()).reshape(image.shape) for image in images])


def test_a_histogram_finds_the_same_gray_levels_wherever_they_are(images: Views) -> None:
    found = shortcut(images, shuffled(images, 1))
    assert (found.raw, found.standardised) == (1.0, 1.0)


def test_standardising_undoes_gain_and_offset_and_nothing_else(images: Views) -> None:
    rng = np.random.default_rng(2)
    gain, offset = rng.uniform(0.6, 1.4, (30, 1, 1)), rng.uniform(-40, 40, (30, 1, 1))
    linear = (gain * (images - 127.5) + 127.5 + offset).astype(np.float32)
    found = shortcut(images, linear)
    assert found.raw < 0.5
    assert found.standardised > 0.95
    gamma = (255 * (np.clip(images, 0, 255) / 255) ** rng.uniform(0.4, 2.5, (30, 1, 1))).astype(np.float32)
    assert shortcut(images, gamma).standardised < 0.7


def test_the_middle_is_the_middle_half(images: Views) -> None:
    other = shuffled(images, 3)[::-1].copy()
    other[:, 6:18, 6:18] = images[:, 6:18, 6:18]
    found = shortcut(images, other)
    assert (found.raw_middle, found.standardised_middle) == (1.0, 1.0)
    assert found.raw < 1


def test_top1_counts_rows_that_are_nearest_to_their_own() -> None:
    query: npt.NDArray[np.float64] = np.array([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]])
    assert top1(query, query) == 1
    assert top1(query, query[[1, 0, 2]]) == pytest.approx(1 / 3)


def test_views_are_those_of_the_loader_with_their_tone_curves(tmp_path: Path) -> None:
    dataset = open_dataset(write_small_dataset(tmp_path / "x"))
    plain, _ = two_views([dataset], ViewRange(), 32, images=12, threads=1)
    dark, _ = two_views([dataset], ViewRange(offset=(-255, -255)), 32, images=12, threads=1)
    assert plain.shape == dark.shape == (12, 32, 32)
    assert plain.max() > 100
    assert not dark.any()
