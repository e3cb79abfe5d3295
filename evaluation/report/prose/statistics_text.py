"""The evaluation part of the methods: metrics, units, intervals, draws, tests, thresholds, subgroups, recalibration."""

from collections.abc import Iterator, Sequence

from evaluation.report.prose.references import Citations
from evaluation.report.study import Result
from evaluation.report.text import listed, split_name
from evaluation.statistics.remarks import unit_words
from evaluation.statistics.result import ArmInput, BootstrapResult, Difference, Value

_METRICS = {"auroc": "area under the ROC curve (AUROC)", "ap": "average precision", "brier": "Brier score"}
_INTERVALS = {
    "logit-t": ("t intervals on the logit scale from influence values", ("delong", "obuchowski")),
    "newcombe-5": ("Newcombe's method 5", ("newcombe",)),
    "wider of newcombe-5 and logit-t": (
        "the wider of Newcombe's method 5 and a t interval on the logit scale",
        ("newcombe", "delong", "obuchowski"),
    ),
    "wilson": ("Wilson's interval", ("wilson",)),
    "wider of wilson and logit-t": ("the wider of Wilson's and a t interval on the logit scale", ("wilson",)),
    "percentile": ("percentiles of the bootstrap", ()),
    "bca": ("the bias-corrected and accelerated bootstrap", ("efron",)),
}


def evaluation_sentences(results: Sequence[Result], citations: Citations) -> list[str]:
    """Sentences on how the results were computed; none without results."""
    contents = [result.content for result in results]
    if not contents:
        return []
    return [
        *_metrics(contents),
        *_intervals(contents, citations),
        *_draws(contents, citations),
        *_differences(contents, citations),
        *_thresholds(contents, citations),
        *_subgroups(contents),
        *_recalibration(contents, citations),
    ]


def _metrics(contents: Sequence[BootstrapResult]) -> Iterator[str]:
    metrics = listed(_METRICS.get(name, name) for one in contents for name in (one.metric, *one.metrics))
    splits = {one.inputs.labels.split for one in contents if one.inputs.labels.split}
    where = f" on the {listed(split_name(split) for split in sorted(splits))} split" if splits else ""
    units = listed(f"{one.units:,} {unit_words(one.unit)}" for one in contents)
    yield f"Models were judged{where} by {metrics}, computed exactly, with ties counted one half in the AUROC."
    yield (
        f"{units} were resampled with replacement, with {listed(f'{one.replicates:,}' for one in contents)} bootstrap "
        f"replicates (seed {listed(one.seed for one in contents)}) that all arms, draws and labels share."
    )


def _intervals(contents: Sequence[BootstrapResult], citations: Citations) -> Iterator[str]:
    used = {value.method for one in contents for value in _values(one) if value.method}
    spelled = [
        f"{_INTERVALS[method][0]}{citations.cite(*_INTERVALS[method][1])}" if method in _INTERVALS else method
        for method in (*(known for known in _INTERVALS if known in used), *sorted(used - _INTERVALS.keys()))
    ]
    if spelled:
        levels = listed(f"{100 * one.level:g} %" for one in contents)
        yield f"Intervals are of {levels}: {listed(spelled)}, by how many units and errors a label has."


def _draws(contents: Sequence[BootstrapResult], citations: Citations) -> Iterator[str]:
    over = [name for name in ("draws", "seeds") if any(name in one.over for one in contents)]
    if over:
        words = listed({"draws": "training subsets", "seeds": "pretraining seeds"}[name] for name in over)
        yield (
            f"Where an arm has three or more {words}, the variance between them is added, with Satterthwaite's "
            f"degrees of freedom{citations.cite('satterthwaite')}."
        )


def _differences(contents: Sequence[BootstrapResult], citations: Citations) -> Iterator[str]:
    found = [one for content in contents for one in _compared(content) if one.p_value is not None]
    if not found:
        return
    yield (
        "Arms were compared in pairs on the same rows by two-sided t-tests of the difference, interval and p-value "
        f"from one variance{citations.cite('delong', 'obuchowski')}."
    )
    if any(one.holm_p_value is not None for one in found):
        cited = citations.cite("holm")
        yield f"p-values were corrected by Holm's method{cited} within the families that the tables name."
    else:
        yield "p-values were not corrected for their number."


def _thresholds(contents: Sequence[BootstrapResult], citations: Citations) -> Iterator[str]:
    cited = [one.inputs.thresholds for one in contents if one.inputs.thresholds is not None]
    rules = listed(one.rule for one in cited)
    if cited:
        youden = citations.cite("youden") if any(one.rule == "youden" for one in cited) else ""
        yield f"Thresholds of decisions were chosen on other data than are judged, by the rule {rules}{youden}."


def _subgroups(contents: Sequence[BootstrapResult]) -> Iterator[str]:
    columns = listed(column for one in contents for column in one.subgroups)
    if columns:
        yield f"Subgroups by {columns} were compared with all other rows on the same replicates."


def _recalibration(contents: Sequence[BootstrapResult], citations: Citations) -> Iterator[str]:
    if any(_is_recalibrated(file) for one in contents for files in one.inputs.arms.values() for file in files):
        yield f"Probabilities were recalibrated by temperatures{citations.cite('guo')} that were fitted on validation."


def _is_recalibrated(file: ArmInput) -> bool:
    return file.sidecar is not None and file.sidecar.content.find("recalibrated") is not None


def _values(content: BootstrapResult) -> Iterator[Value]:
    for labels in (content.labels, *(one.labels for one in content.metrics.values())):
        for entry in labels.values():
            yield from entry.arms.values()


def _compared(content: BootstrapResult) -> Iterator[Difference]:
    for labels in (content.labels, *(one.labels for one in content.metrics.values())):
        for entry in labels.values():
            yield from entry.differences.values()
