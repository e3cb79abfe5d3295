"""Numbers and facts of a report in words: estimates, durations, settings, and the caveats that a reader must know.

Plain values flow in, strings flow out. Knows nothing of HTML or figures.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluation.report.gains import IMAGENET, Estimate, GainTable
from evaluation.report.study import Result, Study

MINUS = "\N{MINUS SIGN}"
_PATHS = frozenset({"shards", "output", "config"})
_UNITS = {"patient_id": "patients", "Study": "studies", "Path": "images", "key": "images", "sample_id": "images"}
_SPLIT_NAMES = {"train": "training", "valid": "validation", "test": "test"}


def estimate_text(estimate: Estimate, *, signed: bool = False) -> tuple[str, str]:
    """(value, interval) of an estimate, three decimals; `undefined` without interval where it is null."""
    if estimate["value"] is None:
        return "undefined", ""
    spelled = [_number(value, signed) for value in (estimate["value"], *(estimate["ci"] or ()))]
    return spelled[0], f"({spelled[1]}, {spelled[2]})" if len(spelled) == 3 else ""


def excludes_zero(estimate: Estimate) -> bool:
    """Whether the interval of a difference lies on one side of zero."""
    interval = estimate["ci"]
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


def settings(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Options of a run as (name, value), paths left out: a report is passed on, and paths say who ran it where."""
    spelled = []
    for name, value in config.items():
        if name in _PATHS or value is None:
            continue
        if isinstance(value, list | tuple):
            value = ", ".join(map(str, value))
        spelled.append((name.replace("_", " "), str(value).rsplit("/", 1)[-1] if name == "init" else str(value)))
    return spelled


def split_name(split: str) -> str:
    """A split as a reader calls it."""
    return _SPLIT_NAMES.get(split, "split not recorded")


def listed(values: Iterable[object]) -> str:
    """`a`, `a and b`, `a, b and c`, each once, in order."""
    words = list(dict.fromkeys(str(value) for value in values))
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def caveats(study: Study, tables: Sequence[GainTable]) -> list[str]:
    """What the figures do and do not say, in plain sentences, from what was found."""
    sentences = []
    if study.results:
        sentences += _about_intervals(study.results)
    sentences += _about_draws(tables) + _about_seeds(study) + _about_splits(study, tables) + _about_seen(study.results)
    if tables and not any(IMAGENET in row.arms for table in tables for row in table.rows):
        sentences.append(
            "The ImageNet arm was not run: no result here starts from ImageNet weights, so the gain over them is open."
        )
    unfinished = [run.name for run in study.runs if not run.finished]
    unfinished += [model.name for model in study.models if model.description is None]
    if unfinished:
        sentences.append(f"Not finished when this page was made: {listed(unfinished)}.")
    if study.unreadable:
        sentences.append(f"Could not be read and are left out: {listed(study.unreadable)}.")
    return sentences


def _about_intervals(results: Sequence[Result]) -> list[str]:
    contents = [result.content for result in results]
    levels = listed(f"{100 * content['level']:g} %" for content in contents)
    replicates = listed(content["replicates"] for content in contents)
    units = listed(_UNITS.get(content["unit"], f"values of {content['unit']}") for content in contents)
    sentences = [
        f"Intervals are {levels} percentile intervals of {replicates} bootstrap replicates, in which {units} were "
        "drawn with replacement. Both arms of a comparison and all labels share the replicates, so a difference is "
        "judged within each replicate. All of it is conditional on the models as they were trained."
    ]
    comparisons = sum("difference" in content["mean"] for content in contents)
    if comparisons > 1:
        sentences.append("p-values are not corrected for the number of comparisons on this page.")
    undefined = any(entry["undefined_replicates"] for content in contents for entry in content["labels"].values())
    if undefined:
        sentences.append(
            "Some replicates of rare labels hold one class only, where AUROC is undefined. They are left out of that "
            "label's interval, and the label out of those replicates' mean."
        )
    return sentences


def _about_draws(tables: Sequence[GainTable]) -> list[str]:
    if not any(draws > 1 for table in tables for row in table.rows for draws in row.draws.values()):
        return []
    return [
        "Where an arm is the average of several draws of training patients, its interval is conditional on those "
        "draws: how much others would differ is not in it."
    ]


def _about_seeds(study: Study) -> list[str]:
    """Of the pretraining runs, or where the folder has none, of those that the models name."""
    seeds = [run.config.get("seed") for run in study.runs]
    if not seeds:
        described = [model.description for model in study.models if model.description]
        seeds = [model["provenance"].get("seed") for model in described if model["initial"] == "moco"]
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
        model.description["dataset"]["name"]
        for model in study.models
        if model.description
        and any(of_label.get("test") is None for of_label in model.description.get("results", {}).values())
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
        for arm in result.content.get("arms", {}).values()
        for sidecar in arm
        if sidecar and sidecar.get("seen_patients")
    ]
    if not seen:
        return []
    return [
        f"The weights had seen patients they were tested on, by request: {listed(seen)}. Not evidence for new ones."
    ]


def _number(value: float, signed: bool) -> str:
    return f"{value:+.3f}".replace("-", MINUS) if signed else f"{value:.3f}"
