"""What a study cost: hours and images/s of its runs and cells, as far as their records say."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from evaluation.report.study import Model, Run, Study
from evaluation.report.text import duration, listed

NOT_RECORDED = "not recorded"
_WORK = {"probe": "linear probes", "finetune": "fine-tuning"}


@dataclass(frozen=True)
class CostRow:
    """A pretraining run, or all models of a method. Finished strings; hours: with the unit.

    device: with precision and threads.
    """

    work: str
    pieces: str
    hours: str
    rate: str
    images: str
    device: str


@dataclass(frozen=True)
class Cost:
    """rows: by work. total: hours of all that is recorded. unknown: what is not, in words; blank for nothing."""

    rows: list[CostRow]
    total: str
    unknown: str


def cost(study: Study) -> Cost | None:
    """What ran, and how long; None where there are neither runs nor models."""
    rows = [_run_row(run) for run in study.runs]
    models = [model for model in study.models if model.record]
    for method in dict.fromkeys(model.record.method for model in models if model.record):
        rows.append(_models_row(method, [one for one in models if one.record and one.record.method == method]))
    if not rows:
        return None
    seconds = [run.metrics[-1].get("seconds") for run in study.runs if run.metrics]
    known = [one for one in (*seconds, *(model.seconds for model in models)) if one is not None]
    untimed = [run.name for run in study.runs if not any("seconds" in line for line in run.metrics)]
    of_models = sum(model.seconds is None for model in models)
    untimed += [f"{of_models} of {len(models)} models"] if of_models else []
    return Cost(rows, _hours(sum(known)) if known else NOT_RECORDED, listed(untimed))


def _run_row(run: Run) -> CostRow:
    rates = [line["images_per_second"] for line in run.metrics if "images_per_second" in line]
    seconds = [line["seconds"] for line in run.metrics if "seconds" in line]
    batch = run.config.value("batch_size") or ""
    images = f"{run.last.step * int(batch):,}" if run.last and batch.isdigit() else NOT_RECORDED
    return CostRow(
        work=f"pretraining {run.name}" + ("" if run.finished else ", unfinished"),
        pieces="1 run",
        hours=_hours(seconds[-1]) if seconds else NOT_RECORDED,
        rate=f"{median(rates):,.0f}" if rates else NOT_RECORDED,
        images=images,
        device=_device(run),
    )


def _device(run: Run) -> str:
    facts = [run.config.value("device"), run.config.value("precision")]
    threads = run.config.value("threads")
    facts += [f"{threads} threads"] if threads else []
    return ", ".join(filter(None, facts)) or NOT_RECORDED


def _models_row(method: str, models: Sequence[Model]) -> CostRow:
    seconds = [model.seconds for model in models if model.seconds is not None]
    each = f", {duration(median(seconds))} each (median)" if len(seconds) > 1 else ""
    return CostRow(
        work=_WORK.get(method, method),
        pieces=f"{len(models)} model{'' if len(models) == 1 else 's'}",
        hours=_hours(sum(seconds)) + each if seconds else NOT_RECORDED,
        rate=NOT_RECORDED,
        images=NOT_RECORDED,
        device=NOT_RECORDED,
    )


def _hours(seconds: float) -> str:
    """Hours with two decimals, and as a person says them."""
    return f"{seconds / 3600:.2f} h ({duration(seconds)})"
