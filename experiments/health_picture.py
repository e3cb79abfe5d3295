"""Draw the health of pretraining runs, for docs/experiments/healthy-runs.md: six curves of their metrics.jsonl.

python -m experiments.health_picture OUT.svg "as it should be"=RUN "learning rate too high"=OTHER_RUN
"""

from collections.abc import Sequence
from pathlib import Path

import click
import matplotlib as mpl
from matplotlib.figure import Figure

from shards.durable import write_atomically
from training.runs.metrics_log import read_metrics

CURVES = (
    ("loss", "loss, nats"),
    ("top1", "top-1"),
    ("positive", "cosine with the own key (–) and\nthe nearest negative (··)"),
    ("feature_std", "feature_std"),
    ("effective_rank", "effective_rank"),
    ("gradient_norm", "gradient_norm"),
)
COLOURS = ("#0072B2", "#D55E00", "#009E73")  # Okabe and Ito's


def picture(runs: dict[str, list[dict[str, float]]]) -> Figure:
    """Draw six panels, with one line for each run, by name."""
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    panels = figure.subplots(2, 3)
    for axes, (key, title) in zip(panels.ravel(), CURVES, strict=True):
        for (name, lines), colour in zip(runs.items(), COLOURS, strict=False):
            steps = [line["step"] for line in lines]
            axes.plot(steps, [line.get(key, float("nan")) for line in lines], color=colour, lw=1.2, label=name)
            if key == "positive":
                axes.plot(steps, [line["hardest_negative"] for line in lines], color=colour, lw=1.2, ls=":")
        axes.set_title(title, fontsize=9)
        if key in ("top1", "positive"):
            axes.set_ylim(-0.02, 1.02)
        else:
            axes.set_ylim(bottom=0)
        axes.grid(visible=True, color="#dddddd", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[1]:
        axes.set_xlabel("step")
    if len(runs) > 1:
        figure.legend(
            *panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(runs), frameon=False
        )
    return figure


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("runs", nargs=-1, required=True, metavar="NAME=RUN...")
def main(out: Path, runs: Sequence[str]) -> None:
    """Read the metrics of each RUN and write the picture OUT (SVG)."""
    named = dict(run.split("=", 1) for run in runs)
    with mpl.rc_context({"font.size": 8, "svg.hashsalt": "health"}), write_atomically(out) as file:
        picture({name: read_metrics(Path(run)) for name, run in named.items()}).savefig(
            file, format="svg", metadata={"Date": None}
        )


if __name__ == "__main__":
    main()
