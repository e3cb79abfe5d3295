"""Fixtures of the training tests: one small dataset for all of them, and one thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from shards.terminal.logs import log_to_terminal
from tests.training.small_shards import write_small_dataset


@pytest.fixture(scope="session")
def tiny_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished dataset called `tiny`: 50 train samples of 25 patients, three valid ones."""
    root = tmp_path_factory.mktemp("shards") / "tiny"
    write_small_dataset(root)
    return root


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads wait for each other at every layer: twenty times as slow where the machine has other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def terminal_log() -> Iterator[None]:
    """Messages of the library on stdout and stderr, as a command shows them."""
    with log_to_terminal():
        yield
