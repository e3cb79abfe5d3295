"""Fixtures of the tests of pretraining: options of a small run, and one that is finished."""

from pathlib import Path

import pytest

from tests.training.pretraining.small_run import options_of
from training.pretraining.command import Outcome, pretrain
from training.pretraining.options import PretrainOptions


@pytest.fixture
def options(tiny_shards: Path, tmp_path: Path) -> PretrainOptions:
    """Options of a new run."""
    return options_of(tiny_shards, tmp_path / "run")


@pytest.fixture(scope="module")
def finished(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> PretrainOptions:
    """Options of a run that was never stopped, to look at only."""
    options = options_of(tiny_shards, tmp_path_factory.mktemp("finished") / "run")
    assert pretrain(options) is Outcome.FINISHED
    return options
