"""Draw the paper's figure: AUROC with intervals against the fraction of training labels, a line an arm."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from evaluation.report.figures.style import (
    DASHED,
    RC,
    REFERENCE,
    Panel,
    arm_style,
    legend_above,
    legend_height,
    percent,
    shortened,
    text_width,
)
from evaluation.report.figures.svg import figure_svg
from evaluation.statistics.result import Value

CHANCE = 0.5
_NEAR_CHANCE = 0.6
_WIDTH, _LEFT, _RIGHT = 3.1, 0.16, 0.97
_HEIGHT, _BELOW = 1.8, 0.45  # inches of the axes, and below them
_LONGEST = 22  # characters of an arm's name


class FractionRow(Protocol):
    """A label fraction with the estimate of each arm."""

    @property
    def fraction(self) -> float:
        """Of the training labels, 0..1."""

    @property
    def arms(self) -> Mapping[str, Value]:
        """By name."""


def auroc_limits(rows: Sequence[FractionRow]) -> tuple[float, float] | None:
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
    rows: Sequence[FractionRow], arms: Sequence[str], limits: tuple[float, float], title: str, identity: str
) -> Panel:
    """AUROC against label fraction with intervals, as the page shows it.

    identity: prefix that keeps the SVG's ids apart from those of the page's other figures.
    """
    return Panel(title, figure_svg(fraction_drawing(rows, arms, limits), identity, title))


def fraction_drawing(rows: Sequence[FractionRow], arms: Sequence[str], limits: tuple[float, float]) -> Figure:
    """AUROC against label fraction with intervals, a line an arm. rows: of one label and method."""
    with mpl.rc_context(RC):
        above = legend_height([shortened(arm, _LONGEST) for arm in arms], _WIDTH) + 0.06
        height = _BELOW + _HEIGHT + above
        figure = Figure(figsize=(_WIDTH, height))
        # A layout engine would take half the time.
        figure.subplots_adjust(left=_LEFT, right=_RIGHT, bottom=_BELOW / height, top=1 - above / height)
        axes = figure.add_subplot()
        draw_fractions(axes, rows, arms, limits, width=_WIDTH * (_RIGHT - _LEFT))
        legend_above(axes, _WIDTH)
    return figure


def draw_fractions(
    axes: Axes,
    rows: Sequence[FractionRow],
    arms: Sequence[str],
    limits: tuple[float, float],
    width: float,
    longest: int = _LONGEST,
) -> None:
    """Draw the lines of `fraction_drawing` into axes. width: of the axes in inches. longest: characters of a name."""
    fractions = sorted({row.fraction for row in rows})
    for place, arm in enumerate(arms):
        # A few percent to the side, so that the intervals of two arms do not hide each other.
        aside = 1.06 ** (place - (len(arms) - 1) / 2)
        _draw_arm(axes, rows, arm, aside, arm_style(arm, arms), shortened(arm, longest))
    axes.set_xscale("log")
    axes.set_xlim(fractions[0] / 1.5, fractions[-1] * 1.5)
    _label_fractions(axes, fractions, width)
    axes.set_ylim(*limits)
    if limits[0] <= CHANCE <= limits[1]:
        axes.axhline(CHANCE, color=REFERENCE, lw=0.8, ls=DASHED, zorder=1, gid="chance")
    axes.set_xlabel("training labels")
    axes.set_ylabel("AUROC")


def labelled_fractions(fractions: Sequence[float], width: float) -> list[float]:
    """Choose the fractions whose labels fit on a log axis beside each other: the last, then the first, then the others.

    fractions: ascending. width: of the axis in inches.
    """
    low, high = fractions[0] / 1.5, fractions[-1] * 1.5

    def ends(fraction: float) -> tuple[float, float]:
        middle = width * math.log(fraction / low) / math.log(high / low)
        half = text_width(percent(fraction), 9) / 2
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


def _draw_arm(
    axes: Axes, rows: Sequence[FractionRow], arm: str, aside: float, style: tuple[str, str, Any], label: str
) -> None:
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
    axes.plot(x, y, color=colour, ls=dashes, lw=1.4, marker=marker, ms=4.5, label=label)
    for place, (_, _, interval) in zip(x, points, strict=True):
        if interval:
            axes.plot([place, place], interval, color=colour, lw=1.2, solid_capstyle="butt")
