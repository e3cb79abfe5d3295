"""Print the AUROC of a probe or fine-tuning as a small table."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from training.downstream.model_directory import Auroc, Results


def print_results(results: "Results", output: Path) -> None:
    """Print the AUROC of each label and split, then the name of the model directory."""
    click.echo(f"{'AUROC':24} {'valid':>8} {'test':>8}")
    for label, by_split in results.items():
        cells = [_cell(by_split[split]) for split in ("valid", "test")]
        click.echo(f"{label:24} {cells[0]:>8} {cells[1]:>8}")
    click.echo(f"wrote {output}")


def _cell(result: "Auroc | None") -> str:
    if result is None:
        return "no split"
    return "undef." if result.auroc is None else f"{result.auroc:.3f}"
