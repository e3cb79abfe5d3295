"""Draw a study for its page: AUROC by fraction of the labels, a panel a dataset and label, from its gains.csv.

python -m experiments.study_picture study/tables/gains.csv OUT.svg --backbone mobilenet_v2 --reference start
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import click
import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from evaluation.report.figures.fractions import auroc_limits, draw_fractions
from evaluation.report.figures.style import RC
from evaluation.statistics.result import Value
from shards.durable import write_atomically

ACROSS = 3
WIDTH, HEIGHT = 3.1, 2.6  # inches of a panel


@dataclass(frozen=True)
class Row:
    """What each arm reaches at a fraction of the labels."""

    fraction: float
    arms: dict[str, Value] = field(default_factory=dict)


def panels_of(path: Path, backbone: str, reference: str, method: str) -> dict[str, list[Row]]:
    """The rows of a gains.csv by `dataset, label`; the reference is the first arm of each."""
    found: dict[str, dict[float, Row]] = {}
    wanted = (backbone, reference, method, "auroc")
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if (line["backbone"], line["reference"], line["method"], line["metric"]) == wanted:
                fraction = float(line["fraction"])
                panel = found.setdefault(f"{line['dataset']}, {line['label']}", {})
                row = panel.setdefault(fraction, Row(fraction))
                row.arms[reference] = _value(line, "reference_")
                row.arms[line["arm"]] = _value(line, "arm_")
    return {title: list(rows.values()) for title, rows in found.items()}


def _value(line: dict[str, str], of: str) -> Value:
    low, high = line[f"{of}ci_low"], line[f"{of}ci_high"]
    return Value(float(line[f"{of}value"]), (float(low), float(high)) if low and high else None)


def picture(panels: dict[str, list[Row]]) -> Figure:
    """Draw the panels, three in a row, with one legend. An arm has one colour in all of them."""
    arms = list(dict.fromkeys(arm for rows in panels.values() for row in rows for arm in row.arms))
    down, across = -(-len(panels) // ACROSS), min(ACROSS, len(panels))
    with mpl.rc_context(RC):
        figure = Figure(figsize=(WIDTH * across, 0.4 + HEIGHT * down), layout="constrained")
        places = np.atleast_1d(figure.subplots(down, across)).ravel()
        named: dict[str, Artist] = {}
        for axes, (title, rows) in zip(places, panels.items(), strict=False):
            draw_fractions(axes, rows, arms, auroc_limits(rows) or (0.0, 1.0), width=WIDTH - 0.6, longest=40)
            axes.set_title(title, fontsize=9)
            handles, names = axes.get_legend_handles_labels()
            named |= dict(zip(names, handles, strict=True))
        for axes in places[len(panels) :]:
            axes.set_axis_off()
        figure.legend(list(named.values()), list(named), loc="outside upper center", ncols=len(named), frameon=False)
    return figure


@click.command()
@click.argument("gains", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--backbone", required=True, help="Name of the pretraining in the study file.")
@click.option("--reference", default="start", show_default=True, help="Arm that the gains are over.")
@click.option("--method", default="probe", show_default=True)
def main(gains: Path, out: Path, backbone: str, reference: str, method: str) -> None:
    """Read GAINS (gains.csv of a study) and write the picture OUT (SVG)."""
    panels = panels_of(gains, backbone, reference, method)
    if not panels:
        raise click.ClickException(
            f"{gains}: no row has backbone {backbone}, reference {reference} and method {method}"
        )
    with mpl.rc_context({**RC, "svg.hashsalt": "study"}), write_atomically(out) as file:
        picture(panels).savefig(file, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
