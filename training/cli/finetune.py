"""`cxr-train finetune`."""

from pathlib import Path
from typing import Any

import click

from training.cli.downstream_options import Downstream, downstream_options


@click.command()
@downstream_options
@click.option("--epochs", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--batch-size", type=click.IntRange(min=2), default=16, show_default=True)
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), default=1e-4, show_default=True)
@click.option("--optimizer", type=click.Choice(["adam", "sgd"]), default="adam", show_default=True)
@click.option("--weight-decay", type=click.FloatRange(min=0), default=0.0, show_default=True)
@click.option("--schedule", type=click.Choice(["cosine", "constant"]), default="cosine", show_default=True)
@click.option(
    "--min-steps",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Steps that an epoch has at least: few samples are gone over again.",
)
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", show_default=True)
@click.option(
    "--stage-to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Copy what every epoch reads to this folder of the node first, checked; a small label fraction alone.",
)
def finetune(shared: Downstream, stage_to: Path | None, **how: Any) -> None:  # noqa: ANN401 - click's own values
    """Fine-tune a backbone end to end.

    Reads a dataset of shards and a backbone. Trains on one augmented view of each image of the label fraction, keeps
    the epoch with the best mean AUROC on the valid split (on held-out training patients where there is none), and
    writes a model directory: model.safetensors, model.json (with the AUROC on valid and test), metrics.jsonl,
    patients.parquet.
    """
    import torch

    from training.downstream.finetune import Optimization
    from training.downstream.finetune import finetune as tune
    from training.downstream.model_directory import already_done
    from training.downstream.start import begin, print_results
    from training.processes.devices import available_threads, choose_device

    threads = shared.threads or available_threads()
    torch.set_num_threads(threads)
    start = begin(method="finetune", own_options=how, **shared.of_start())
    if already_done(shared.output, start.options):
        click.echo(f"{shared.output} holds this model already")
        return
    results = tune(
        start.dataset,
        start.backbone,
        start.labels,
        shared.output,
        options=start.options,
        policy=start.policy,
        optimization=Optimization(**how),
        device=choose_device(shared.device),
        threads=threads,
        stage_to=stage_to,
    )
    print_results(results, shared.output)
