"""Draw curves over steps or epochs: one quantity, a line a model."""

import math
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation.report.figures.style import MOCO, RC, Axis, Panel, arm_style, percent_axis, shortened
from evaluation.report.figures.svg import figure_svg

_CURVE_POINTS = 400


def curve_figure(
    curves: Mapping[str, Sequence[tuple[Sequence[float], Sequence[float]]]],
    title: str,
    x_label: str,
    identity: str,
    *,
    axis: Axis = "free",
) -> Panel:
    """Lines over steps or epochs. curves: by name, each a list of (x, y); an unnamed one ("") has no legend.

    Long curves are shown as the means of at most 400 stretches. axis: of y; a share begins at zero too, and is written
    as a percentage.
    """
    with mpl.rc_context(RC):
        figure = Figure(figsize=(3.1, 1.85))
        figure.subplots_adjust(left=0.16, right=0.95, bottom=0.23, top=0.97)
        axes = figure.add_subplot()
        for name, lines in curves.items():
            colour, marker, dashes = arm_style(name or MOCO, list(curves))
            for number, (x, y) in enumerate(lines):
                label = shortened(name, 30) if name and number == 0 else None
                few = marker if len(x) <= 12 else None
                axes.plot(*thinned(x, y), color=colour, ls=dashes, lw=1.2, alpha=0.9, marker=few, ms=3, label=label)
        if axis == "share":
            percent_axis(axes)
        if axis != "free":
            axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.set_xlabel(x_label)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False, handlelength=2.6)
        return Panel(title, figure_svg(figure, identity, title))


def thinned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most 400 points: each the mean of a stretch of neighbours."""
    size = math.ceil(len(x) / _CURVE_POINTS) or 1
    starts = range(0, len(x), size)
    means = [
        [math.fsum(values[start : start + size]) / len(values[start : start + size]) for start in starts]
        for values in (x, y)
    ]
    return means[0], means[1]
