"""`cxr-eval embed`."""

from pathlib import Path

import click


@click.command()
@click.option("--shards", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Dataset of shards.")
@click.option(
    "--backbone-from",
    required=True,
    metavar="RUN|FILE|random|imagenet",
    help="A finished run of `cxr-train pretrain`, a file of weights with torchvision's names, random or imagenet.",
)
@click.option("--output", required=True, type=click.Path(path_type=Path), metavar="EMBEDDINGS.zarr")
@click.option(
    "--split", type=click.Choice(["train", "valid", "test"]), help="Only this split.  [default: every sample]"
)
@click.option(
    "--backbone",
    "architecture",
    type=click.Choice(["resnet18", "densenet121"]),
    help="Architecture of random, imagenet or FILE; a run knows its own.  [default: resnet18]",
)
@click.option("--image-size", type=click.IntRange(min=32), help="Pixels a side; a run knows its own.  [default: 320]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of random weights.")
@click.option("--allow-unfinished", is_flag=True, help="Take an unfinished run's newest checkpoint.")
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: the cores granted]")
def embed(
    shards: Path,
    backbone_from: str,
    output: Path,
    split: str | None,
    architecture: str | None,
    image_size: int | None,
    seed: int,
    allow_unfinished: bool,
    device: str,
    threads: int | None,
) -> None:
    """Write a backbone's features of a dataset.

    Reads a dataset of shards and a backbone; writes a Zarr v3 group: features float32 [N, D], sample_id int64 [N],
    names and digests in the attributes.
    """
    import torch

    from shards.errors import SubsetError
    from shards.format.dataset import open_dataset
    from shards.format.subsets import select
    from training.downstream.embeddings import refuse_other_content
    from training.downstream.features import embed as write_features
    from training.processes.devices import available_threads, choose_device
    from training.runs.backbone_from import load_backbone

    threads = threads or available_threads()
    torch.set_num_threads(threads)
    dataset = open_dataset(shards)
    backbone = load_backbone(
        backbone_from,
        architecture=architecture,
        image_size=image_size,
        seed=seed,
        mean=dataset.mean,
        std=dataset.std,
        allow_unfinished=allow_unfinished,
    )
    rows = select(dataset, split)
    if rows.empty:
        raise SubsetError(f"{dataset.root} has no samples to embed, or not in that --split")
    refuse_other_content(output)
    write_features(backbone, dataset, rows, output, device=choose_device(device), threads=threads)
    click.echo(f"wrote {len(rows)} embeddings to {output}")
