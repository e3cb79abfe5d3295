"""Read pretraining runs and draw their health curves side by side."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from evaluation.report.figures import RC, Panel, figure_svg, health_drawing
from evaluation.report.study import ReportError, Run, collect
from shards.durable import write_atomically

FORMATS = ("svg", "png", "pdf")


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
    figure = health_drawing(runs)
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
    return Panel(title, figure_svg(health_drawing(named), "runs", title))


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
