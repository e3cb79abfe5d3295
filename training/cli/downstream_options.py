"""Options that `cxr-train probe` and `cxr-train finetune` share, declared once, and what they mean."""

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from shards.terminal.recipes import recipe_option

_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    recipe_option,
    click.option("--shards", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Dataset of shards."),
    click.option(
        "--backbone-from",
        required=True,
        metavar="RUN|FILE|random|imagenet",
        help="A finished run of `cxr-train pretrain`, a file of weights with torchvision's names, random or imagenet.",
    ),
    click.option("--labels", required=True, metavar="NAME[,NAME...]", help="Labels to learn."),
    click.option("--output", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Model directory."),
    click.option(
        "--label-fraction",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        show_default=True,
        help="Share of the train split's samples whose labels are used.",
    ),
    click.option("--draw", type=click.IntRange(min=0), default=0, show_default=True, help="Which random subset."),
    click.option(
        "--uncertain",
        type=click.Choice(["ignore", "zeros", "ones"]),
        default="ignore",
        show_default=True,
        help="What an uncertain label (-1) means in training.",
    ),
    click.option(
        "--missing",
        type=click.Choice(["ignore", "zeros"]),
        default="ignore",
        show_default=True,
        help="What a label that is not mentioned means in training.",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of random weights and order."
    ),
    click.option(
        "--backbone",
        "architecture",
        type=click.Choice(["resnet18", "densenet121"]),
        help="Architecture of random, imagenet or FILE; a run knows its own.  [default: resnet18]",
    ),
    click.option(
        "--image-size", type=click.IntRange(min=32), help="Pixels a side; a run knows its own.  [default: 320]"
    ),
    click.option("--allow-unfinished", is_flag=True, help="Take an unfinished run's newest checkpoint."),
    click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True),
    click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: the cores granted]"),
)


@dataclass(frozen=True)
class Downstream:
    """The shared options as the command line gives them."""

    shards: Path
    backbone_from: str
    labels: str
    output: Path
    label_fraction: float
    draw: int
    uncertain: str
    missing: str
    seed: int
    architecture: str | None
    image_size: int | None
    allow_unfinished: bool
    device: str
    threads: int | None

    def of_start(self) -> dict[str, Any]:
        """The options that `training.downstream.start.begin` takes."""
        return {key: value for key, value in asdict(self).items() if key not in ("output", "device", "threads")}


def downstream_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: declares the shared options and hands them to the command as its first argument, a Downstream."""

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:  # noqa: ANN401 - click's own values
        values.pop("config", None)
        shared = {name: values.pop(name) for name in Downstream.__dataclass_fields__}
        command(Downstream(**shared), **values)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
