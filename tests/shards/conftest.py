"""One small dataset for all tests of this room that only read."""

from pathlib import Path

import pytest

from shards.format.dataset import Dataset, open_dataset
from tests.shards.small_datasets import write_small_dataset


@pytest.fixture(scope="session")
def dataset_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the small dataset. Do not change it: copy it first."""
    return write_small_dataset(tmp_path_factory.mktemp("shards") / "small")


@pytest.fixture
def dataset(dataset_root: Path) -> Dataset:
    """The small dataset, opened: 17 train samples in three shards, 4 valid, 2 test."""
    return open_dataset(dataset_root)
