"""Draw a forest plot: a line an estimate, with its interval, the values of its draws as points, and its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation.report.figures.style import DASHED, INK, RC, REFERENCE, Panel, shortened, text_width
from evaluation.report.figures.svg import figure_svg

_POINTS = 8  # size of the text beside the plot
_LINE = 0.2  # inches a line
_PLOT = 2.1  # inches of the plot itself
_GAP = 0.12
_LONGEST = 26  # characters of a row's name
_COLOUR, _POINT = "#0072B2", "#D55E00"
_DOT_STYLE: Any = {"ls": "", "marker": "o", "ms": 2.6, "mew": 0, "alpha": 0.75}


@dataclass(frozen=True)
class ForestRow:
    """An estimate. text: its numbers, beside the plot. draws: the values of each draw, drawn as points.

    weak: it rests on so little that it is drawn hollow and pale.
    """

    name: str
    value: float | None
    ci: tuple[float, float] | None
    text: str
    draws: tuple[float, ...] = ()
    weak: bool = False


@dataclass(frozen=True)
class ForestGroup:
    """Rows below a heading; a blank one is left out."""

    heading: str
    rows: tuple[ForestRow, ...]


@dataclass(frozen=True)
class Forest:
    """A plot. axis: what its values are. reference: where its dashed line stands; None for none."""

    axis: str
    groups: tuple[ForestGroup, ...]
    reference: float | None = 0.0

    @property
    def lines(self) -> list[str | ForestRow]:
        """Headings and rows from top to bottom."""
        return [
            line for group in self.groups for line in ((group.heading,) if group.heading else ()) + tuple(group.rows)
        ]


def forest_figure(forest: Forest, title: str, identity: str) -> Panel:
    """The plot as the page shows it."""
    return Panel(title, figure_svg(forest_drawing(forest), identity, title))


def forest_drawing(forest: Forest) -> Figure:
    """A line a row, in order from the top, as wide as its names, its numbers and the words below its axis need."""
    lines = forest.lines
    rows = [line for line in lines if isinstance(line, ForestRow)]
    below = shortened(forest.axis, 60)
    aside = (text_width(below, _POINTS) - _PLOT) / 2  # what the words below the axis need on either side of it
    left = max(aside, *(text_width(shortened(row.name, _LONGEST), _POINTS) for row in rows)) + _GAP
    right = max(aside, *(text_width(row.text, _POINTS) for row in rows)) + _GAP
    width, height = left + _PLOT + right, 0.62 + _LINE * len(lines)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((left / width, 0.5 / height, _PLOT / width, _LINE * len(lines) / height))
        if forest.reference is not None:
            axes.axvline(forest.reference, color=REFERENCE, lw=0.8, ls=DASHED, zorder=1, gid="reference")
        for place, line in enumerate(lines):
            if isinstance(line, str):
                _heading(axes, place, line, left)
            else:
                _row(axes, place, line, left)
        axes.set_ylim(len(lines) - 0.35, -0.5)
        axes.set_xlim(*_limits(rows, forest.reference))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
        signed = forest.reference == 0
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _tick(x, signed=signed)))
        axes.set_xlabel(below, fontsize=_POINTS)
        axes.tick_params(labelsize=_POINTS)
    return figure


def _heading(axes: Axes, place: int, heading: str, left: float) -> None:
    text = shortened(heading, 64)
    axes.text(
        -left / _PLOT,
        place,
        text,
        transform=axes.get_yaxis_transform(),
        fontsize=_POINTS,
        fontweight="bold",
        ha="left",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )


def _row(axes: Axes, place: int, row: ForestRow, left: float) -> None:
    for x, text in ((-left / _PLOT, shortened(row.name, _LONGEST)), (1 + _GAP / _PLOT, row.text)):
        axes.text(
            x, place, text, transform=axes.get_yaxis_transform(), fontsize=_POINTS, ha="left", va="center", color=INK
        )
    axes.plot(row.draws, [place + 0.24] * len(row.draws), color=_POINT, zorder=2, gid=f"draws{place}", **_DOT_STYLE)
    if row.value is None:
        return
    shade = 0.55 if row.weak else 1.0
    if row.ci is not None:
        axes.plot(row.ci, [place] * 2, color=_COLOUR, lw=1.4, alpha=shade, solid_capstyle="butt", zorder=3)
    face = "white" if row.weak else _COLOUR
    axes.plot([row.value], [place], marker="s", ms=4.5, color=_COLOUR, mfc=face, alpha=shade, zorder=4)


def _limits(rows: Sequence[ForestRow], reference: float | None) -> tuple[float, float]:
    shown = [x for row in rows for x in (row.value, *(row.ci or ()), *row.draws) if x is not None]
    shown += [reference] if reference is not None else []
    low, high = min(shown, default=0.0), max(shown, default=1.0)
    room = 0.06 * (high - low) or 0.05
    return low - room, high + room


def _tick(x: float, *, signed: bool) -> str:
    text = f"{x:+.3g}" if signed and x else f"{x:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")
