"""Write a backbone's features of a dataset to a Zarr group."""

from evaluation.model_options import EmbedOptions
from shards.errors import SubsetError
from shards.format.dataset import open_dataset
from shards.format.selection import filtered
from shards.format.subsets import select
from training.downstream.embeddings import refuse_other_content
from training.downstream.features import embed as write_features
from training.downstream.start import backbone_for
from training.processes.devices import available_threads, choose_device


def embed(options: EmbedOptions) -> int:
    """Write the features of a split, or of every sample; returns their number.

    Raises SubsetError where there are no samples, TrainingError where the output holds anything but embeddings.
    """
    dataset = filtered(open_dataset(options.shards), options.row_filter, (options.split,))
    backbone = backbone_for(dataset, options)
    rows = select(dataset, options.split)
    if rows.empty:
        raise SubsetError(f"{dataset.root} has no samples to embed, or not in that --split")
    refuse_other_content(options.output)
    device, threads = choose_device(options.device), options.threads or available_threads()
    write_features(backbone, dataset, rows, options.output, device=device, threads=threads)
    return len(rows)
