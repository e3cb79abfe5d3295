"""Draw a study for its page: AUROC by fraction of the labels, a panel a dataset and label, from its gains.csv.

python -m experiments.study_picture study/tables/gains.csv OUT.svg --backbone mobilenet_v2 --reference start
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shards.durable import write_atomically

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")  # Okabe and Ito's
MARKERS = ("o", "s", "^", "D")
GRAY = "#555555"
ACROSS = 3


@dataclass(frozen=True)
class Point:
    """What an arm reaches at a fraction, with its interval."""

    fraction: float
    value: float
    low: float
    high: float


Curve = list[Point]
Curves = dict[str, Curve]
"""By arm."""


def curves_of(path: Path, backbone: str, reference: str, method: str) -> dict[str, Curves]:
    """The curves of a gains.csv by `dataset, label`: the reference first, then the arms in the order of the table."""
    found: dict[str, dict[str, dict[float, Point]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (row["backbone"], row["reference"], row["method"], row["metric"]) != (
                backbone,
                reference,
                method,
                "auroc",
            ):
                continue
            arms = found.setdefault(f"{row['dataset']}, {row['label']}", {reference: {}})
            fraction = float(row["fraction"])
            arms[reference][fraction] = _point(row, "reference_", fraction)
            arms.setdefault(row["arm"], {})[fraction] = _point(row, "arm_", fraction)
    return {
        panel: {arm: [points[fraction] for fraction in sorted(points)] for arm, points in arms.items()}
        for panel, arms in found.items()
    }


def _point(row: dict[str, str], of: str, fraction: float) -> Point:
    low, high = (float(row[f"{of}ci_{end}"] or "nan") for end in ("low", "high"))
    return Point(fraction, float(row[f"{of}value"]), low, high)


def picture(panels: dict[str, Curves]) -> Figure:
    """Draw the panels, three in a row, with one legend. An arm has one colour in all of them."""
    arms = list(dict.fromkeys(arm for curves in panels.values() for arm in curves))
    down = -(-len(panels) // ACROSS)
    figure = Figure(figsize=(9, 0.4 + 2.6 * down), layout="constrained")
    places = np.atleast_1d(figure.subplots(down, min(ACROSS, len(panels)))).ravel()
    for axes, (title, curves) in zip(places, panels.items(), strict=False):
        _panel(axes, title, curves, arms)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    handles = dict(zip(*reversed(places[0].get_legend_handles_labels()), strict=True))
    for axes in places[1 : len(panels)]:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), frameon=False)
    return figure


def _panel(axes: Axes, title: str, curves: Curves, arms: Sequence[str]) -> None:
    fractions = sorted({point.fraction for curve in curves.values() for point in curve})
    for place, (arm, curve) in enumerate(curves.items()):
        number = arms.index(arm)
        colour, marker = (GRAY, "x") if number == 0 else (COLOURS[(number - 1) % 4], MARKERS[(number - 1) % 4])
        x = np.array([point.fraction for point in curve]) * 1.06 ** (place - (len(curves) - 1) / 2)
        y = np.array([point.value for point in curve])
        ends = np.abs(np.array([[point.low, point.high] for point in curve]).T - y)
        axes.errorbar(x, y, ends, color=colour, marker=marker, ms=4, lw=1.2, elinewidth=0.9, label=arm)
    axes.set_xscale("log")
    axes.set_xticks(fractions, [f"{100 * fraction:g}" for fraction in fractions])
    axes.minorticks_off()
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("labels used, %")
    axes.set_ylabel("AUROC")
    axes.grid(visible=True, color="#dddddd", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)


@click.command()
@click.argument("gains", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--backbone", required=True, help="Name of the pretraining in the study file.")
@click.option("--reference", default="start", show_default=True, help="Arm that is drawn in gray.")
@click.option("--method", default="probe", show_default=True)
def main(gains: Path, out: Path, backbone: str, reference: str, method: str) -> None:
    """Read GAINS (gains.csv of a study) and write the picture OUT (SVG)."""
    panels = curves_of(gains, backbone, reference, method)
    if not panels:
        raise click.ClickException(
            f"{gains}: no row has backbone {backbone}, reference {reference} and method {method}"
        )
    with (
        mpl.rc_context({"font.size": 8, "svg.hashsalt": "study", "svg.fonttype": "none"}),
        write_atomically(out) as file,
    ):
        picture(panels).savefig(file, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
