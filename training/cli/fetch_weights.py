"""`cxr-train fetch-weights`."""

from dataclasses import dataclass

import click

from shards.terminal.options import OptionsCommand, option, takes
from training.backbones.architectures import ARCHITECTURES


@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """Which weights are fetched."""

    architecture: tuple[str, ...] = option(
        ("resnet18", "densenet121"),
        click.Choice(ARCHITECTURES),
        multiple=True,
        help="Architecture to fetch; repeat for several.",
    )


@click.command("fetch-weights", cls=OptionsCommand)
@takes(FetchOptions)
def fetch_weights(options: FetchOptions) -> None:
    """Fetch torchvision's ImageNet weights on a machine with network.

    Reads them from torchvision's own address, checks their SHA-256 and writes them into torchvision's cache
    ($TORCH_HOME, else ~/.cache/torch), where the other commands look for them. None of those needs a network.
    """
    from training.backbones.fetch_weights import fetch_imagenet
    from training.backbones.weight_files import imagenet_path

    for architecture in options.architecture:
        path = fetch_imagenet(architecture)
        click.echo(f"{path or imagenet_path(architecture)}{'' if path else ' is there already'}")
