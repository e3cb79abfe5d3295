"""Fill in the methods paragraph of a paper from what results, models, runs and datasets record; nothing is assumed.

What is not recorded is left out or said to be so. What only the authors know stands in docs/reporting.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluation.report.gains import arm_name
from evaluation.report.prose.references import Citations
from evaluation.report.prose.statistics_text import evaluation_sentences
from evaluation.report.records import ModelRecord, Provenance, RunConfig
from evaluation.report.study import Run, Study
from evaluation.report.text import counted, listed, percent, split_name

_POLICIES = {"ignore": "left out", "zeros": "taken as negative", "ones": "taken as positive"}
_YES_NO = {"True": "yes", "False": "no"}
_STARTS = {"random": "random weights", "imagenet": "ImageNet weights"}


@dataclass(frozen=True)
class Methods:
    """paragraphs: (heading, text). references: cited works in the order of their numbers."""

    paragraphs: list[tuple[str, str]]
    references: list[str]


def methods(study: Study, variants: dict[str, str]) -> Methods:
    """Write the paragraphs of a study. variants: name of a dataset -> the reader that made it, where it is known."""
    citations = Citations()
    models = [model.record for model in study.models if model.record]
    parts = (
        ("Data", _data(study, variants, citations)),
        ("Pretraining", _pretraining(study, models, citations)),
        ("Training on labels", _training(models, citations)),
        ("Evaluation", evaluation_sentences(study.results, citations)),
        ("Reporting", _reporting(citations)),
    )
    return Methods([(heading, " ".join(text)) for heading, text in parts if text], citations.works)


def _reporting(citations: Citations) -> list[str]:
    return [
        f"This page follows TRIPOD+AI{citations.cite('tripod')} and CLAIM{citations.cite('claim')} as far as software "
        "can record. Setting, dates, eligibility, ethics, funding and reference standard are left to the authors."
    ]


def _data(study: Study, variants: dict[str, str], citations: Citations) -> list[str]:
    """Name the datasets with their digests, and the conditions on rows.

    A work is cited where a dataset has the name of its reader: another name is of something in the same layout.
    """
    named: dict[str, str | None] = {}
    for name, digest in _cited(study):
        named[name] = named.get(name) or digest
    if not named:
        return []
    spelled = [
        f"{name}{citations.cite(name) if variants.get(name) == name else ''}"
        + (f" (digest {digest[:12]})" if digest else "")
        for name, digest in sorted(named.items())
    ]
    sentences = [f"Images of {listed(spelled)} were used."]
    filters = [model.record.row_filter for model in study.models if model.record and model.record.row_filter]
    filters += [result.content.inputs.labels.row_filter or "" for result in study.results]
    if any(filters):
        sentences.append(f"Rows were restricted to those with {listed(filter(None, filters))}.")
    sentences.append("No patient is in two splits.")
    return sentences


def _cited(study: Study) -> Iterable[tuple[str, str | None]]:
    for run in study.runs:
        yield from ((one.name, one.digest) for one in (run.backbone.datasets if run.backbone else ()))
    for model in study.models:
        if model.record:
            yield model.record.dataset.name, model.record.dataset.digest
    for result in study.results:
        if result.content.inputs.labels.name:
            yield result.content.inputs.labels.name, result.content.inputs.labels.digest


def _pretraining(study: Study, models: Sequence[ModelRecord], citations: Citations) -> list[str]:
    """A sentence a group of runs with the same settings; from the models' records where the runs are elsewhere."""
    groups: dict[tuple[str | None, ...], list[Run]] = {}
    for run in study.runs:
        alike = (*map(run.config.value, ("backbone", "init", "shards")), _run_settings(run.config))
        groups.setdefault(alike, []).append(run)
    if groups:
        return [_runs_sentence(runs, citations) for runs in groups.values()]
    found = dict.fromkeys((one.provenance, one.backbone) for one in models if one.provenance.steps is not None)
    return [_provenance_sentence(provenance, backbone, citations) for provenance, backbone in found]


def _runs_sentence(runs: Sequence[Run], citations: Citations) -> str:
    config = runs[0].config
    backbone, init = config.value("backbone") or "network", config.value("init") or "not recorded"
    data = listed(one.name for run in runs if run.backbone for one in run.backbone.datasets)
    seeds = [run.config.value("seed") or "not recorded" for run in runs]
    unfinished = sum(not run.finished for run in runs)
    return (
        f"A {backbone}{_architecture(backbone, citations)} was pretrained with momentum contrast"
        f"{citations.cite('moco', 'moco-v2', 'moco-cxr')}, beginning from {_start(init)}"
        + (f", on images of {data}" if data else "")
        + f", with seed{'' if len(seeds) == 1 else 's'} {listed(seeds)} ({_run_settings(config)})."
        + (f" Not finished: {unfinished} of {counted(len(runs), 'run')}." if unfinished else "")
    )


