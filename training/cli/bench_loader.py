"""`cxr-train bench-loader`."""

from dataclasses import asdict, dataclass
from pathlib import Path

import click

from shards.terminal.options import OptionsCommand, option, takes
from training.options import ABOVE_ZERO, COUNT, DEVICE, FOLDER, IMAGE_SIZE, THREADS, AugmentationOptions


@dataclass(frozen=True, kw_only=True)
class BenchLoaderOptions(AugmentationOptions):
    """Options of `cxr-train bench-loader`. threads: None takes the cores granted."""

    shards: tuple[Path, ...] = option(
        type=FOLDER,
        multiple=True,
        metavar="DIR",
        help="Dataset to read; its train split only. Repeat the option for several.",
    )
    image_size: int = option(320, IMAGE_SIZE, help="Side of a view in pixels.")
    batch_size: int = option(64, COUNT, help="Number of images in a batch.")
    device: str = option("auto", DEVICE, help="Device that decodes; auto takes a GPU where there is one.")
    threads: int | None = option(None, THREADS, help="Number of CPU threads.", unset="the cores granted")
    seconds: float = option(3.0, ABOVE_ZERO, help="Length of each measurement in seconds.")
    rounds: int = option(3, COUNT, help="Number of measurements of each side, in turn.")
    json: Path | None = option(
        None, click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="JSON file to write the same to."
    )


@click.command("bench-loader", cls=OptionsCommand)
@takes(BenchLoaderOptions)
def bench_loader(options: BenchLoaderOptions) -> None:
    """Measure the loader on your shards and machine.

    Reads the train splits of datasets of shards. Prints images/s (each with both views) and CPU milliseconds an image
    of the whole loader, of the least that DALI could do (one decode and two warps of images in memory, on the same
    threads) and of reading alone; and the share of that limit which the loader reaches. Where views have a tone curve,
    which is looked up while pixels are normalised, also of both together. --json writes the same as
    {"image_size", "batch_size", "device", "threads", "share_of_limit", "sides": [{"name", "images_per_second",
    "cpu_ms", "spread"}]}.
    """
    import torch

    from shards.durable import write_json_atomically
    from shards.format.dataset import open_datasets
    from shards.loading.loaders import TwoViewBatch
    from shards.loading.placement import Placement
    from shards.loading.speed import LIMIT, LOADER, Timing, loader_speed
    from training.backbones.networks import images_to_input
    from training.processes.devices import available_threads, choose_device

    threads, device = options.threads or available_threads(), choose_device(options.device)
    datasets, views = open_datasets(options.shards), options.view_range()
    torch.set_num_threads(threads)

    def with_input(batch: TwoViewBatch) -> None:
        images_to_input(batch.query, datasets[0].mean, datasets[0].std, batch.query_tones)
        images_to_input(batch.key, datasets[0].mean, datasets[0].std, batch.key_tones)

    sides = loader_speed(
        datasets,
        image_size=options.image_size,
        batch_size=options.batch_size,
        placement=Placement(device, 0, threads),
        timing=Timing(options.seconds, options.rounds),
        views=views,
        as_input=with_input if views.tones else None,
    )
    by_name = {side.name: side for side in sides}
    fraction = by_name[LOADER].images_per_second / by_name[LIMIT].images_per_second
    click.echo(f"{options.image_size} px, batches of {options.batch_size}, {threads} threads, {device}")
    click.echo(f"{'':32} {'images/s':>10} {'least':>8} {'most':>8} {'CPU ms':>8}")
    for side in sides:
        least, most = side.spread
        click.echo(f"{side.name:32} {side.images_per_second:>10,.0f} {least:>8,.0f} {most:>8,.0f} {side.cpu_ms:>8.3f}")
    click.echo(f"fraction of the limit: {fraction:.2f}")
    if options.json is not None:
        setting = {"image_size": options.image_size, "batch_size": options.batch_size, "device": device}
        figures = {"threads": threads, "share_of_limit": fraction, "sides": [asdict(side) for side in sides]}
        write_json_atomically(options.json, {**setting, **figures})
