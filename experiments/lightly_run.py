"""Train lightly's MoCo on shards, from the same initial weights as `cxr-train pretrain`.

The output is a folder that `--backbone-from` takes. What is finished is kept, and a run that was stopped resumes after
its last whole epoch:

    python -m experiments.lightly_run --shards data/siim --output runs/lightly --backbone mobilenet_v2 --init FILE
"""

import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.lightly_moco import (
    LightlyMoCo,
    LightlySettings,
    RgbViews,
    lightly_epoch,
    lightly_optimizer,
    lightly_transform,
)
from shards.durable import write_atomically
from shards.format.dataset import Dataset, open_datasets
from shards.format.pixel_statistics import pooled_statistics
from training.backbones.architectures import ARCHITECTURES
from training.backbones.backbone import init_name, initial_backbone
from training.backbones.description import BackboneDescription
from training.backbones.networks import backbone_weights, feature_dimension
from training.provenance import Provenance
from training.runs.backbone_from import save_backbone
from training.runs.files import BACKBONE
from training.seen_patients import seen_by_training, write_seen

STATE = "lightly.pt"
"""In the output while it is trained: everything that the next epoch begins with."""


class _Provenance(Provenance, total=False):
    """That of a run of this project, with the time and the settings of lightly's."""

    seconds: float
    settings: dict[str, float]


@dataclass(frozen=True)
class LightlyRun:
    """What to train. backbone: architecture. init: random, imagenet or a file of weights.

    seed: of the backbone, as in `--init random --seed`, and of the random state: head, memory bank, order, views.
    workers: processes that make the views; 0: this one, so that this side has `threads` threads in all, like ours.
    device: torch's name. On a GPU a resumed run has another shuffling of the keys than an undisturbed one.
    """

    settings: LightlySettings
    seed: int
    epochs: int
    batch_size: int
    image_size: int
    backbone: str = "resnet18"
    init: str = "random"
    threads: int = 1
    workers: int = 0
    device: str = "cpu"


def pretrain_with_lightly(datasets: Sequence[Dataset], output: Path, run: LightlyRun) -> None:
    """Train for the run's epochs of whole batches and write backbone.safetensors and backbone.json into `output`."""
    if (output / BACKBONE).is_file():
        click.echo(f"{output} is finished. Nothing is left to do.")
        return
    output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    random.seed(run.seed)
    training = _Training(datasets, output, run)
    training.resume()
    while training.epoch < run.epochs:
        loss, rate = training.train_epoch()
        click.echo(f"lightly, epoch {training.epoch} of {run.epochs}: loss {loss:.3f}, images/s {rate:.0f}")
    write_seen(output, seen_by_training(datasets))
    backbone = training.model.backbone.cpu()
    save_backbone(output, backbone_weights(backbone, run.backbone), training.description(datasets))
    (output / STATE).unlink(missing_ok=True)


class _Training:
    """State: model, optimizer and schedule; epochs done; seconds that they took."""

    def __init__(self, datasets: Sequence[Dataset], output: Path, run: LightlyRun) -> None:
        self.run, self.path = run, output / STATE
        self.mean, self.std = pooled_statistics(datasets)
        images = RgbViews(datasets, lightly_transform(run.image_size, self.mean / 255, self.std / 255))
        self.loader: DataLoader[list[Tensor]] = DataLoader(
            images, batch_size=run.batch_size, shuffle=True, drop_last=True, num_workers=run.workers
        )
        backbone = initial_backbone(run.init, run.backbone, run.seed)
        self.model = LightlyMoCo(backbone, run.settings, feature_dimension(run.backbone)).to(run.device)
        self.optimizer = lightly_optimizer(self.model)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, run.epochs)
        self.epoch, self.seconds = 0, 0.0

    def train_epoch(self) -> tuple[float, float]:
        """Train for an epoch, and write what the next begins with. Returns mean loss and images a second."""
        began = time.monotonic()
        device = self.run.device
        batches = ((query.to(device), key.to(device)) for query, key in self.loader)
        loss = lightly_epoch(self.model, self.optimizer, batches)
        self.schedule.step()
        self.epoch += 1
        seconds = time.monotonic() - began
        self.seconds += seconds
        with write_atomically(self.path) as file:
            torch.save(self._state(), file)
        return loss, len(self.loader) * self.run.batch_size / seconds

    def resume(self) -> None:
        """Take up the state of the last whole epoch, if there is one."""
        if not self.path.is_file():
            return
        state = torch.load(self.path, map_location=self.run.device, weights_only=True)
        if state["run"] != _plain(self.run):
            raise click.ClickException(f"{self.path} is of a run with other options: {state['run']}.")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        bank = self.model.criterion.memory_bank
        bank.bank, bank.bank_ptr = state["bank"], state["bank_ptr"]  # lightly keeps them out of the model's state
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        torch.set_rng_state(state["torch"].cpu())
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))
        click.echo(f"lightly resumes after epoch {self.epoch}")

    def description(self, datasets: Sequence[Dataset]) -> BackboneDescription:
        """Describe the backbone as backbone.json does."""
        run = self.run
        return BackboneDescription(
            architecture=run.backbone,
            image_size=run.image_size,
            mean=self.mean,
            std=self.std,
            provenance=_Provenance(
                method="lightly-moco",
                init=init_name(run.init),
                seed=run.seed,
                epochs=run.epochs,
                steps=run.epochs * len(self.loader),
                seconds=self.seconds,
                settings=asdict(run.settings),
                datasets=[dataset.citation for dataset in datasets],
            ),
        )

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}

    def _state(self) -> dict[str, Any]:
        version, numbers, gauss = random.getstate()
        return {
            "run": _plain(self.run),
            **{name: part.state_dict() for name, part in self._parts().items()},
            "bank": self.model.criterion.memory_bank.bank,
            "bank_ptr": self.model.criterion.memory_bank.bank_ptr,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "torch": torch.get_rng_state(),
            "python": [version, list(numbers), gauss],
        }


def _plain(run: LightlyRun) -> dict[str, Any]:
    return {**asdict(run), "init": init_name(run.init)}


@click.command()
@click.option("--shards", multiple=True, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path))
@click.option("--backbone", type=click.Choice(ARCHITECTURES), default="resnet18", show_default=True)
@click.option("--init", default="random", show_default=True, help="random, imagenet or a file of weights.")
@click.option("--seed", default=0, show_default=True)
@click.option("--epochs", default=10, show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--image-size", default=80, show_default=True)
@click.option("--lr", default=LightlySettings.lr, show_default=True, help="Learning rate of SGD.")
@click.option("--temperature", default=LightlySettings.temperature, show_default=True)
@click.option("--memory-bank", default=LightlySettings.memory_bank, show_default=True, help="Number of keys.")
@click.option("--momentum", default=LightlySettings.momentum, show_default=True, help="Of the key encoder.")
@click.option("--threads", default=1, show_default=True)
@click.option("--workers", default=0, show_default=True, help="Number of processes that make the views.")
@click.option("--device", default="cpu", show_default=True, help="torch's name of it: cpu, cuda.")
def main(shards: tuple[Path, ...], output: Path, **options: Any) -> None:  # noqa: ANN401 - as click gives them
    """Pretrain with lightly's MoCo; the same command resumes a run that was stopped."""
    settings = LightlySettings(**{name: options.pop(name) for name in ("lr", "temperature", "memory_bank", "momentum")})
    pretrain_with_lightly(open_datasets(shards), output, LightlyRun(settings=settings, **options))


if __name__ == "__main__":
    main()
