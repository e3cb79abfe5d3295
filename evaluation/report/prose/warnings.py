"""Collect what weakens the figures of a page: few units, seen patients, allowed differences, missing parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluation.report.study import Result, Study
from evaluation.report.text import counted, few_of, listed
from evaluation.report.weakness import weakness
from evaluation.statistics.result import ArmInput


@dataclass(frozen=True)
class Warnings:
    """Sentences of one kind."""

    heading: str
    sentences: list[str]


def warnings(study: Study, missing: Sequence[str] = (), damaged: Sequence[str] = ()) -> list[Warnings]:
    """Warnings of all kinds that there are.

    missing: models that a study plans and lacks. damaged: datasets whose rows cannot be read.
    """
    kinds = (
        ("Few units, few of a class, few replicates", _few(study.results)),
        ("Patients that weights have seen", _seen(study.results)),
        ("Differences between arms that were allowed", _allowed(study.results)),
        ("Missing and unreadable", _missing(study, missing, damaged)),
        ("Warnings of the results", _said(study.results)),
    )
    return [Warnings(heading, sentences) for heading, found in kinds if (sentences := list(found))]


def _few(results: Sequence[Result]) -> Iterator[str]:
    """Which labels are marked and never bold, by reason."""
    marked: dict[str, dict[str, list[str]]] = {}
    for result in results:
        content = result.content
        reasons = {label: weakness(content, entry) for label, entry in content.labels.items()}
        if len(content.labels) > 1:
            reasons["the mean over labels"] = weakness(content, content.mean)
        for label, reason in reasons.items():
            if reason:
                marked.setdefault(reason, {}).setdefault(label, []).append(result.name)
    for reason, labels in marked.items():
        files = [name for names in labels.values() for name in names]
        yield f"{reason[0].upper()}{reason[1:]}: {listed(labels)} ({few_of(files)})."


def _seen(results: Sequence[Result]) -> Iterator[str]:
    seen = [
        result.name
        for result in results
        if any(_has_seen(file) for files in result.content.inputs.arms.values() for file in files)
    ]
    unknown = [result.name for result in results if result.content.allow_unknown_patients]
    if seen:
        yield (
            f"The weights had seen patients they were tested on, by request: {listed(seen)}. Not evidence for new ones."
        )
    if unknown:
        yield (
            "It is not known whether the weights had seen patients they were tested on, which was allowed: "
            f"{listed(unknown)}. No evidence for new ones."
        )


def _has_seen(file: ArmInput) -> bool:
    counts = ("seen_patients", "run_patients", "seen_images")
    return file.sidecar is not None and any(
        (count := file.sidecar.content.find(key)) is not None and bool(count.value) for key in counts
    )


def _allowed(results: Sequence[Result]) -> Iterator[str]:
    by_names: dict[tuple[str, ...], list[str]] = {}
    for result in results:
        if result.content.allowed_different:
            by_names.setdefault(result.content.allowed_different, []).append(result.name)
    for names, files in by_names.items():
        yield f"Arms differ in {listed(names)} beside their weights, as was allowed: {few_of(files)}."


def _missing(study: Study, missing: Sequence[str], damaged: Sequence[str]) -> Iterator[str]:
    if missing:
        yield (
            f"{counted(len(missing), 'model')} of the study {'was' if len(missing) == 1 else 'were'} not trained when "
            f"this page was made: {listed(missing)}."
        )
    unfinished = [run.name for run in study.runs if not run.finished]
    unfinished += [model.name for model in study.models if model.record is None]
    if unfinished:
        yield f"Not finished when this page was made: {listed(unfinished)}."
    if study.unreadable:
        yield f"Could not be read and are left out: {listed(study.unreadable)}."
    if study.unknown:
        yield f"Results that are not read: {listed(study.unknown)}."
    if damaged:
        yield f"Datasets whose rows cannot be read, so that they have no table of participants: {listed(damaged)}."


def _said(results: Sequence[Result]) -> Iterator[str]:
    """Each sentence once, with the results that say it."""
    warned: dict[str, list[str]] = {}
    for result in results:
        for warning in result.content.warnings:
            warned.setdefault(warning, []).append(result.name)
    for warning, names in warned.items():
        yield f"{warning} ({few_of(names)})"
