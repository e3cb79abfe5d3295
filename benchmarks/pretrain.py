"""Compare a step of pretraining with the bare work of the same networks, and with lightly's MoCo example.

Reads shards (a folder, or synthetic ones); prints milliseconds a step. Bare: forward, backward and optimizer of the
query encoder and forward of the key encoder, over one batch that is in memory as the networks take it. Ours: the
trainer fed by the loader, with its lines of metrics. lightly's: its documented loop, over the same images. All in two
threads; ours have two more for the loader, lightly's has one or two workers beside them. The ratio is that of wall
times, or of CPU times where it says so: other work on the machine does not disturb these.
"""

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.lightly_moco import (
    LightlyMoCo,
    LightlySettings,
    RgbViews,
    lightly_is_there,
    lightly_optimizer,
    lightly_transform,
)
from benchmarks.loader import synthetic_shards
from benchmarks.pairs import Comparison, alternate, json_option, quick_option, report, seconds
from shards.format.dataset import Dataset, open_dataset
from shards.loading.loaders import TwoViewBatch, TwoViewLoader
from shards.loading.placement import Placement
from training.backbones.description import BackboneDescription
from training.backbones.networks import build_backbone, feature_dimension, images_to_input
from training.moco.health import gradient_norm
from training.moco.model import MoCo, MoCoSettings, info_nce_logits, info_nce_loss
from training.optimizers import build_optimizer
from training.pretraining.options import PretrainOptions
from training.pretraining.recorder import Recorder
from training.pretraining.refusals import batch_norm_groups
from training.pretraining.trainer import Trainer
from training.processes.ranks import Ranks
from training.runs.checkpoints import load_checkpoint, save_checkpoint

THREADS = 2
GOAL = 1 / 1.1
"""Bare over ours: an overhead of at most a tenth."""

_MEAN, _STD = 128.0, 64.0  # of the pixels; synthetic datasets do not know theirs
_AHEAD = 3  # batches that loaders may have prepared while other sides ran; they are used up before the clock starts


@dataclass(frozen=True)
class Case:
    """One comparison. steps: of a measurement; a multiple of those between two lines of metrics."""

    architecture: str
    batch_norm: str
    rounds: int
    steps: int
    image_size: int = 96

    def options(self, run: Path) -> PretrainOptions:
        """Those of the recipes, but for the size and BatchNorm."""
        options = PretrainOptions(
            shards=(),
            output=run,
            backbone=self.architecture,
            image_size=self.image_size,
            batch_norm=self.batch_norm,
        )
        return options.resolved(device="cpu", threads=THREADS)


class OurLoop:
    """State: a run as `cxr-train pretrain` holds it, and its endless batches."""

    def __init__(self, dataset: Dataset, options: PretrainOptions) -> None:
        self.options = options
        self.loader = TwoViewLoader(
            [dataset],
            image_size=options.image_size,
            batch_size=options.batch_size,
            seed=0,
            placement=Placement(threads=THREADS),
        )
        moco = MoCo(
            build_backbone(options.backbone, 0),
            options.backbone,
            MoCoSettings(
                queue_size=options.queue_size,
                momentum=options.momentum,
                temperature=options.temperature,
                mask_same_image=options.mask_same_image,
                bn_groups=batch_norm_groups(options, options.batch_size),
                ema=options.batch_norm == "ema",
            ),
            seed=0,
        )
        self.trainer = Trainer(moco, options, mean=_MEAN, std=_STD, steps_per_epoch=len(self.loader))
        options.output.mkdir()
        description = BackboneDescription(options.backbone, options.image_size, _MEAN, _STD, provenance={})
        self.recorder = Recorder(options.output, self.trainer, self.loader, description, 0.0, Ranks.alone())
        self.waits: list[float] = []
        self._batches = self._endless()

    def steps(self, count: int) -> None:
        """Train so many steps, with a line of metrics every `log_every`."""
        for _ in range(count):
            batch = next(self._batches)
            self.trainer.step(batch)
            self.recorder.clock.images += len(batch.sample_id)
            if self.trainer.steps % self.options.log_every == 0:
                self.waits.append(self.recorder.clock.waited / self.options.log_every)
                self.recorder.write_line()

    def _endless(self) -> Iterator[TwoViewBatch]:
        while True:
            yield from self.recorder.clock.batches(self.loader)


