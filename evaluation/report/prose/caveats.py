"""Say what the figures do and do not show, in plain sentences, from what was found."""

from collections.abc import Sequence

from evaluation.report.gains import GainTable, arm_name, is_imagenet, is_of_a_file
from evaluation.report.pretrainings import backbone_of, initial_of, was_pretrained
from evaluation.report.study import Result, Study
from evaluation.report.text import listed, split_name
from evaluation.statistics.draws import FEWEST
from evaluation.statistics.remarks import unit_words
from evaluation.statistics.result import BootstrapResult


def caveats(study: Study, tables: Sequence[GainTable]) -> list[str]:
    """What a reader must know to read the figures right."""
    sentences = _about_intervals(study.results) if study.results else []
    sentences += _about_draws(tables, study.results) + _about_seeds(study) + _about_splits(study, tables)
    return sentences + _about_imagenet({arm for table in tables for row in table.rows for arm in row.arms})


def _about_imagenet(arms: set[str]) -> list[str]:
    if not arms or any(map(is_imagenet, arms)):
        return []
    if files := sorted(filter(is_of_a_file, arms)):
        return [
            f"No arm here is named ImageNet. Whether the weights of {listed(files)} are ImageNet's is not recorded."
        ]
    return ["The ImageNet arm was not run: no result here starts from ImageNet weights, so the gain over them is open."]


def _about_intervals(results: Sequence[Result]) -> list[str]:
    contents = [result.content for result in results]
    levels = listed(f"{100 * content.level:g} %" for content in contents)
    replicates = listed(content.replicates for content in contents)
    units = listed(unit_words(content.unit) for content in contents)
    sentences = [
        f"Intervals are {levels} intervals in which {units} vary. Bootstrap intervals come from {replicates} "
        "replicates, drawn with replacement, which both arms of a comparison and all labels share. A difference's "
        "interval and p-value come from one variance."
    ]
    if sum(bool(content.mean.differences) for content in contents) > 1 and any(map(_is_uncorrected, contents)):
        sentences.append("p-values are not corrected for the number of comparisons on this page.")
    methods = {
        value.method for content in contents for entry in content.labels.values() for value in entry.arms.values()
    } - {None, "logit-t", "percentile", "bca"}
    if methods:
        sentences.append(
            f"Labels with few positives or negatives have other intervals ({listed(sorted(map(str, methods)))}): a "
            "bootstrap of few positives gives intervals that are too short."
        )
    if any(entry.undefined_replicates for content in contents for entry in content.labels.values()):
        sentences.append(
            "Some replicates of rare labels hold one class only, where AUROC is undefined. They are left out of that "
            "label's bootstrap interval, and of the mean's."
        )
    return sentences


def _is_uncorrected(content: BootstrapResult) -> bool:
    """Whether a result compares arms without Holm's p-values."""
    found = [one for entry in content.labels.values() for one in entry.differences.values()]
    return any(one.p_value is not None for one in found) and all(one.holm_p_value is None for one in found)


def _about_draws(tables: Sequence[GainTable], results: Sequence[Result]) -> list[str]:
    if not any(draws > 1 for table in tables for row in table.rows for draws in row.draws.values()):
        return []
    sentences = []
    if any("draws" in result.content.over for result in results):
        sentences.append(
            "Where arms are the average of three or more draws of training patients, the variation between draws is "
            "in their intervals."
        )
    if any("draws" not in result.content.over and _has_draws(result) for result in results):
        sentences.append(
            "An arm that is the average of two draws of training patients, or of draws taken as fixed, has an interval "
            "conditional on those draws: how much others would differ is not in it."
        )
    return sentences


def _has_draws(result: Result) -> bool:
    return any(len({file.draw for file in files}) > 1 for files in result.content.inputs.arms.values())


def _about_seeds(study: Study) -> list[str]:
    """Of the pretraining runs, or where the folder has none, of those that the models name."""
    seeds = [run.config.value("seed") for run in study.runs]
    if not seeds:
        records = [model.record for model in study.models if model.record and model.record.initial == "moco"]
        seeds = [None if record.seed is None else str(record.seed) for record in records]
    if len(set(seeds)) != 1 or seeds[0] is None:  # an imported checkpoint does not say its seed
        return _about_few_seeds(study.results)
    return [
        f"All pretraining here has one seed ({seeds[0]}). How much another would change the results is not known from "
        "this page, and may well be as much as a small gain."
    ]


def _about_few_seeds(results: Sequence[Result]) -> list[str]:
    """Of the pretrained arms that have too few seeds for their variation to be in any interval."""
    few: dict[str, int] = {}
    for files in (files for result in results for files in result.content.inputs.arms.values()):
        seeds = {file.pretraining_seed for file in files}
        if None in seeds or len(seeds) >= FEWEST or files[0].sidecar is None:
            continue
        described = files[0].sidecar.content
        if was_pretrained(described):
            arm = arm_name(initial_of(described) or "unknown")
            few[f"{arm} of {backbone_of(described) or 'an unknown backbone'}"] = len(seeds)
    if not few:
        return []
    named = listed(f"{arm}: {count}" for arm, count in sorted(few.items()))
    return [
        f"Intervals are conditional on the pretraining seeds of arms with fewer than {FEWEST} of them ({named}): how "
        "much others would differ is not in them."
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
