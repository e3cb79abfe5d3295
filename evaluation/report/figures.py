"""Draw the report's figures as inline SVG: AUROC by label fraction with intervals, curves of training.

The SVG loads nothing: no font, no style sheet, no script.
"""

import html
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from evaluation.calibration.reliability import Bin
from evaluation.report.calibrations import CalibrationRow
from evaluation.report.gains import IMAGENET, MOCO, RANDOM, GainRow
from evaluation.report.text import percent as percent

# Okabe and Ito's colours, which stay apart for all common kinds of colour blindness; marker and dash differ too.
_STYLES = {MOCO: ("#0072B2", "o", "-"), RANDOM: ("#D55E00", "s", "--"), IMAGENET: ("#009E73", "^", "-.")}
_OTHER_STYLES = (("#CC79A7", "D", ":"), ("#56B4E9", "v", (0, (5, 1))), ("#000000", "P", (0, (1, 1))))
_INK, _FAINT = "#333333", "#dddddd"
_CURVE_POINTS = 400
CHANCE = 0.5
_NEAR_CHANCE = 0.6
_CHARACTER = 9 * 0.6 / 72  # inches: the width of a digit at 9 points, and a little

_ARM_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_ARM_MARKERS = "os^Dv<P"

Axis = Literal["free", "from zero", "share"]


@dataclass(frozen=True)
class Panel:
    """One figure: its title, which the page sets above it, where it may wrap, and its SVG element."""

    title: str
    svg: str


RC: Any = {
    "svg.fonttype": "none",  # text stays text, in the page's own font
    "text.parse_math": False,  # a label may hold a dollar sign
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _FAINT,
    "grid.linewidth": 0.6,
}


def auroc_limits(rows: Sequence[GainRow]) -> tuple[float, float] | None:
    """Common limits of the AUROC axis for all panels of a table; None where nothing is defined."""
    bounds = [
        bound
        for row in rows
        for estimate in row.arms.values()
        if estimate.value is not None
        for bound in (estimate.value, *(estimate.ci or ()))
    ]
    if not bounds:
        return None
    low = max(0.0, math.floor(min(bounds) * 20 - 0.2) / 20)
    low = CHANCE if CHANCE < low <= _NEAR_CHANCE else low  # so that the line of chance is seen where it is near
    return low, min(1.0, math.ceil(max(bounds) * 20 + 0.2) / 20)


def fraction_figure(
    rows: Sequence[GainRow], arms: Sequence[str], limits: tuple[float, float], title: str, identity: str
) -> Panel:
    """AUROC against label fraction with intervals, as the page shows it.

    identity: prefix that keeps the SVG's ids apart from those of the page's other figures.
    """
    return Panel(title, figure_svg(fraction_drawing(rows, arms, limits), identity, title))


def fraction_drawing(rows: Sequence[GainRow], arms: Sequence[str], limits: tuple[float, float]) -> Figure:
    """AUROC against label fraction with intervals, a line an arm. rows: of one label and method."""
    fractions = sorted({row.fraction for row in rows})
    with mpl.rc_context(RC):
        figure = Figure(figsize=(3.1, 2.5))
        figure.subplots_adjust(left=0.16, right=0.97, bottom=0.18, top=0.89)  # a layout engine would take half the time
        axes = figure.add_subplot()
        for place, arm in enumerate(arms):
            # A few percent to the side, so that the intervals of two arms do not hide each other.
            aside = 1.06 ** (place - (len(arms) - 1) / 2)
            _draw_arm(axes, rows, arm, aside, _style(arm, arms))
        axes.set_xscale("log")
        axes.set_xlim(fractions[0] / 1.5, fractions[-1] * 1.5)
        _label_fractions(axes, fractions, width=3.1 * 0.81)
        axes.set_ylim(*limits)
        if limits[0] <= CHANCE <= limits[1]:
            axes.axhline(CHANCE, color="#777777", lw=0.8, ls=(0, (4, 3)), zorder=1, gid="chance")
        axes.set_xlabel("training labels")
        axes.set_ylabel("AUROC")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(  # above the axes, which intervals fill
                loc="lower center",
                bbox_to_anchor=(0.5, 0.98),
                ncols=len(arms),
                fontsize=8,
                frameon=False,
                handlelength=2.2,
                columnspacing=1.0,
            )
    return figure


def labelled_fractions(fractions: Sequence[float], width: float) -> list[float]:
    """Choose the fractions whose labels fit on a log axis beside each other: the last, then the first, then the others.

    fractions: ascending. width: of the axis in inches.
    """
    low, high = fractions[0] / 1.5, fractions[-1] * 1.5

    def ends(fraction: float) -> tuple[float, float]:
        middle = width * math.log(fraction / low) / math.log(high / low)
        half = (len(percent(fraction)) + 1) * _CHARACTER / 2
        return middle - half, middle + half

    chosen: list[float] = []
    for fraction in dict.fromkeys((fractions[-1], fractions[0], *reversed(fractions))):
        left, right = ends(fraction)
        if all(right <= ends(other)[0] or left >= ends(other)[1] for other in chosen):
            chosen.append(fraction)
    return sorted(chosen)