def _run_settings(config: RunConfig) -> str:
    """What a paper says of a pretraining, as far as config.yaml has it."""
    named = (
        ("image_size", "{} px"), ("epochs", "{} epochs"), ("batch_size", "global batch of {}"), ("optimizer", "{}"),
        ("lr", "learning rate {}"), ("schedule", "{} schedule"), ("weight_decay", "weight decay {}"),
        ("queue_size", "queue of {} keys"), ("momentum", "momentum {}"), ("temperature", "temperature {}"),
        ("degrees", "rotation within {} degrees"), ("flip", "horizontal flip: {}"), ("scale", "scale {}"),
        ("translate", "translation {}"), ("positives", "positives: {}"), ("precision", "{}"),
        ("row_filter", "rows with {}"),
    )  # fmt: skip
    found = ((text, " to ".join(config.options.get(option, ()))) for option, text in named)
    return ", ".join(text.format(_YES_NO.get(value, value)) for text, value in found if value)


def _provenance_sentence(provenance: Provenance, backbone: str, citations: Citations) -> str:
    data = listed(one.name for one in provenance.datasets)
    facts = [f"{provenance.epochs} epochs"] if provenance.epochs is not None else []
    facts += [f"{provenance.steps:,} steps"] if provenance.steps is not None else []
    facts += [f"seed {provenance.seed}"] if provenance.seed is not None else []
    return (
        f"A {backbone or 'network'}{_architecture(backbone, citations)} was pretrained with "
        f"{provenance.method or 'momentum contrast'}{citations.cite('moco', 'moco-v2', 'moco-cxr')}, beginning from "
        f"{_start(provenance.init or 'not recorded')}"
        + (f", on images of {data}" if data else "")
        + f" ({', '.join(facts)});"
        " the run's own records are not in this folder."
    )


def _architecture(backbone: str, citations: Citations) -> str:
    return citations.cite(backbone.rstrip("0123456789"))


_STARTS_OF_ARMS = {"File": "a file's"}


def _start(init: str) -> str:
    """The weights before pretraining; a file's name without its folders."""
    return _STARTS.get(
        init, f"weights of {init.rsplit('/', 1)[-1]}" if init != "not recorded" else "weights not recorded"
    )


def _training(models: Sequence[ModelRecord], citations: Citations) -> list[str]:
    """Probes and fine-tunings, starts, label policies, fractions and draws."""
    if not models:
        return []
    starts = [_STARTS_OF_ARMS.get(start, start) for start in sorted({arm_name(one.initial) for one in models})]
    sentences = [f"Arms began from {listed(starts)} weights."]
    for method, describe in (("probe", _probe), ("finetune", _finetune)):
        of_method = [one for one in models if one.method == method]
        if of_method:
            sentences += describe(of_method)
    sentences += _labels(models)
    return sentences


def _probe(models: Sequence[ModelRecord]) -> list[str]:
    chosen = listed(sorted({one.chosen_by for model in models for one in model.regularisation}))
    how = f", its C chosen by {chosen} within the training patients" if chosen else ""
    return [f"Linear probes are logistic regressions with an L2 penalty on frozen features, one a label{how}."]


def _finetune(models: Sequence[ModelRecord]) -> list[str]:
    named = (
        ("optimizer", "{}"),
        ("lr", "learning rate {}"),
        ("batch_size", "batch of {}"),
        ("schedule", "{} schedule"),
    )
    found = [
        text.format(listed(sorted(values)))
        for option, text in named
        if (values := {value for one in models if (value := one.options.value(option)) is not None})
    ]
    epochs = sorted({one.epochs for one in models if one.epochs is not None})
    found += [f"{listed(epochs)} epochs"] if epochs else []
    splits = {where for one in models for what, where in one.selected_on.items() if what == "epoch"}
    kept = listed("held-out training" if split == "train" else split_name(split) for split in sorted(splits))
    return [
        "Fine-tuning trained all weights end to end" + (f" ({', '.join(found)})" if found else "") + "."
        + (f" The epoch with the highest AUROC on {kept} patients was kept." if kept else "")
    ]  # fmt: skip


def _labels(models: Sequence[ModelRecord]) -> list[str]:
    sentences = []
    policies = {(one.uncertain, one.missing) for one in models if one.uncertain and one.missing}
    for uncertain, missing in sorted(policies):
        of = "" if len(policies) == 1 else " of " + listed(
            sorted({one.dataset.name for one in models if (one.uncertain, one.missing) == (uncertain, missing)})
        )  # fmt: skip
        sentences.append(
            f"Uncertain training labels{of} were {_POLICIES.get(uncertain, uncertain)}, labels not mentioned were "
            f"{_POLICIES.get(missing, missing)}."
        )
    of_images = any(one.fraction_of == "images" for one in models)
    drawn = "images or patients" if of_images else "whole patients"
    fractions = listed(percent(fraction) for fraction in sorted({one.label_fraction for one in models}))
    draws = len({one.draw for one in models if one.draw is not None})
    sentences.append(
        f"Models were trained on {fractions} of the training labels, {drawn} in a random order, a smaller fraction "
        "part of a larger one of the same draw" + (f", in up to {draws} random draws" if draws > 1 else "") + "."
    )
    return sentences