class BareLoop:
    """State: copies of the two encoders, the optimizer, and one batch as the networks take it."""

    def __init__(self, ours: OurLoop) -> None:
        moco, options = ours.trainer.moco, ours.options
        self.query_encoder, self.key_encoder = copy.deepcopy(moco.query_encoder), copy.deepcopy(moco.key_encoder)
        self.queue = moco.queue.keys.clone()
        self.temperature = options.temperature
        self.optimizer = build_optimizer(
            options.optimizer, self.query_encoder.parameters(), options.lr, options.weight_decay
        )
        generator = torch.Generator().manual_seed(0)
        shape = (options.batch_size, 1, options.image_size, options.image_size)
        pixels = [torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator) for _ in range(2)]
        self.images = [images_to_input(view, _MEAN, _STD) for view in pixels]

    def steps(self, count: int) -> None:
        """Forward, backward and optimizer, so many times."""
        for _ in range(count):
            self.optimizer.zero_grad(set_to_none=True)
            queries = F.normalize(self.query_encoder(self.images[0]), dim=1)
            with torch.no_grad():
                keys = F.normalize(self.key_encoder(self.images[1]), dim=1)
            loss = info_nce_loss(info_nce_logits(queries, keys, self.queue, self.temperature))
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()


class LightlyLoop:
    """State: lightly's model and optimizer as its documentation has them, and the endless batches of its workers."""

    def __init__(self, dataset: Dataset, options: PretrainOptions, workers: int) -> None:
        settings = LightlySettings(memory_bank=options.queue_size)
        backbone = build_backbone(options.backbone, 0)
        self.model = LightlyMoCo(backbone, settings, feature_dimension(options.backbone)).train()
        self.optimizer = lightly_optimizer(self.model)
        self.loader: DataLoader[list[Tensor]] = DataLoader(
            RgbViews([dataset], lightly_transform(options.image_size, _MEAN / 255, _STD / 255)),
            batch_size=options.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=True,
        )
        self._batches = self._endless()

    def steps(self, count: int) -> None:
        """Train so many steps."""
        for _ in range(count):
            loss = self.model(*next(self._batches))
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    def _endless(self) -> Iterator[list[Tensor]]:
        while True:
            yield from self.loader


def measured(steps: Callable[[int], None], count: int, cpu: list[float]) -> float:
    """Wall milliseconds a step over `count` of them; appends the CPU milliseconds of this process, all threads."""
    steps(_AHEAD)
    start, before = time.perf_counter(), time.process_time()
    steps(count)
    cpu.append((time.process_time() - before) / count * 1e3)
    return (time.perf_counter() - start) / count * 1e3


def compare(dataset: Dataset, case: Case, run: Path, *, lightly: bool) -> list[Comparison]:
    """All sides of a case in turn; prints the parts of our step and the checkpoint."""
    ours = OurLoop(dataset, case.options(run))
    sides: dict[str, Callable[[int], None]] = {"ours": ours.steps, "bare": BareLoop(ours).steps}
    if lightly:
        for workers in (1, 2):
            sides[f"lightly, {workers} worker(s)"] = LightlyLoop(dataset, ours.options, workers).steps
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    wall = alternate(
        {name: partial(measured, steps, case.steps, cpu[name]) for name, steps in sides.items()}, case.rounds
    )
    name = f"{case.architecture}, BatchNorm {case.batch_norm}"
    comparisons = [
        Comparison(f"{name}: bare", wall["ours"], wall["bare"], "ms", False, GOAL),
        Comparison(f"{name}: bare, CPU time", cpu["ours"][1:], cpu["bare"][1:], "ms", False, GOAL),
    ]
    others = [side for side in sides if side.startswith("lightly")]
    comparisons += [Comparison(f"{name}: {side}", wall["ours"], wall[side], "ms", False, 1.0) for side in others]
    click.echo(f"{name}: " + ", ".join(f"{part} {value:.2f} ms" for part, value in parts(ours).items()))
    if case.batch_norm == "none":
        click.echo(f"{case.architecture}, checkpoint: {checkpoint(ours, run)}")
    return comparisons


