"""Options of `cxr-train probe` and `cxr-train finetune`, in parts that the commands of evaluation share.

No torch here, so that --help is quick. A field with changes_weights is recorded in model.json; what the others turn out
to be (the dataset's digest, the backbone's image size) is recorded by `training.downstream.start.recorded_options`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import click

from shards.terminal.options import Names, Number, option
from training.backbones.architectures import ARCHITECTURES
from training.choices import (
    AT,
    FINETUNE_SCHEDULES,
    FRACTION_OF,
    MISSING,
    OPTIMIZERS,
    PRECISIONS,
    UNCERTAIN,
    FractionOf,
    Missing,
    Uncertain,
)
from training.options import (
    ABOVE_ZERO,
    COUNT,
    DEVICE,
    FOLDER,
    IMAGE_SIZE,
    LATER_AUGMENTATION,
    MACHINE,
    PATH,
    SEED,
    THREADS,
    AugmentationOptions,
    Config,
    RowOptions,
)
from training.processes.stopping_options import StoppingOptions

_DATA, _BACKBONE, _LABELS = "Data", "Backbone", "Labels"
_TRAINING, _LEAKAGE = "Training", "Leakage"

AUTO: Literal["auto"] = "auto"
"""Number of epochs that follows from the label fraction."""

ALL = "all"
"""In place of the names of labels."""


class Epochs(click.ParamType[int | Literal["auto"]]):
    """A number of epochs, or auto."""

    name = "epochs"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own values
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int | Literal["auto"]:
        """Parse the number."""
        if value == AUTO:
            return AUTO
        number = str(value)
        if not (number.isascii() and number.isdecimal()) or int(number) < 1:
            self.fail(f"{value!r} is neither auto nor a whole number above 0", param, ctx)
        return int(number)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """The dataset that a network is run over."""

    shards: Path = option(
        type=PATH, metavar="DIR", help="Dataset of shards to read.", group=_DATA, changes_weights=False
    )


@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """Where a network runs. threads: None takes the cores granted to the process."""

    device: str = option(
        "auto",
        DEVICE,
        help="Device to run on; auto takes a GPU where there is one.",
        group=MACHINE,
        changes_weights=False,
    )
    threads: int | None = option(
        None, THREADS, help="Number of CPU threads.", group=MACHINE, changes_weights=False, unset="the cores granted"
    )


@dataclass(frozen=True, kw_only=True)
class BackboneOptions:
    """Which backbone is used. backbone, image_size: None takes the run's own."""

    backbone_from: str = option(
        metavar="RUN|FILE|timm:NAME|random|imagenet",
        help="Backbone: a finished run of `cxr-train pretrain`, a file of weights with torchvision's names, a network "
        "of timm with its pretrained weights, random weights or torchvision's ImageNet weights.",
        group=_BACKBONE,
        changes_weights=False,
    )
    weights: Path | None = option(
        None,
        PATH,
        metavar="FILE",
        help="File of the weights of --backbone-from timm:NAME.",
        group=_BACKBONE,
        changes_weights=False,
        unset="timm's cache",
    )
    backbone: str | None = option(
        None,
        click.Choice(ARCHITECTURES),
        help="Architecture of random, imagenet or FILE; a run has its own.",
        group=_BACKBONE,
        changes_weights=False,
        unset="the run's own, else resnet18",
    )
    image_size: int | None = option(
        None,
        IMAGE_SIZE,
        help="Side of an image in pixels; a run has its own.",
        group=_BACKBONE,
        changes_weights=False,
        unset="the run's own, else 320",
    )
    at: str = option(
        "end",
        click.Choice(AT),
        help="What to take of a run: its end, or the weights that it began with (start), with the run's preprocessing "
        "and image size.",
        group=_BACKBONE,
    )
    preprocessing: str | None = option(
        None,
        metavar="RUN|imagenet|dataset",
        help="Mean and standard deviation for weights that have none of their own, and for the start of a run: those "
        "of a run (with its image size), of ImageNet, or of the dataset.",
        group=_BACKBONE,
        changes_weights=False,
        unset="the run's, else the dataset's",
    )
    seen_patients: str | None = option(
        None,
        metavar="none|FILE",
        help="Declare which patients the weights have seen, where nothing beside them says it: none, or a CSV or "
        "Parquet file with the columns dataset and patient_id (also a run's patients.parquet).",
        group=_BACKBONE,
        changes_weights=False,
        unset="what stands beside the weights",
    )
    allow_unfinished: bool = option(
        False, help="Take the newest checkpoint of an unfinished run.", group=_BACKBONE, changes_weights=False
    )
    seed: int = option(0, SEED, help="Seed of random weights and of the order of the images.", group=_BACKBONE)


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Which labels are learned, from which training samples.

    uncertain, missing: how a label that is neither positive nor negative is read, see `training.labels.LabelPolicy`.
    """

    labels: tuple[str, ...] = option(
        type=Names(),
        metavar="NAME[,NAME...]|all",
        help="Names of the labels to learn; all takes every label of the dataset that has both classes among the "
        "training samples.",
        group=_LABELS,
    )
    label_fraction: float = option(
        1.0,
        Number(min=0, max=1, min_open=True),
        help="Fraction of the train split's samples whose labels are used.",
        group=_LABELS,
    )
    fraction_of: FractionOf = option(
        "patients",
        click.Choice(FRACTION_OF),
        help="Draw whole patients until the label fraction of the samples is reached, or single images, as published.",
        group=_LABELS,
    )
    draw: int = option(0, click.IntRange(min=0), help="Index of the random training subset.", group=_LABELS)
    uncertain: Uncertain = option(
        "ignore",
        click.Choice(UNCERTAIN),
        help="How an uncertain label (-1) is read in training; ignore, as published, leaves it out of the loss.",
        group=_LABELS,
    )
    missing: Missing = option(
        "ignore",
        click.Choice(MISSING),
        help="How a label that is not mentioned is read in training; published: zeros.",
        group=_LABELS,
    )


@dataclass(frozen=True, kw_only=True)
class LeakageOptions:
    """What is judged although the weights have seen it, or may have."""

    allow_seen_patients: bool = option(
        False,
        help="Judge patients and images that the weights have seen, too; the result says so.",
        group=_LEAKAGE,
        changes_weights=False,
    )
    allow_unknown_patients: bool = option(
        False,
        help="Judge weights of which it is not known what they have seen; the result says so.",
        group=_LEAKAGE,
        changes_weights=False,
    )


@dataclass(frozen=True, kw_only=True)
class SupervisedOptions(LeakageOptions, MachineOptions, LabelOptions, BackboneOptions, RowOptions, DataOptions):
    """What probe and finetune share. method: as model.json names it."""

    method: ClassVar[str]
    also_recorded: ClassVar[Mapping[str, str]] = {}
    """Ways of working that are no options and may change between releases; recorded in model.json with the options."""

    output: Path = option(
        type=PATH, metavar="DIR", help="Model directory to write.", group=_DATA, changes_weights=False
    )


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(SupervisedOptions):
    """Options of `cxr-train probe`. cache: None takes `training.downstream.features.default_cache`."""

    method: ClassVar[str] = "probe"
    also_recorded: ClassVar[Mapping[str, str]] = {"c_chosen_by": "cross-validation below 400 patients, else hold-out"}

    cache: Path | None = option(
        None,
        PATH,
        metavar="DIR",
        help="Folder in which embeddings are kept between probes.",
        group=_DATA,
        changes_weights=False,
        unset="$CXR_CACHE or ~/.cache/cxr",
    )


@dataclass(frozen=True, kw_only=True)
class OptimizationOptions:
    """How a network is fine-tuned. batch_size: samples a step. lr: at the start. epochs: see `training_length`.

    min_steps: a small training set is repeated within an epoch until the epoch has this many steps, so that small
    label fractions are trained too. min_total_steps: for epochs "auto". select_by: labels whose mean AUROC chooses the
    epoch; none takes all.
    """

    epochs: int | Literal["auto"] = option(
        AUTO,
        Epochs(),
        metavar="auto|NUMBER",
        help="Number of epochs; auto takes the published ones of the label fraction: 500, 107, 23, 7, 5 at 0.1, 1, 10, "
        "50, 100 %.",
        group=_TRAINING,
    )
    batch_size: int = option(16, click.IntRange(min=2), help="Number of images in a batch.", group=_TRAINING)
    lr: float = option(1e-4, ABOVE_ZERO, help="Learning rate at the first step.", group=_TRAINING)
    optimizer: str = option("adam", click.Choice(OPTIMIZERS), help="Optimizer of all weights.", group=_TRAINING)
    weight_decay: float = option(
        0.0, Number(min=0), help="Weight decay, added to the gradient of every parameter.", group=_TRAINING
    )
    schedule: str = option(
        "cosine",
        click.Choice(FINETUNE_SCHEDULES),
        help="Learning rate over the steps: a cosine to 0, or constant, as published.",
        group=_TRAINING,
    )
    min_steps: int = option(
        20,
        COUNT,
        help="Least number of steps of an epoch; a small training set is repeated to reach it; published: 1.",
        group=_TRAINING,
    )
    min_total_steps: int = option(
        400,
        click.IntRange(min=0),
        help="Least number of steps of the training with --epochs auto; published: 0.",
        group=_TRAINING,
    )
    select_by: tuple[str, ...] = option(
        (),
        Names(),
        metavar="NAME[,NAME...]",
        help="Labels whose mean validation AUROC chooses the epoch.",
        group=_TRAINING,
        unset="all --labels",
    )
    precision: str = option(
        "fp32", click.Choice(PRECISIONS), help="Floating-point format of the network's computations.", group=_TRAINING
    )


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(StoppingOptions, AugmentationOptions, OptimizationOptions, SupervisedOptions):
    """Options of `cxr-train finetune`. stage_to: folder of the node to which the shards that are read are copied."""

    method: ClassVar[str] = "finetune"

    stage_to: Path | None = option(
        None,
        FOLDER,
        metavar="DIR",
        help="Copy the samples that every epoch reads to this folder of the node first, checked.",
        group=MACHINE,
        changes_weights=False,
    )


EARLIER_VALUES: Config = {
    **{"degrees": 10.0, "flip": True, "scale": [1.0, 1.0], "translate": 0.0, "at": "end"},
    **{"c_chosen_by": "hold-out", "fraction_of": "patients"},
    **LATER_AUGMENTATION,
    **{"select_by": [], "min_total_steps": 400},  # the latter has no effect on a number of epochs
}
"""Values of options that model.json did not record when fine-tuning had no such options."""
