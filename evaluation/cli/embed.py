"""`cxr-eval embed`."""

import click

from evaluation.model_options import EmbedOptions
from shards.terminal.options import OptionsCommand, takes


@click.command(cls=OptionsCommand)
@takes(EmbedOptions, recipe=True)
def embed(options: EmbedOptions) -> None:
    """Write a backbone's features of a dataset, or of files.

    Reads a dataset of shards, or JPEG, PNG and DICOM files, and a backbone; writes a Zarr v3 group: features float32
    [N, D], sample_id int64 [N], names and digests in the attributes; for files EMBEDDINGS.zarr.csv beside it, with the
    path of each sample_id.
    """
    import torch

    from evaluation.embedding import embed as write_embeddings
    from training.processes.devices import available_threads

    torch.set_num_threads(options.threads or available_threads())
    click.echo(f"wrote {write_embeddings(options)} embeddings to {options.output}")
