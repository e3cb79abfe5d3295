"""Show training in a report: facts, status and curves of each pretraining run, and the curves of fine-tuning.

The only file that is read here is the two-view sheet, on request.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evaluation.report.figures import HEALTH_CURVES, Panel, curve_figure, percent
from evaluation.report.gains import arm_name
from evaluation.report.study import Model, Run
from evaluation.report.text import counted, duration, listed, settings

_LAST_FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("seconds", "trained for", duration),
    ("loss", "last loss", lambda loss: f"{loss:.3f}"),
    ("top1", "last contrastive top-1", lambda share: percent(round(share, 3))),
    ("images_per_second", "last rate", lambda rate: f"{rate:.0f} images/s"),
    ("data_wait", "last wait for data", lambda share: percent(round(share, 3))),
)
_TUNING_CURVES = (("loss", "loss"), ("valid_auroc", "validation AUROC"))


@dataclass(frozen=True)
class RunView:
    """A pretraining run as the template shows it: finished strings. image: its two-view sheet as a data URL.

    image_left_out: whether there is a sheet that was not asked for.
    """

    name: str
    status: str
    finished: bool
    facts: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    versions: list[str]
    figures: list[Panel]
    image: str | None
    image_left_out: bool


def run_view(run: Run, identity: str, *, with_images: bool) -> RunView:
    """A run as the template shows it. identity: prefix of its figures' ids. with_images: embed its two-view sheet."""
    last = run.metrics[-1] if run.metrics else {}
    init, backbone, size = (run.config.value(option) or "unknown" for option in ("init", "backbone", "image_size"))
    facts = [("start", init.rsplit("/", 1)[-1]), ("backbone", f"{backbone}, {size} px")]
    cited = run.backbone.datasets if run.backbone else ()
    if cited:
        facts.append(("images of", listed(f"{one.name} ({(one.digest or 'unknown')[:12]})" for one in cited)))
    facts += [(name, spelled(last[key])) for key, name, spelled in _LAST_FIGURES if key in last]
    image = None
    if with_images and run.two_views is not None:
        image = "data:image/png;base64," + base64.b64encode(run.two_views.read_bytes()).decode()
    return RunView(
        name=run.name,
        status=_status(run),
        finished=run.finished,
        facts=facts,
        settings=settings(run.config),
        versions=[remark for remark in run.remarks if not remark.startswith("dataset ")],
        figures=_run_figures(run, identity),
        image=image,
        image_left_out=run.two_views is not None and not with_images,
    )


def _status(run: Run) -> str:
    if run.finished and run.last:
        return f"finished after {counted(run.last.step, 'step')}, {counted(run.last.epoch, 'epoch')}"
    if run.last:
        return f"unfinished: its newest checkpoint is of step {run.last.step:,}"
    return "unfinished: it has no checkpoint yet"


def _run_figures(run: Run, identity: str) -> list[Panel]:
    figures = []
    for number, curve in enumerate(HEALTH_CURVES):
        x, y = _series(run.metrics, "step", curve.key)
        if x:
            lines = {"": [(x, y)]}
            if curve.dotted:
                lines = {"own key": [(x, y)], "nearest negative": [_series(run.metrics, "step", curve.dotted)]}
            title = curve.title.removesuffix(" (dotted)")
            figures.append(curve_figure(lines, title, "step", f"{identity}n{number}", axis=curve.axis))
    return figures


def tuning_figures(models: Sequence[Model]) -> list[Panel]:
    """Two figures a dataset and label fraction, a line a model, coloured by arm."""
    tuned = [(model.record, model.metrics) for model in models if model.record and model.metrics]
    groups: dict[tuple[str, float], dict[str, list[tuple[Mapping[str, float], ...]]]] = {}
    for record, metrics in tuned:
        key = (record.dataset.name, record.label_fraction)
        groups.setdefault(key, {}).setdefault(arm_name(record.initial), []).append(metrics)
    figures = []
    for number, ((dataset, fraction), arms) in enumerate(sorted(groups.items())):
        for quantity, (figure, title) in enumerate(_TUNING_CURVES):
            curves = {arm: [_series(metrics, "epoch", figure) for metrics in of_arm] for arm, of_arm in arms.items()}
            curves = {arm: [line for line in lines if line[0]] for arm, lines in curves.items()}
            if any(curves.values()):
                heading = f"{dataset}, {percent(fraction)}: {title}"
                figures.append(curve_figure(curves, heading, "epoch", f"t{number}n{quantity}"))
    return figures


def _series(metrics: Sequence[Mapping[str, float]], x: str, y: str) -> tuple[list[float], list[float]]:
    lines = [line for line in metrics if line.get(x) is not None and line.get(y) is not None]
    return [float(line[x]) for line in lines], [float(line[y]) for line in lines]
