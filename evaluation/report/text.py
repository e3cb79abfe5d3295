"""Put numbers and facts of a report in words: estimates, durations, settings, and what a reader must know."""

from collections.abc import Iterable, Sequence

from evaluation.report.gains import IMAGENET, GainTable
from evaluation.report.records import RunConfig
from evaluation.report.study import Result, Study
from evaluation.statistics.result import Difference, Value

MINUS = "\N{MINUS SIGN}"
_PATHS = frozenset({"shards", "output", "config"})
_UNITS = {"patient_id": "patients", "Study": "studies", "Path": "images", "key": "images", "sample_id": "images"}
_SPLIT_NAMES = {"train": "training", "valid": "validation", "test": "test"}


def estimate_text(estimate: Value | Difference, *, signed: bool = False) -> tuple[str, str]:
    """(value, interval) of an estimate, three decimals; `undefined` without interval where it is null."""
    if estimate.value is None:
        return "undefined", ""
    spelled = [_number(value, signed) for value in (estimate.value, *(estimate.ci or ()))]
    return spelled[0], f"({spelled[1]}, {spelled[2]})" if len(spelled) == 3 else ""


def excludes_zero(estimate: Difference) -> bool:
    """Whether the interval of a difference lies on one side of zero."""
    interval = estimate.ci
    return interval is not None and (interval[0] > 0 or interval[1] < 0)


