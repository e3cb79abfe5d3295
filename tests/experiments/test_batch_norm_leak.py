"""experiments/batch_norm_leak.py runs as its docstring says, and sees what each way of BatchNorm does to a key."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from experiments.batch_norm_leak import WAYS, endless, fractions, main, new_trainer
from shards.format.dataset import open_dataset
from tests.training.small_shards import write_small_dataset
from training.backbones.networks import images_to_input
from training.moco.model import MoCo

BATCH, SIDE = 8, 32


@pytest.fixture(scope="module")
def tiny_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished dataset of 50 train samples."""
    return write_small_dataset(tmp_path_factory.mktemp("shards") / "tiny").root


def largest_change(moco: MoCo, images: torch.Tensor) -> float:
    """By how much the key of the first image changes when all others of its batch are replaced."""
    others = torch.cat([images[:1], images[1:].flip(1, 2, 3) + 1.0])
    return float((moco.keys(images)[0] - moco.keys(others)[0]).abs().max())


def test_the_script_prints_a_line_for_each_way(tiny_shards: Path) -> None:
    words = ["--steps=2", "--every=2", "--batch-size=8", "--image-size=32"]
    done = CliRunner().invoke(main, [str(tiny_shards), *words])
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.output.splitlines()] == list(WAYS)


@pytest.mark.parametrize("way", WAYS)
def test_only_with_ema_is_a_key_the_same_whatever_shares_its_batch(tiny_shards: Path, way: str) -> None:
    dataset = open_dataset(tiny_shards)
    trainer = new_trainer(dataset, way, BATCH, SIDE, 1)
    batches = endless(dataset, BATCH, SIDE, seed=0)
    for _ in range(3):
        trainer.step(next(batches))
    images = images_to_input(next(batches).key, dataset.mean, dataset.std)
    change = largest_change(trainer.moco, images)
    assert change < 1e-5 if way == "ema" else change > 1e-3
    own, other = fractions(trainer, dataset, BATCH, SIDE)
    if way == "ema":
        assert own == other
