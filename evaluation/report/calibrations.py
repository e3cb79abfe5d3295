"""Draw the reliability curves of the files of `cxr-eval calibration`."""

from collections.abc import Iterator, Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from evaluation.report.figures import RC, Panel, figure_svg
from evaluation.report.records import Bin, CalibrationRow

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = "os^Dv<P"


def reliability_figures(rows: Sequence[CalibrationRow], identity: str) -> Iterator[Panel]:
    """A figure a file and label, a line an arm."""
    panels: dict[tuple[str, str], dict[str, tuple[Bin, ...]]] = {}
    for row in rows:
        if row.bins:
            panels.setdefault((row.source, row.label), {})[row.arm] = row.bins
    for number, ((_, label), arms) in enumerate(panels.items()):
        title = f"{label}: reliability"
        yield Panel(title, figure_svg(_drawn(arms), f"{identity}n{number}", title))


def _drawn(arms: Mapping[str, tuple[Bin, ...]]) -> Figure:
    with mpl.rc_context(RC):
        figure = Figure(figsize=(3.1, 2.9))
        figure.subplots_adjust(left=0.16, right=0.97, bottom=0.16, top=0.9)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color="#777777", lw=0.8, ls=(0, (4, 3)))
        for number, (arm, bins) in enumerate(arms.items()):
            colour = _COLOURS[number % len(_COLOURS)]
            x, y = [one.predicted for one in bins], [one.observed for one in bins]
            axes.plot(x, y, color=colour, marker=_MARKERS[number % len(_MARKERS)], ms=4, lw=1.2, label=arm)
            for one in bins:
                if one.ci is not None:
                    axes.plot([one.predicted] * 2, one.ci, color=colour, lw=1)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("predicted probability")
        axes.set_ylabel("observed fraction")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 0.98), ncols=len(arms), fontsize=8, frameon=False)
    return figure