def compare_ema(dataset: Dataset, architecture: str, folder: Path, *, image_size: int, rounds: int) -> Comparison:
    """A step with `--batch-norm ema` and one with none, in turn, by CPU time: eval mode costs no statistics."""
    cpu: dict[str, list[float]] = {"ema": [], "none": []}
    loops = {
        way: OurLoop(
            dataset, Case(architecture, way, rounds, 10, image_size).options(folder / f"{architecture}-{way}-pair")
        )
        for way in cpu
    }
    alternate({way: partial(measured, loop.steps, 10, cpu[way]) for way, loop in loops.items()}, rounds)
    return Comparison(
        f"{architecture}: a step with BatchNorm none, CPU time", cpu["ema"][1:], cpu["none"][1:], "ms", False, 1.0
    )


def parts(ours: OurLoop) -> dict[str, float]:
    """Milliseconds a step that each part takes which the bare side has not."""
    trainer, every = ours.trainer, ours.options.log_every
    moco = trainer.moco
    batch = next(iter(ours.loader))
    keys = moco.queue.newest(len(batch.sample_id)).T.clone()
    return {
        "wait for data": statistics.median(ours.waits) * 1e3,
        "momentum update": _median(moco.update_key_encoder),
        "pixels to input": _median(lambda: [images_to_input(view, _MEAN, _STD) for view in (batch.query, batch.key)]),
        "queue": _median(lambda: moco.queue.enqueue(keys, batch.sample_id)),
        "mask": _median(lambda: moco.queue.of_same_image(batch.sample_id)),
        "gradient norm": _median(lambda: gradient_norm(moco.query_encoder.parameters())),
        "line of metrics": _median(lambda: trainer.health()) / every,
    }


def checkpoint(ours: OurLoop, run: Path) -> str:
    """Seconds to write (with fsync) and to read (with its checksums), and the size."""
    trainer = ours.trainer
    state: dict[str, Any] = trainer.state_dict() | {"loader": ours.loader.state_dict()}
    writes = [seconds(lambda: save_checkpoint(run, trainer.steps, state)) for _ in range(3)]
    reads = [seconds(lambda: load_checkpoint(run, trainer.steps)) for _ in range(3)]
    size = save_checkpoint(run, trainer.steps, state).stat().st_size
    return (
        f"written in {statistics.median(writes):.2f} s, read in {statistics.median(reads):.2f} s, {size / 1e6:.0f} MB"
    )


def _median(work: Callable[[], object]) -> float:
    work()
    return statistics.median(seconds(work) for _ in range(15)) * 1e3


@click.command()
@click.argument("shards", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@quick_option
@json_option
def main(shards: Path | None, quick: bool, json_path: Path | None) -> None:
    """Compare steps of pretraining at 96 px over the train split of SHARDS (default: synthetic 390 x 320 JPEGs)."""
    torch.set_num_threads(THREADS)
    cases = [
        Case(network, way, rounds=3, steps=10) for network in ("resnet18", "densenet121") for way in ("none", "split")
    ]
    if quick:
        cases = [Case("resnet18", "none", rounds=1, steps=10, image_size=64)]
    with_lightly = lightly_is_there()
    if not with_lightly:
        click.echo("lightly is not installed: its side is left out (pip install lightly==1.6.0).", err=True)
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_dataset(shards or synthetic_shards(Path(folder) / "shards", 512 if quick else 2048))
        for number, case in enumerate(cases):
            lightly = with_lightly and case.batch_norm == "none"
            comparisons += compare(dataset, case, Path(folder) / f"run-{number}", lightly=lightly)
        for network in ("resnet18",) if quick else ("resnet18", "mobilenet_v2"):
            size, rounds = (64, 3) if quick else (96, 7)
            comparisons.append(compare_ema(dataset, network, Path(folder), image_size=size, rounds=rounds))
    report(comparisons, json_path)


if __name__ == "__main__":
    main()
