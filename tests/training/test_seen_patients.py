from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.format.pixel_statistics import pool, pooled_statistics
from tests.training.small_shards import write_small_dataset
from training.seen_patients import seen_by_training


@given(counts=st.lists(st.integers(1, 6), min_size=1, max_size=4), seed=st.integers(0, 2**31))
def test_pooled_statistics_are_those_of_the_images_put_together(counts: list[int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    sets = [generator.normal(generator.uniform(50, 200), 20, (count, 30)) for count in counts]
    together = np.concatenate(sets)
    mean, std = pool((len(images), float(images.mean()), float(images.std())) for images in sets)
    assert mean == pytest.approx(together.mean())
    assert std == pytest.approx(together.std())


def test_a_small_bright_set_moves_the_mean_by_its_share_of_samples(tmp_path: Path) -> None:
    dark = write_small_dataset(tmp_path / "dark", name="dark", train=30, brightness=60)
    bright = write_small_dataset(tmp_path / "bright", name="bright", train=10, brightness=140)
    mean, std = pooled_statistics([dark, bright])
    assert mean == pytest.approx(0.75 * dark.mean + 0.25 * bright.mean)
    assert std > max(dark.std, bright.std)


def test_patients_are_those_of_the_train_split_of_each_set(tmp_path: Path) -> None:
    sets = [write_small_dataset(tmp_path / name, name=name, train=9) for name in ("one", "two")]
    patients = seen_by_training(sets).patients
    expected = [(name, f"patient{number:05d}") for name in ("one", "two") for number in range(5)]
    assert sorted(patients.itertuples(index=False, name=None)) == expected