def p_value_text(p_value: float | None) -> str:
    """Three decimals, at least 0.001; empty where there is none."""
    if p_value is None:
        return ""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 41 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def counted(number: int, name: str) -> str:
    """`1 epoch`, `1,200 epochs`."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def settings(config: RunConfig) -> list[tuple[str, str]]:
    """Options of a run as (name, value), paths left out: a report is passed on, and paths say who ran it where."""
    spelled = []
    for name in config.options:
        value = config.value(name)
        if name not in _PATHS and value is not None:
            spelled.append((name.replace("_", " "), value.rsplit("/", 1)[-1] if name == "init" else value))
    return spelled


def split_name(split: str) -> str:
    """A split as a reader calls it."""
    return _SPLIT_NAMES.get(split, "split not recorded")


def listed(values: Iterable[object]) -> str:
    """`a`, `a and b`, `a, b and c`, each once, in order."""
    words = list(dict.fromkeys(str(value) for value in values))
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def caveats(study: Study, tables: Sequence[GainTable], missing: Sequence[str] = ()) -> list[str]:
    """What the figures do and do not say, in plain sentences, from what was found and what is still missing."""
    sentences = []
    if missing:
        sentences.append(
            f"{len(missing)} models of the study were not trained when this page was made: {listed(missing)}."
        )
    if study.results:
        sentences += _about_intervals(study.results)
    sentences += (
        _about_draws(tables, study.results)
        + _about_seeds(study)
        + _about_splits(study, tables)
        + _about_seen(study.results)
    )
    if tables and not any(IMAGENET in row.arms for table in tables for row in table.rows):
        sentences.append(
            "The ImageNet arm was not run: no result here starts from ImageNet weights, so the gain over them is open."
        )
    unfinished = [run.name for run in study.runs if not run.finished]
    unfinished += [model.name for model in study.models if model.record is None]
    if unfinished:
        sentences.append(f"Not finished when this page was made: {listed(unfinished)}.")
    if study.unreadable:
        sentences.append(f"Could not be read and are left out: {listed(study.unreadable)}.")
    if study.unknown:
        sentences.append(f"Results that are not read: {listed(study.unknown)}.")
    return sentences


def _about_intervals(results: Sequence[Result]) -> list[str]:
    contents = [result.content for result in results]
    levels = listed(f"{100 * content.level:g} %" for content in contents)
    replicates = listed(content.replicates for content in contents)
    units = listed(_UNITS.get(content.unit, f"values of {content.unit}") for content in contents)
    sentences = [
        f"Intervals are {levels} intervals in which {units} vary. Bootstrap intervals come from {replicates} "
        "replicates, drawn with replacement, which both arms of a comparison and all labels share. A difference's "
        "interval and p-value come from one variance."
    ]
    comparisons = sum(bool(content.mean.differences) for content in contents)
    if comparisons > 1 and any(content.holm_family is None for content in contents):
        sentences.append("p-values are not corrected for the number of comparisons on this page.")
    methods = {
        value.method for content in contents for entry in content.labels.values() for value in entry.arms.values()
    } - {None, "logit-t", "percentile", "bca"}
    if methods:
        sentences.append(
            f"Labels with few positives or negatives have other intervals ({listed(sorted(map(str, methods)))}): a "
            "bootstrap of few positives gives intervals that are too short."
        )
    undefined = any(entry.undefined_replicates for content in contents for entry in content.labels.values())
    if undefined:
        sentences.append(
            "Some replicates of rare labels hold one class only, where AUROC is undefined. They are left out of that "
            "label's bootstrap interval, and of the mean's."
        )
    warned: dict[str, list[str]] = {}
    for result in results:
        for warning in result.content.warnings:
            warned.setdefault(warning, []).append(result.name)
    sentences += [f"{warning} ({listed(names)})" for warning, names in warned.items()]
    return sentences


def _about_draws(tables: Sequence[GainTable], results: Sequence[Result]) -> list[str]:
    if not any(draws > 1 for table in tables for row in table.rows for draws in row.draws.values()):
        return []
    sentences = []
    if any("draws" in result.content.over for result in results):
        sentences.append(
            "Where arms are the average of three or more draws of training patients, the variation between draws is "
            "in their intervals."
        )
    if any("draws" not in result.content.over for result in results):
        sentences.append(
            "An arm that is the average of two draws of training patients, or of draws taken as fixed, has an interval "
            "conditional on those draws: how much others would differ is not in it."
        )
    return sentences


def _about_seeds(study: Study) -> list[str]:
    """Of the pretraining runs, or where the folder has none, of those that the models name."""
    seeds = [run.config.value("seed") for run in study.runs]
    if not seeds:
        records = [model.record for model in study.models if model.record and model.record.initial == "moco"]
        seeds = [None if record.seed is None else str(record.seed) for record in records]
    if len(set(seeds)) != 1 or seeds[0] is None:  # an imported checkpoint does not say its seed
        return []
    return [
        f"All pretraining here has one seed ({seeds[0]}). How much another would change the results is not known from "
        "this page, and may well be as much as a small gain."
    ]


def _about_splits(study: Study, tables: Sequence[GainTable]) -> list[str]:
    sentences = []
    other = {
        table.setting.dataset: split_name(table.setting.split) for table in tables if table.setting.split != "test"
    }
    for dataset, split in other.items():
        sentences.append(f"{dataset}: measured on the {split} split, not on a test split. Such figures are optimistic.")
    without = [
        model.record.dataset.name
        for model in study.models
        if model.record and any("test" not in of_label for of_label in model.record.results.values())
    ]
    if without:
        sentences.append(
            f"Without a test split: {listed(without)}. Test results are null there; validation is never shown as test."
        )
    return sentences


def _about_seen(results: Sequence[Result]) -> list[str]:
    seen = [
        result.name
        for result in results
        for files in result.content.inputs.arms.values()
        for file in files
        if file.sidecar
        and any(
            (count := file.sidecar.content.find(key)) and count.value
            for key in ("seen_patients", "run_patients", "seen_images")
        )
    ]
    unknown = [result.name for result in results if result.content.allow_unknown_patients]
    sentences = []
    if seen:
        sentences.append(
            f"The weights had seen patients they were tested on, by request: {listed(seen)}. Not evidence for new ones."
        )
    if unknown:
        sentences.append(
            "It is not known whether the weights had seen patients they were tested on, which was allowed: "
            f"{listed(unknown)}. No evidence for new ones."
        )
    return sentences


def _number(value: float, signed: bool) -> str:
    return f"{value:+.3f}".replace("-", MINUS) if signed else f"{value:.3f}"