def _label_fractions(axes: Axes, fractions: Sequence[float], width: float) -> None:
    """A tick at each fraction, and its label where there is room for it."""
    labelled = labelled_fractions(fractions, width)
    axes.xaxis.set_major_locator(FixedLocator(labelled))
    axes.xaxis.set_minor_locator(FixedLocator([fraction for fraction in fractions if fraction not in labelled]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: percent(share)))
    axes.xaxis.set_minor_formatter(NullFormatter())


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
            colour, marker, dashes = _style(name or MOCO, list(curves))
            for number, (x, y) in enumerate(lines):
                label = name if name and number == 0 else None
                few = marker if len(x) <= 12 else None
                axes.plot(*thinned(x, y), color=colour, ls=dashes, lw=1.2, alpha=0.9, marker=few, ms=3, label=label)
        if axis == "share":
            axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: percent(round(share, 6))))
        if axis != "free":
            axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.set_xlabel(x_label)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False, handlelength=2.6)
        return Panel(title, figure_svg(figure, identity, title))


def reliability_figures(rows: Sequence[CalibrationRow], identity: str) -> Iterator[Panel]:
    """A figure a file and label, a line an arm."""
    panels: dict[tuple[str, str], dict[str, tuple[Bin, ...]]] = {}
    for row in rows:
        if row.bins:
            panels.setdefault((row.source, row.label), {})[row.arm] = row.bins
    for number, ((_, label), arms) in enumerate(panels.items()):
        title = f"{label}: reliability"
        yield Panel(title, figure_svg(_reliability_drawing(arms), f"{identity}n{number}", title))


def _reliability_drawing(arms: Mapping[str, tuple[Bin, ...]]) -> Figure:
    with mpl.rc_context(RC):
        figure = Figure(figsize=(3.1, 2.9))
        figure.subplots_adjust(left=0.16, right=0.97, bottom=0.16, top=0.9)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color="#777777", lw=0.8, ls=(0, (4, 3)))
        for number, (arm, bins) in enumerate(arms.items()):
            colour = _ARM_COLOURS[number % len(_ARM_COLOURS)]
            x, y = [one.predicted for one in bins], [one.observed for one in bins]
            axes.plot(x, y, color=colour, marker=_ARM_MARKERS[number % len(_ARM_MARKERS)], ms=4, lw=1.2, label=arm)
            for one in bins:
                if one.ci is not None:
                    axes.plot([one.predicted] * 2, one.ci, color=colour, lw=1)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("predicted probability")
        axes.set_ylabel("observed fraction")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 0.98), ncols=len(arms), fontsize=8, frameon=False)
    return figure


def _draw_arm(axes: Axes, rows: Sequence[GainRow], arm: str, aside: float, style: tuple[str, str, Any]) -> None:
    """One arm's points in order of fraction; where rows repeat a fraction, each has its own point."""
    colour, marker, dashes = style
    points = sorted(
        (row.fraction, value, row.arms[arm].ci or ())
        for row in rows
        if arm in row.arms and (value := row.arms[arm].value) is not None
    )
    if not points:
        return
    x = [fraction * aside for fraction, _, _ in points]
    y = [value for _, value, _ in points]
    axes.plot(x, y, color=colour, ls=dashes, lw=1.4, marker=marker, ms=4.5, label=arm)
    for place, (_, _, interval) in zip(x, points, strict=True):
        if interval:
            axes.plot([place, place], interval, color=colour, lw=1.2, solid_capstyle="butt")


def _style(name: str, names: Sequence[str]) -> tuple[str, str, Any]:
    if name in _STYLES:
        return _STYLES[name]
    others = [other for other in names if other not in _STYLES]
    return _OTHER_STYLES[others.index(name) % len(_OTHER_STYLES)]


def thinned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most 400 points: each the mean of a stretch of neighbours."""
    size = math.ceil(len(x) / _CURVE_POINTS) or 1
    starts = range(0, len(x), size)
    means = [
        [math.fsum(values[start : start + size]) / len(values[start : start + size]) for start in starts]
        for values in (x, y)
    ]
    return means[0], means[1]


def figure_svg(figure: Figure, identity: str, title: str) -> str:
    """The figure as an SVG element whose ids begin with `identity`, the same bytes for the same figure."""
    buffer = io.StringIO()
    with mpl.rc_context({**RC, "svg.hashsalt": identity}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Type", "Format")))
    text = buffer.getvalue()
    text = f'<svg role="img" aria-label="{html.escape(title)}"' + text[text.index("<svg") + 4 :].rstrip()
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)  # a style here would be the page's
    text = re.sub(r'\bid="', f'id="{identity}-', text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{identity}-", text)
