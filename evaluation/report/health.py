"""Draw the health curves of pretraining runs: a panel a figure of metrics.jsonl, a line a run."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation.report.figures import RC, Axis, Panel, figure_svg, percent, thinned
from evaluation.report.study import ReportError, Run, collect
from shards.durable import write_atomically

FORMATS = ("svg", "png", "pdf")


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


def compare_runs(folders: Sequence[Path], output: Path) -> list[str]:
    """Draw several runs into one figure, SVG, PNG or PDF by the output's name. Returns the names of the runs.

    Raises ReportError for a folder that is no run, and where no run has written metrics yet.
    """
    kind = output.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise ReportError(f"--output {output}: its name has to end in .svg, .png or .pdf")
    runs = dict(zip(_names(folders), (_run(folder).metrics for folder in folders), strict=True))
    if not any(runs.values()):
        raise ReportError("no run has written metrics yet: run again when a line of metrics.jsonl is there")
    figure = health_figure(runs)
    output.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()  # matplotlib's writers do not say why a disk took no more
    with mpl.rc_context({**RC, "svg.hashsalt": "runs"}):
        figure.savefig(drawn, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else None)
    with write_atomically(output) as file:
        file.write(drawn.getvalue())
    return list(runs)


def side_by_side(runs: Sequence[Run]) -> Panel | None:
    """The runs of a page in one figure; None for fewer than two that have metrics."""
    named = {run.name: run.metrics for run in runs if run.metrics}
    if len(named) < 2:
        return None
    title = "All runs"
    return Panel(title, figure_svg(health_figure(named), "runs", title))


def health_figure(runs: Mapping[str, Lines]) -> Figure:
    """A panel for each curve that any run has, a line a run. runs: by name, the lines of metrics.jsonl."""
    curves = [curve for curve in HEALTH_CURVES if any(curve.key in line for lines in runs.values() for line in lines)]
    rows = -(-len(curves) // _COLUMNS)
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
        axes.plot(*_series(lines, curve.key), color=colour, ls=dash, lw=1.2, label=_shortened(name))
        if curve.dotted:
            axes.plot(*_series(lines, curve.dotted), color=colour, ls=":", lw=1.2)
    if curve.axis == "share":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: percent(round(share, 6))))
    if curve.axis != "free":
        axes.set_ylim(bottom=0)
    axes.set_title(curve.title, fontsize=9)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))


def _series(lines: Lines, key: str) -> tuple[list[float], list[float]]:
    there = [line for line in lines if "step" in line and key in line]
    return thinned([line["step"] for line in there], [line[key] for line in there])


def _run(folder: Path) -> Run:
    study = collect(folder)
    if len(study.runs) != 1:
        raise ReportError(
            f"{folder} is no run of `cxr-train pretrain`, and holds {len(study.runs)} of them: name each run"
        )
    return study.runs[0]


def _names(folders: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as it takes to tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-count:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise ReportError("a run is named twice: name each once")


def _shortened(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:40]}…{name[-39:]}"
