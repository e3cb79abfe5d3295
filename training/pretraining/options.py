"""The options of `cxr-train pretrain`, with the published defaults. No torch here, so that --help is quick."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from shards.terminal.options import Number, free_keys, option
from training.backbones.architectures import ARCHITECTURES, TABLE
from training.choices import BATCH_NORMS, GROUPS, OPTIMIZERS, PRECISIONS, SCHEDULES, Group
from training.options import (
    ABOVE_ZERO,
    COUNT,
    DEVICE,
    FOLDER,
    IMAGE_SIZE,
    LATER_AUGMENTATION,
    MACHINE,
    ROW_OPTIONS,
    SEED,
    THREADS,
    AugmentationOptions,
    Config,
    PlainValue,
    RowOptions,
)
from training.processes.stopping_options import CHECKPOINTS, StoppingOptions

_RUN, _METHOD, _OPTIMIZATION = "Run", "Method", "Optimization"
_MONITORING = "Monitoring"
_KEYS = click.IntRange(1, 1 << 24)
"""Keys of 128 numbers: at most 8.6 GB."""


class Epochs(click.ParamType[tuple[int, ...]]):
    """Epochs as "12,18", or as the list that a recipe may hold."""

    name = "epochs"
    takes_list = True

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:  # noqa: ANN401
        """Parse the epochs and sort them."""
        words = value.split(",") if isinstance(value, str) else value
        if not isinstance(words, (list, tuple)) or not all(str(word).strip().isdecimal() for word in words):
            self.fail(f"{value!r} is not a list of epochs such as 12,18", param, ctx)
        return tuple(sorted(int(word) for word in words))


@dataclass(frozen=True, kw_only=True)
class _RunOptions:
    """What a run reads, where it is written, how long it is."""

    shards: tuple[Path, ...] = option(
        type=FOLDER,
        multiple=True,
        metavar="DIR",
        help="Dataset of shards to read; its train split only. Repeat the option to pretrain on several.",
        group=_RUN,
        changes_weights=False,
    )
    output: Path = option(
        type=FOLDER,
        metavar="RUN",
        help="Run directory: started if it is not there, resumed if it holds the same run.",
        group=_RUN,
        changes_weights=False,
    )
    backbone: str = option("resnet18", click.Choice(ARCHITECTURES), help="Architecture of both encoders.", group=_RUN)
    init: str = option(
        "imagenet",
        metavar="imagenet|random|FILE",
        help="Initial weights; FILE: .safetensors or .pth with torchvision's names.",
        group=_RUN,
    )
    seen_patients: str | None = option(
        None,
        metavar="none|FILE",
        help="Declare which patients the weights of --init FILE have seen, where nothing beside them says it: none, or "
        "a CSV or Parquet file with the columns dataset and patient_id.",
        group=_RUN,
        changes_weights=False,
        unset="what stands beside the weights",
    )
    image_size: int = option(320, IMAGE_SIZE, help="Side of a view in pixels.", group=_RUN)
    epochs: int = option(20, COUNT, help="Number of epochs.", group=_RUN)
    seed: int = option(
        0, SEED, help="Seed of random weights, of the order of the images and of their views.", group=_RUN
    )


@dataclass(frozen=True, kw_only=True)
class _MethodOptions:
    """MoCo: queue, momentum, temperature, BatchNorm. Sizes are global, whatever the number of processes."""

    queue_size: int = option(
        24576, _KEYS, help="Number of keys in the queue; at most half the number of images.", group=_METHOD
    )
    momentum: float = option(
        0.999,
        Number(min=0, max=1, max_open=True),
        help="EMA momentum of the key encoder. A short run (few thousand steps) needs less, such as 0.99.",
        group=_METHOD,
    )
    temperature: float = option(0.2, ABOVE_ZERO, help="Temperature of the contrastive loss.", group=_METHOD)
    stochastic_depth: float = option(
        0.0,
        Number(min=0, max=1, max_open=True),
        help="Probability that the last residual branch of the query encoder is dropped (convnext_tiny only); it rises "
        "to this from 0 at the first. The key encoder drops none.",
        group=_METHOD,
    )
    positives: Group = option(
        "image",
        click.Choice(GROUPS),
        help="Image of the key view: the query's own, or another image of the same study or patient where there is one "
        "(MedAug), drawn in each epoch.",
        group=_METHOD,
    )
    same_projection: bool = option(
        False,
        help="Of --positives study or patient, take images of the query's projection only (frontal or lateral).",
        group=_METHOD,
    )
    mask: Group | None = option(
        None,
        click.Choice(GROUPS),
        help="Exclude earlier keys of the query's own image, study or patient from its negatives; at least as wide as "
        "--positives.",
        group=_METHOD,
        unset="that of --positives",
    )
    mask_same_image: bool = option(
        True,
        help="Exclude earlier keys of a query's own image, in the queue from the epoch before, from its negatives: the "
        "narrowest --mask. MoCo and the published MoCo-CXR have no mask.",
        group=_METHOD,
    )
    force_queue: bool = option(
        False, help="Allow a queue of more than half the number of images.", group=_METHOD, changes_weights=False
    )
    batch_norm: str | None = option(
        None,
        click.Choice(BATCH_NORMS),
        help="Statistics of BatchNorm. split: of each of several groups of a batch, other groups for the keys than for "
        "the queries, so that the statistics do not leak which key belongs to which query. ema: keys are normalised "
        "by running statistics, which follow those of the query encoder by --momentum (EMAN). none: of the whole "
        "batch, as published.",
        group=_METHOD,
        unset="split; none where the architecture has no BatchNorm",
    )
    bn_groups: int | None = option(
        None,
        click.IntRange(min=2),
        help="Number of groups of --batch-norm split, or of the queries with ema; a divisor of the batch size.",
        group=_METHOD,
        unset="4 of a batch of 16, 8 of 64; with ema one for each process",
    )


@dataclass(frozen=True, kw_only=True)
class _OptimizationOptions:
    """Steps and rates. batch_size and lr are global, whatever the number of processes."""

    batch_size: int = option(16, click.IntRange(min=2), help="Global batch size.", group=_OPTIMIZATION)
    accumulate: int = option(
        1,
        COUNT,
        help="Number of batches whose gradients make one step. It enlarges the batch of the gradient and nothing else: "
        "all of them are compared with the queue as it was before the step, and BatchNorm sees --batch-size images. "
        "The queue and the key encoder move once a step.",
        group=_OPTIMIZATION,
    )
    optimizer: str = option("adam", click.Choice(OPTIMIZERS), help="Optimizer.", group=_OPTIMIZATION)
    lr: float = option(1e-4, ABOVE_ZERO, help="Learning rate for the global batch.", group=_OPTIMIZATION)
    weight_decay: float = option(1e-4, Number(min=0), help="Weight decay, added to the gradient.", group=_OPTIMIZATION)
    decay_norms: bool = option(
        True, help="Apply weight decay to the parameters of norms and to biases too, as published.", group=_OPTIMIZATION
    )
    schedule: str = option(
        "step",
        click.Choice(SCHEDULES),
        help="Learning rate over the epochs: a tenth at each milestone, a cosine to 0, or constant.",
        group=_OPTIMIZATION,
    )
    milestones: tuple[int, ...] = option(
        (12, 18, 24),
        Epochs(),
        metavar="EPOCH[,EPOCH...]",
        help="Epochs at which --schedule step divides the learning rate by ten.",
        group=_OPTIMIZATION,
    )
    warmup_epochs: int = option(
        0,
        click.IntRange(min=0),
        help="Epochs in which the learning rate rises to --lr, step by step, before its schedule; part of --epochs.",
        group=_OPTIMIZATION,
    )


@dataclass(frozen=True, kw_only=True)
class _MonitoringOptions:
    """What is logged. Nothing here changes a weight."""

    log_every: int = option(10, COUNT, help="Number of steps between two lines of metrics.jsonl.", group=_MONITORING)
    knn_label: str | None = option(
        None,
        metavar="LABEL",
        help="Log `knn_auroc` after epochs: how well nearest neighbours among labelled training images of other "
        "patients predict this label.",
        group=_MONITORING,
        changes_weights=False,
    )
    knn_every: int = option(
        1, COUNT, help="Number of epochs between two of these.", group=_MONITORING, changes_weights=False
    )
    knn_images: int = option(
        1024,
        click.IntRange(min=2),
        help="Approximate number of images that it looks at.",
        group=_MONITORING,
        changes_weights=False,
    )


@dataclass(frozen=True, kw_only=True)
class _CheckpointOptions(StoppingOptions):
    """When the run is written and when it stops."""

    checkpoint_every: int = option(
        0,
        click.IntRange(min=0),
        help="Number of steps between checkpoints, beside those after each epoch and by the clock; 0: none by steps.",
        group=CHECKPOINTS,
        changes_weights=False,
    )


@dataclass(frozen=True, kw_only=True)
class _MachineOptions:
    """Where the run computes. threads: None takes the run's own, or as many as there are cores."""

    device: str = option("auto", DEVICE, help="Device to train on; auto takes a GPU where there is one.", group=MACHINE)
    precision: str = option(
        "fp32", click.Choice(PRECISIONS), help="Floating-point format of the networks' computations.", group=MACHINE
    )
    compile: bool = option(
        False, help="Compile the encoders with torch.compile, at each start of the run.", group=MACHINE
    )
    threads: int | None = option(
        None,
        THREADS,
        help="Number of CPU threads. Another number gives other bits, so a run keeps its own.",
        group=MACHINE,
        unset="the run's own, else all cores",
    )
    verify_checksums: bool = option(
        True,
        help="Check the crc32c of each image that is read: about 0.1 % of an image's cost.",
        group=MACHINE,
        changes_weights=False,
    )
    stage_to: Path | None = option(
        None,
        FOLDER,
        metavar="DIR",
        help="Copy the shards to this folder of the node first, checked and once a node, and read them there.",
        group=MACHINE,
        changes_weights=False,
    )


