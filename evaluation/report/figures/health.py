"""Draw the health curves of pretraining runs: a panel a figure of metrics.jsonl, a line a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation.report.figures.curves import thinned
from evaluation.report.figures.style import RC, Axis, percent_axis, shortened


@dataclass(frozen=True)
class HealthCurve:
    """A panel. key: in metrics.jsonl. dotted: a second key, drawn as a dotted line."""

    key: str
    title: str
    axis: Axis = "free"
    dotted: str | None = None


HEALTH_CURVES = (
    HealthCurve("loss", "contrastive loss, nats"),
    HealthCurve("top1", "contrastive top-1", "share"),
    HealthCurve("positive", "cosine with the key, and the nearest negative (dotted)", "free", "hardest_negative"),
    HealthCurve("effective_rank", "effective rank of the keys", "from zero"),
    HealthCurve("feature_std", "standard deviation of a feature", "from zero"),
    HealthCurve("gradient_norm", "gradient norm", "from zero"),
    HealthCurve("momentum_distance", "distance of the encoders", "from zero"),
    HealthCurve("knn_auroc", "AUROC of the nearest neighbours"),
    HealthCurve("lr", "learning rate", "from zero"),
    HealthCurve("images_per_second", "images/s", "from zero"),
    HealthCurve("data_wait", "time waiting for data", "share"),
)
# Okabe and Ito's colours with a dash each, so that runs differ without colour too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES = ("-", "--", "-.", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
_COLUMNS = 3

Lines = Sequence[Mapping[str, float]]


def health_drawing(runs: Mapping[str, Lines]) -> Figure:
    """A panel for each curve that any run has, a line a run. runs: by name, the lines of metrics.jsonl."""
    curves = [curve for curve in HEALTH_CURVES if any(curve.key in line for lines in runs.values() for line in lines)]
    rows = max(1, -(-len(curves) // _COLUMNS))
    with mpl.rc_context(RC):
        figure = Figure(figsize=(9, 0.4 + 0.17 * len(runs) + 2.0 * rows), layout="constrained")
        panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for axes, curve in zip(panels, curves, strict=False):
            _panel(axes, curve, runs)
        for axes in panels[len(curves) :]:
            axes.remove()
        if len(runs) > 1:
            handles, names = panels[0].get_legend_handles_labels()
            # A row a run: names may be long.
            figure.legend(handles, names, loc="outside upper left", ncols=1, frameon=False, fontsize=8)
    return figure


def _panel(axes: Axes, curve: HealthCurve, runs: Mapping[str, Lines]) -> None:
    for number, (name, lines) in enumerate(runs.items()):
        colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
        axes.plot(*_series(lines, curve.key), color=colour, ls=dash, lw=1.2, label=shortened(name, 80))
        if curve.dotted:
            axes.plot(*_series(lines, curve.dotted), color=colour, ls=":", lw=1.2)
    if curve.axis == "share":
        percent_axis(axes)
    if curve.axis != "free":
        axes.set_ylim(bottom=0)
    axes.set_title(curve.title, fontsize=9)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))


def _series(lines: Lines, key: str) -> tuple[list[float], list[float]]:
    there = [line for line in lines if "step" in line and key in line]
    return thinned([line["step"] for line in there], [line[key] for line in there])
