"""Build the parts of a run from its options: datasets, loader, trainer, and the description of its backbone."""

from collections.abc import Sequence

import torch

from shards.format.dataset import Dataset, open_datasets
from shards.format.subsets import planned
from shards.loading.loaders import TwoViewLoader
from shards.loading.placement import Device, Partition, Placement
from shards.loading.positives import Positives
from shards.loading.staging import stage
from shards.selection.row_filter import filtered
from training.backbones.backbone import init_name, initial_backbone
from training.backbones.description import BackboneDescription
from training.backbones.networks import set_stochastic_depth
from training.moco.model import MoCo, MoCoSettings
from training.pretraining.options import PretrainOptions
from training.pretraining.refusals import batch_norm_groups, mask_group, refuse_no_stochastic_depth
from training.pretraining.trainer import Trainer, statistics_batches
from training.processes.devices import torch_device
from training.processes.ranks import Ranks
from training.provenance import Provenance


def loader_device(options: PretrainOptions) -> Device:
    """Choose the device that decodes the images: that of the training."""
    return "gpu" if options.device == "gpu" else "cpu"


def run_datasets(options: PretrainOptions) -> list[Dataset]:
    """Open the datasets, sorted by name: the order of an epoch must not depend on the order of the options.

    Each is restricted to the rows that the options select. Raises SubsetError where none of a train split is left.
    """
    datasets = sorted(open_datasets(options.shards), key=lambda dataset: dataset.name)
    return [filtered(dataset, options.row_filter, ("train",)) for dataset in datasets]


def build_loader(options: PretrainOptions, datasets: Sequence[Dataset], ranks: Ranks) -> TwoViewLoader:
    """Build the loader of this rank, over copies of the shards on this node where they are to be staged."""
    folder = options.stage_to
    if folder is not None:
        datasets = [stage(dataset, planned(dataset, "train"), folder)[0] for dataset in datasets]
    return TwoViewLoader(
        datasets,
        image_size=options.image_size,
        batch_size=options.batch_size * options.accumulate,
        seed=options.seed,
        placement=Placement(loader_device(options), torch_device(options.device).index, options.threads or 1),
        partition=Partition(ranks.rank, ranks.world_size),
        views=options.view_range(),
        verify_checksums=options.verify_checksums,
        positives=Positives(options.positives, options.same_projection, mask_group(options)),
    )


def build_trainer(
    options: PretrainOptions, init: str, pixels: tuple[float, float], steps_per_epoch: int, ranks: Ranks
) -> Trainer:
    """Seed torch, set its number of threads, and build the networks and what trains them.

    init: initial weights, in place of the options' own. pixels: mean and standard deviation, 0..255.
    """
    torch.set_num_threads(options.threads or 1)
    torch.manual_seed(options.seed)
    settings = MoCoSettings(
        queue_size=options.queue_size,
        momentum=options.momentum,
        temperature=options.temperature,
        mask_same_image=options.mask_same_image,
        bn_groups=batch_norm_groups(options, options.batch_size, ranks.world_size),
        ema=options.batch_norm == "ema",
    )
    network = initial_backbone(init, options.backbone, options.seed)
    moco = MoCo(network, options.backbone, settings, seed=options.seed)
    refuse_no_stochastic_depth(options, set_stochastic_depth(moco.query_encoder, options.stochastic_depth))
    mean, std = pixels
    return Trainer(moco, options, mean=mean, std=std, steps_per_epoch=steps_per_epoch, ranks=ranks)


def describe_run(
    options: PretrainOptions,
    datasets: Sequence[Dataset],
    pixels: tuple[float, float],
    steps_per_epoch: int,
    start_digest: str | None,
) -> BackboneDescription:
    """Describe the run before its first step as backbone.json does, without the digest of its weights."""
    mean, std = pixels
    selected: Provenance = {} if options.row_filter is None else {"row_filter": options.row_filter}
    ema: Provenance = {"statistics_from_batches": statistics_batches(steps_per_epoch)}
    return BackboneDescription(
        architecture=options.backbone,
        image_size=options.image_size,
        mean=mean,
        std=std,
        provenance={
            "method": "moco-v2",
            "init": init_name(options.init),
            "seed": options.seed,
            "epochs": 0,
            "steps": 0,
            **(ema if options.batch_norm == "ema" else {}),
            "datasets": [dataset.citation for dataset in datasets],
            **selected,
        },
        start_digest=start_digest,
    )
