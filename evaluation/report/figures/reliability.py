"""Draw reliability: observed against predicted fractions, bin by bin, with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.calibration.reliability import Bin
from evaluation.report.figures.style import (
    DASHED,
    RC,
    REFERENCE,
    Panel,
    arm_style,
    legend_above,
    legend_height,
    shortened,
)
from evaluation.report.figures.svg import figure_svg

_WIDTH, _COLUMNS = 3.1, 3
_SIDE = 2.4  # inches of a plot's square, about
_LONGEST = 22  # characters of an arm's name


class CalibrationLike(Protocol):
    """An arm and label of a file."""

    @property
    def source(self) -> str:
        """Name of the file."""

    @property
    def label(self) -> str:
        """Name of the label."""

    @property
    def arm(self) -> str:
        """Name of the arm."""

    @property
    def bins(self) -> Sequence[Bin]:
        """In order of the probability."""


Arms = Mapping[str, Sequence[Bin]]


def by_file_and_label(rows: Sequence[CalibrationLike]) -> dict[str, dict[str, dict[str, Sequence[Bin]]]]:
    """Bins by file, label and arm, of those that have any."""
    found: dict[str, dict[str, dict[str, Sequence[Bin]]]] = {}
    for row in rows:
        if row.bins:
            found.setdefault(row.source, {}).setdefault(row.label, {})[row.arm] = row.bins
    return found


def reliability_figures(rows: Sequence[CalibrationLike], identity: str) -> Iterator[Panel]:
    """A figure a file and label, a line an arm."""
    number = 0
    for labels in by_file_and_label(rows).values():
        for label, arms in labels.items():
            title = f"{label}: reliability"
            drawing = reliability_drawing({label: arms}, titles=False)
            yield Panel(title, figure_svg(drawing, f"{identity}n{number}", title))
            number += 1


def reliability_drawing(labels: Mapping[str, Arms], *, titles: bool = True) -> Figure:
    """A panel a label, a line an arm. titles: name the label above each panel."""
    columns = min(_COLUMNS, len(labels))
    rows = -(-len(labels) // columns)
    above = max(legend_height([shortened(arm, _LONGEST) for arm in arms], _WIDTH) for arms in labels.values())
    with mpl.rc_context(RC):
        figure = Figure(figsize=(_WIDTH * columns, 3.1 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (label, arms) in zip(panels, labels.items(), strict=False):
            _panel(axes, arms)
            if titles:
                axes.set_title(shortened(label, 34), fontsize=9, y=1 + (above + 0.05) / _SIDE)
        for axes in panels[len(labels) :]:
            axes.remove()
    return figure


def _panel(axes: Axes, arms: Arms) -> None:
    axes.plot([0, 1], [0, 1], color=REFERENCE, lw=0.8, ls=DASHED)
    for arm, bins in arms.items():
        colour, marker, dashes = arm_style(arm, list(arms))
        x, y = [one.predicted for one in bins], [one.observed for one in bins]
        axes.plot(x, y, color=colour, marker=marker, ms=4, lw=1.2, ls=dashes, label=shortened(arm, _LONGEST))
        for one in bins:
            if one.ci is not None:
                axes.plot([one.predicted] * 2, one.ci, color=colour, lw=1)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_box_aspect(1)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("observed fraction")
    legend_above(axes, _WIDTH)
