"""`cxr-train probe`."""

from pathlib import Path

import click

from training.cli.downstream_options import Downstream, downstream_options


@click.command()
@downstream_options
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where embeddings are kept between probes.  [default: $CXR_CACHE or ~/.cache/cxr]",
)
def probe(shared: Downstream, cache: Path | None) -> None:
    """Fit a linear probe on a frozen backbone.

    Reads a dataset of shards and a backbone. Embeds every split once (kept in the cache), fits a logistic regression
    a label on the label fraction, with C chosen on held-out training patients, and writes a model directory:
    model.safetensors, model.json (with the AUROC on valid and test), patients.parquet.
    """
    import torch

    from training.downstream.embedding_cache import default_cache
    from training.downstream.model_directory import already_done
    from training.downstream.probe import probe as fit_probe
    from training.downstream.start import begin, print_results
    from training.processes.devices import available_threads, choose_device

    threads = shared.threads or available_threads()
    torch.set_num_threads(threads)
    start = begin(method="probe", own_options={}, **shared.of_start())
    if already_done(shared.output, start.options):
        click.echo(f"{shared.output} holds this probe already")
        return
    results = fit_probe(
        start.dataset,
        start.backbone,
        start.labels,
        shared.output,
        options=start.options,
        policy=start.policy,
        cache=cache or default_cache(),
        device=choose_device(shared.device),
        threads=threads,
    )
    print_results(results, shared.output)
