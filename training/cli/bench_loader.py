"""`cxr-train bench-loader`."""

from pathlib import Path

import click

from training.choices import DEVICES


@click.command("bench-loader", context_settings={"show_default": True})
@click.option(
    "--shards",
    multiple=True,
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Dataset to read; its train split only. Repeat the option for several.",
)
@click.option("--image-size", type=click.IntRange(min=32), default=320, help="Side of a view, in pixels.")
@click.option("--batch-size", type=click.IntRange(min=1), default=64)
@click.option("--device", type=click.Choice(DEVICES), default="auto")
@click.option("--threads", type=click.IntRange(min=1), default=None, show_default="the cores granted")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=3.0, help="Of each measurement.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, help="Measurements of each side, in turn.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write a JSON file.")
def bench_loader(
    shards: tuple[Path, ...],
    image_size: int,
    batch_size: int,
    device: str,
    threads: int | None,
    seconds: float,
    rounds: int,
    json_path: Path | None,
) -> None:
    """Measure the loader on your shards and machine.

    Reads the train splits of datasets of shards. Prints images/s (each with both views) and CPU milliseconds an image
    of the whole loader, of the least that DALI could do (one decode and two warps of images in memory, on the same
    threads) and of reading alone; and the share of that limit which the loader reaches. --json writes the same as
    {"image_size", "batch_size", "device", "threads", "share_of_limit", "sides": [{"name", "images_per_second",
    "cpu_ms", "spread"}]}.
    """
    from dataclasses import asdict

    from shards.durable import write_json_atomically
    from shards.format.dataset import open_datasets
    from shards.loading.speed import LIMIT, LOADER, loader_speed
    from training.processes.devices import available_threads, choose_device

    threads, chosen = threads or available_threads(), choose_device(device)
    sides = loader_speed(
        open_datasets(shards),
        image_size=image_size,
        batch_size=batch_size,
        device=chosen,
        threads=threads,
        seconds=seconds,
        rounds=rounds,
    )
    by_name = {side.name: side for side in sides}
    share = by_name[LOADER].images_per_second / by_name[LIMIT].images_per_second
    click.echo(f"{image_size} px, batches of {batch_size}, {threads} threads, {chosen}")
    click.echo(f"{'':30} {'images/s':>10} {'least':>8} {'most':>8} {'CPU ms':>8}")
    for side in sides:
        least, most = side.spread
        click.echo(f"{side.name:30} {side.images_per_second:>10,.0f} {least:>8,.0f} {most:>8,.0f} {side.cpu_ms:>8.3f}")
    click.echo(f"share of the limit: {share:.2f}")
    if json_path is not None:
        told = {"image_size": image_size, "batch_size": batch_size, "device": chosen, "threads": threads}
        write_json_atomically(json_path, {**told, "share_of_limit": share, "sides": [asdict(side) for side in sides]})
