"""Weights of each kind that commands read, with the lists and records beside them, made by the real commands."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.robustness.commands import CPU, PRETRAINING, run_train
from tests.training.published_checkpoints import published
from training.backbones.networks import backbone_weights, build_backbone


@dataclass(frozen=True)
class Inputs:
    """What commands read. Do not change it: copy a part of it first."""

    shards: Path
    folder: Path


def make_weights(labelled_root: Path, probed: Path, folder: Path) -> Inputs:
    """Fill a folder: a run, exports of it, a model, files of torch, a published checkpoint."""
    run = run_train(
        "pretrain", "--shards", labelled_root, "--output", folder / "run", *PRETRAINING, "--epochs", 1, *CPU
    )
    assert run.exit_code == 0, run.output
    for name, words in {"export": ("--format", "torchvision", "--with-patients"), "hub": ("--format", "hub")}.items():
        assert run_train("export", folder / "run", folder / name, *words).exit_code == 0
    shutil.copytree(probed, folder / "model")
    weights = backbone_weights(build_backbone("resnet18", seed=3), "resnet18")
    for name, zipped in {"pth": True, "old": False}.items():
        (folder / name).mkdir()
        torch.save(weights, folder / name / "weights.pth", _use_new_zipfile_serialization=zipped)
    (folder / "published").mkdir()
    torch.save(published(optimizer="sgd")[0], folder / "published" / "checkpoint.pth.tar")
    return Inputs(labelled_root, folder)
