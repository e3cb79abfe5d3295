"""`cxr-eval predict`."""

from pathlib import Path

import click


@click.command()
@click.option("--shards", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Dataset of shards.")
@click.option(
    "--model", required=True, type=click.Path(path_type=Path), metavar="DIR", help="What probe or finetune wrote."
)
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PREDICTIONS.csv",
    help="CSV, or Parquet by its ending.",
)
@click.option("--split", type=click.Choice(["train", "valid", "test"]), default="test", show_default=True)
@click.option(
    "--aggregate",
    type=click.Choice(["image", "study"]),
    default="image",
    show_default=True,
    help="One row an image, or one a study with the highest probability of its images.",
)
@click.option("--allow-seen-patients", is_flag=True, help="Predict patients the weights have seen; the result says so.")
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: the cores granted]")
def predict(
    shards: Path,
    model: Path,
    output: Path,
    split: str,
    aggregate: str,
    allow_seen_patients: bool,
    device: str,
    threads: int | None,
) -> None:
    """Write a model's probabilities for a split.

    Reads a dataset of shards and a model directory; writes a table whose first column is the id (key, or Study), one
    column a label, and PREDICTIONS.csv.json beside it with the digests of model and data.
    """
    import torch

    from evaluation.predict import predict as write_predictions
    from shards.format.dataset import open_dataset
    from training.downstream.model_directory import load_model
    from training.processes.devices import available_threads, choose_device

    threads = threads or available_threads()
    torch.set_num_threads(threads)
    written = write_predictions(
        load_model(model),
        open_dataset(shards),
        output,
        split=split,
        aggregate=aggregate,
        allow_seen_patients=allow_seen_patients,
        device=choose_device(device),
        threads=threads,
    )
    click.echo(f"wrote {written} rows to {output}")
