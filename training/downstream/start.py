"""Begin a probe or fine-tuning: open the dataset and the backbone, choose training samples, record the options."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import pandas as pd

from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import image_fraction, label_fraction, select, single_label
from shards.selection.row_filter import filtered
from shards.terminal.options import free_keys
from training.backbones.backbone import Backbone, with_declared
from training.downstream.options import ALL, BackboneOptions, LabelOptions, LeakageOptions, SupervisedOptions
from training.downstream.preprocessing import preprocessed
from training.labels import LabelPolicy, Targets, check_labels, learnable, refuse_one_class
from training.leakage import Allowed, LeakageRecord, as_recorded, leakage_of, refuse_leakage
from training.options import ROW_OPTIONS, PlainValue
from training.runs.backbone_from import load_backbone

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """The opened inputs of a probe or fine-tuning.

    labels: in the order of the model's outputs. left_out: labels of `--labels all` that cannot be learned. leakage: of
    the splits that the model is judged on, as model.json records it.
    """

    dataset: Dataset
    backbone: Backbone
    labels: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    leakage: Mapping[str, LeakageRecord] = field(default_factory=dict)


def begin(options: SupervisedOptions) -> Start:
    """Open the dataset and load the backbone.

    Raises SubsetError as `start_of` does, and for a row filter that leaves nothing of a split.
    """
    dataset = filtered(open_dataset(options.shards), options.row_filter)
    return start_of(dataset, backbone_for(dataset, options), options)


def start_of(dataset: Dataset, backbone: Backbone, options: SupervisedOptions) -> Start:
    """Take inputs that are open already.

    Raises SubsetError for labels that the dataset does not have, and where the weights have seen patients of the valid
    or test split, or it is not known whether they have.
    """
    labels = dataset.label_names if _are_all(options, dataset) else options.labels
    check_labels(labels, dataset)
    return Start(dataset, backbone, labels, leakage=_judged(dataset, backbone, options))


def _judged(dataset: Dataset, backbone: Backbone, options: LeakageOptions) -> dict[str, LeakageRecord]:
    """Check the splits that a model is judged on for leakage; what is to be recorded of each."""
    allowed = Allowed(options.allow_seen_patients, options.allow_unknown_patients)
    recorded: dict[str, LeakageRecord] = {}
    for split in ("valid", "test"):
        rows = select(dataset, split)
        if len(rows):
            found = leakage_of(backbone.seen, backbone.run_seen, dataset, rows)
            refuse_leakage(found, split, allowed)
            recorded[split] = as_recorded(found, backbone.seen, allowed)
    return recorded


def with_learnable_labels(start: Start, options: LabelOptions, found: Targets, where: str) -> Start:
    """Leave out the labels of `--labels all` of which `found` has one class only, and log their names.

    found: targets of the training samples, float32 [N, L]. Raises SubsetError where no label is left, or where labels
    that were named have one class only.
    """
    labels = learnable(found, start.labels) if _are_all(options, start.dataset) else ()
    if not labels:
        refuse_one_class(found, start.labels, where)
        return start
    left_out = tuple(label for label in start.labels if label not in labels)
    if left_out:
        _log.warning("%s: left out, since only one class is known: %s", where, ", ".join(left_out))
    return replace(start, labels=labels, left_out=start.left_out + left_out)


def _are_all(options: LabelOptions, dataset: Dataset) -> bool:
    return options.labels == (ALL,) and ALL not in dataset.label_names


def backbone_for(dataset: Dataset, options: BackboneOptions) -> Backbone:
    """Load the backbone that the options name.

    Weights without a mean and standard deviation of their own (random, imagenet, a plain file) take the dataset's,
    unless --preprocessing names others.
    """
    backbone = load_backbone(
        options.backbone_from,
        architecture=options.backbone,
        image_size=options.image_size,
        seed=options.seed,
        mean=dataset.mean,
        std=dataset.std,
        allow_unfinished=options.allow_unfinished,
        at=options.at,
        weights=options.weights,
    )
    backbone = replace(backbone, seen=with_declared(backbone.seen, options.seen_patients))
    return preprocessed(backbone, dataset, options.preprocessing)


def label_policy(options: LabelOptions) -> LabelPolicy:
    """The policy by which training reads uncertain and missing labels."""
    return LabelPolicy(options.uncertain, options.missing)


def training_rows(dataset: Dataset, options: LabelOptions) -> pd.DataFrame:
    """Select the rows of the train split whose labels are used: the label fraction of the draw."""
    rows = select(dataset, "train")
    subset = image_fraction if options.fraction_of == "images" else label_fraction
    return subset(rows, dataset.name, options.label_fraction, options.draw, single_label(dataset))


def recorded_options(start: Start, options: SupervisedOptions) -> dict[str, PlainValue]:
    """List what model.json records of the options: the same values over the same inputs make the same model.

    Paths are replaced by digests of the files there, and values that were left open by those that were used.
    """
    left_out = free_keys(type(options)) | ROW_OPTIONS
    own = {name: value for name, value in asdict(options).items() if name not in left_out}
    recorded = {
        "method": options.method,
        "dataset_digest": start.dataset.digest,
        "backbone_digest": start.backbone.digest,
        "initial": start.backbone.initial,
        "mean": start.backbone.mean,
        "std": start.backbone.std,
        "image_size": start.backbone.image_size,
        **({} if options.seen_patients is None else {"seen_patients": list(start.backbone.seen.declared)}),
        **options.also_recorded,
        **own,
        **options.recorded_rows,
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in recorded.items()}
