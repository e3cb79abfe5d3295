"""Draw ROC and precision-recall curves with bootstrap bands, and the operating points of readers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.curves.content import Band, LabelCurves, ReaderPoint
from evaluation.report.figures.style import (
    DASHED,
    INK,
    RC,
    REFERENCE,
    Panel,
    arm_style,
    legend_above,
    legend_height,
    shortened,
)
from evaluation.report.figures.svg import figure_svg

Kind = Literal["roc", "pr"]
ROC: Kind = "roc"
PR: Kind = "pr"
KIND_NAMES: Mapping[Kind, str] = {ROC: "ROC curve", PR: "precision and recall"}

_SIDE = 2.5  # inches of a plot's square
_WIDTH = 3.1
_COLUMNS = 3
_MARKERS = "x+1234*dhpX"


@dataclass(frozen=True)
class CurvesOfLabel:
    """A label's curves. names: what each arm is called."""

    label: str
    curves: LabelCurves
    grid: Sequence[float]
    names: Mapping[str, str]


def operating_figure(one: CurvesOfLabel, kind: Kind, identity: str) -> Panel:
    """One label's curves, as the page shows them."""
    title = f"{one.label}: {KIND_NAMES[kind]}"
    return Panel(title, figure_svg(curves_drawing([one], kind, titles=False), identity, title))


def curves_drawing(labels: Sequence[CurvesOfLabel], kind: Kind, *, titles: bool = True) -> Figure:
    """A panel a label. titles: name the label above each panel."""
    columns = min(_COLUMNS, len(labels))
    rows = -(-len(labels) // columns)
    legends = [_legend(one, kind) for one in labels]
    above = max(legend_height(names, _WIDTH) for names in legends) + (0.3 if titles else 0.08)
    height = _SIDE + 0.5 + above
    with mpl.rc_context(RC):
        figure = Figure(figsize=(_WIDTH * columns, height * rows))
        for number, one in enumerate(labels):
            row, column = divmod(number, columns)
            axes = figure.add_axes(
                (
                    (column * _WIDTH + 0.5) / (_WIDTH * columns),
                    ((rows - 1 - row) * height + 0.45) / (height * rows),
                    _SIDE / (_WIDTH * columns),
                    _SIDE / (height * rows),
                )
            )
            _panel(axes, one, kind)
            if titles:
                axes.set_title(shortened(one.label, 34), fontsize=9, y=1 + (above - 0.25) / _SIDE)
    return figure


def _panel(axes: Axes, one: CurvesOfLabel, kind: Kind) -> None:
    if kind == ROC:
        axes.plot([0, 1], [0, 1], color=REFERENCE, lw=0.8, ls=DASHED, zorder=1, gid="chance")
    elif one.curves.n:
        prevalence = one.curves.positives / one.curves.n
        axes.axhline(prevalence, color=REFERENCE, lw=0.8, ls=DASHED, zorder=1, gid="chance")
    for arm, curves in one.curves.arms.items():
        band = curves.roc if kind == ROC else curves.pr
        if band is not None:
            _draw_band(axes, one, arm, band)
    for number, (reader, point) in enumerate(one.curves.readers.items()):
        _draw_reader(axes, reader, point, kind, _MARKERS[number % len(_MARKERS)])
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.005)
    axes.set_xlabel("1 − specificity" if kind == ROC else "recall (sensitivity)")
    axes.set_ylabel("sensitivity" if kind == ROC else "precision (PPV)")
    legend_above(axes, _WIDTH)


def _legend(one: CurvesOfLabel, kind: Kind) -> list[str]:
    arms = [_named(one, arm, c.roc if kind == ROC else c.pr) for arm, c in one.curves.arms.items()]
    return arms + [shortened(reader, 22) for reader in one.curves.readers]


def _named(one: CurvesOfLabel, arm: str, band: Band | None) -> str:
    name = shortened(one.names.get(arm, arm), 22)
    return name if band is None else f"{name}, {band.area:.3f}"


def _draw_band(axes: Axes, one: CurvesOfLabel, arm: str, band: Band) -> None:
    names = [one.names.get(other, other) for other in one.curves.arms]
    colour, _, dashes = arm_style(one.names.get(arm, arm), names)
    x, y = list(one.grid), list(band.value)
    if band.low is not None and band.high is not None:
        axes.fill_between(x, band.low, band.high, color=colour, alpha=0.16, lw=0, gid="band")
    axes.plot(
        [0.0, *x],
        [0.0 if band is one.curves.arms[arm].roc else y[0], *y],
        color=colour,
        ls=dashes,
        lw=1.4,
        label=_named(one, arm, band),
    )


def _draw_reader(axes: Axes, reader: str, point: ReaderPoint, kind: Kind, marker: str) -> None:
    """A reader's sensitivity and specificity with their intervals, or recall and precision."""
    sensitivity, specificity = point.sensitivity, point.specificity
    if sensitivity.value is None:
        return
    if kind == PR:
        if point.precision is not None:
            axes.plot(
                [sensitivity.value],
                [point.precision],
                color=INK,
                marker=marker,
                ms=6,
                ls="",
                label=shortened(reader, 22),
                zorder=5,
            )
        return
    if specificity.value is None:
        return
    x, y = 1 - specificity.value, sensitivity.value
    if specificity.ci is not None:
        axes.plot([1 - specificity.ci[0], 1 - specificity.ci[1]], [y, y], color=INK, lw=0.7, alpha=0.7, zorder=4)
    if sensitivity.ci is not None:
        axes.plot([x, x], sensitivity.ci, color=INK, lw=0.7, alpha=0.7, zorder=4)
    axes.plot([x], [y], color=INK, marker=marker, ms=6, ls="", label=shortened(reader, 22), zorder=5)