_OF_ONE_START = ("stage_to", "time_limit", "checkpoint_minutes")


@dataclass(frozen=True, kw_only=True)
class PretrainOptions(
    _MachineOptions,
    _CheckpointOptions,
    _MonitoringOptions,
    AugmentationOptions,
    _OptimizationOptions,
    _MethodOptions,
    RowOptions,
    _RunOptions,
):
    """Options of `cxr-train pretrain`; the defaults are those of the published MoCo-CXR code (see recipes/), but for
    mask_same_image and batch_norm.

    stage_to, time_limit and checkpoint_minutes belong to one start of the run and are no part of its config.
    """

    def resolved(self, *, device: str, threads: int) -> "PretrainOptions":
        """Fill in what was left open."""
        batch_norm = self.batch_norm or ("split" if TABLE[self.backbone].batch_norm else "none")
        return replace(self, device=device, threads=threads, batch_norm=batch_norm)

    def as_config(self) -> dict[str, PlainValue]:
        """Plain values under the options' names, as a recipe holds them: what config.yaml records.

        The options of rows are one key, `row_filter`, or none where all rows are used.
        """
        values = {name: value for name, value in asdict(self).items() if name not in (*_OF_ONE_START, *ROW_OPTIONS)}
        return {
            **values,
            **self.recorded_rows,
            "shards": [str(path) for path in self.shards],
            "output": str(self.output),
            "milestones": list(self.milestones),
            **{name: list(getattr(self, name)) for name in ("scale", *LATER_AUGMENTATION)},
        }

    def differing(self, recorded: Config, free: Collection[str] = ()) -> dict[str, tuple[PlainValue, PlainValue]]:
        """List the options by name that differ from a run's recorded ones: the recorded value and this one.

        recorded: config.yaml. free: options that may differ, beside FREE_OPTIONS.
        """
        there, here = {**EARLIER_VALUES, **recorded}, self.as_config()
        return {
            key: (there.get(key), here.get(key))
            for key in {**there, **here}
            if key not in (*FREE_OPTIONS, *free) and there.get(key) != here.get(key)
        }

    def differences(self, recorded: Config, free: Collection[str] = ()) -> str:
        """Name the options that `differing` lists, with both values, as the command line has them; "" for none."""
        return "; ".join(
            f"--{key.replace('_', '-')}: the run has {_shown(there)}, asked for is {_shown(here)}"
            for key, (there, here) in self.differing(recorded, free).items()
        )


def _shown(value: PlainValue) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


EARLIER_VALUES: Config = {
    **LATER_AUGMENTATION,
    "positives": "image",
    "same_projection": False,
    "mask": None,
    "stochastic_depth": 0.0,
}
"""Values of options that config.yaml did not record when pretraining had no such options."""

FREE_OPTIONS = free_keys(PretrainOptions) - {"seen_patients"}
"""Options that may change on resume: they change no weight. (The datasets' digests are checked by the loader.)
seen_patients changes none either, but is part of the record of a run."""
