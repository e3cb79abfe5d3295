"""A study file as frozen dataclasses: datasets, pretraining runs, arms, methods, variants, targets, evaluation.

The file is the only place where a protocol is written. Every key and value is checked; an error names file and key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path

from shards.format.schema import SPLITS
from training.backbones.architectures import ARCHITECTURES, is_timm
from training.choices import FRACTION_OF
from training.studies.entries import Entry, read_yaml
from training.studies.option_values import (
    METHODS,
    Settings,
    method_settings,
    pretrain_settings,
    recipe_settings,
    shared_settings,
)

STUDY_VERSION = 1
AGGREGATES = ("image", "study")
RUN, OWN = "run", "own"
PREPROCESSING = (RUN, OWN, "imagenet", "dataset")
"""Of an arm: that of the pretraining run, or the weights' own (a network of timm, another run), or named statistics."""
OVER = ("patients", "draws")
KINDS = ("pretrain", "finetune", "embed")
"""Kinds of work that have a rate."""
MOST_DRAWS = 10_000
TAIL = 20
"""Replicates outside of an interval, at least, as `cxr-eval bootstrap` wants them."""
FAMILY = ("target", "method", "backbone", "arm", "variant", "fraction")


@dataclass(frozen=True)
class StudyDataset:
    """A dataset of shards. shards: its folder below --data. splits: expected samples; None: any number above 0."""

    name: str
    shards: Path
    splits: Mapping[str, int | None]


@dataclass(frozen=True)
class Pretraining:
    """Pretraining runs that differ in their seed. name: the backbone's in the cells. shards: names of datasets.

    settings: the recipe with what the study file changes.
    """

    name: str
    recipe: str
    shards: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Settings


@dataclass(frozen=True)
class Arm:
    """What is compared. at: start or end of the pretraining run; None: weights from elsewhere, `backbone_from`.

    weights: file of the weights of `timm:NAME`; None: timm's cache. seen_patients: none, or a file that lists the
    patients that those weights have seen. preprocessing: one of PREPROCESSING. pretraining: names of the runs that it
    is compared in; None: all.
    """

    name: str
    at: str | None
    backbone_from: str | None
    weights: str | None
    seen_patients: str | None
    preprocessing: str
    pretraining: tuple[str, ...] | None


@dataclass(frozen=True)
class Variant:
    """A named protocol, such as a label policy. methods: those that it is trained with; None: all."""

    name: str
    methods: tuple[str, ...] | None
    settings: Settings


@dataclass(frozen=True)
class Target:
    """What is learned and judged. draws: number of training subsets by fraction. settings: stronger than a variant's.

    fraction_of: what a fraction counts. methods: those that it is learned with; None: the variant's. pretraining: names
    of the runs whose arms learn it; None: all.
    """

    name: str
    dataset: str
    labels: tuple[str, ...]
    fractions: tuple[float, ...]
    draws: Mapping[float, int]
    fraction_of: str
    aggregate: str
    methods: tuple[str, ...] | None
    pretraining: tuple[str, ...] | None
    settings: Settings


@dataclass(frozen=True)
class Evaluation:
    """How the cells are judged. family: what Holm's correction goes over: one family for each value of these.

    allow_different: in what arms may differ beside their weights, as `cxr-eval bootstrap --allow-different` names it.
    also_over: arms that each comparison is judged over once more, beside the study's reference.
    """

    split: str
    metrics: tuple[str, ...]
    replicates: int
    level: float
    over: tuple[str, ...]
    family: tuple[str, ...]
    statistics_seed: int
    allow_different: tuple[str, ...] = ()
    also_over: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """A study file. methods: the settings of each method. run: variants that are trained. seed: of heads, order.

    references: gains are over the better of these arms. rates: images/s by kind of work and architecture, for
    `--dry-run` where nothing has been measured.
    """

    path: Path
    name: str
    datasets: Mapping[str, StudyDataset]
    pretraining: tuple[Pretraining, ...]
    arms: tuple[Arm, ...]
    references: tuple[str, ...]
    methods: Mapping[str, Settings]
    variants: Mapping[str, Variant]
    run: tuple[str, ...]
    targets: tuple[Target, ...]
    seed: int
    evaluation: Evaluation
    rates: Mapping[tuple[str, str], float]


def read_study(path: Path) -> Study:
    """Read and check a study file. Raises StudyError that names file and key for whatever cannot be used."""
    top = read_yaml(path)
    required = ("study_version", "name", "datasets", "pretraining", "arms", "reference", "methods", "targets")
    found = top.fields(required, ("variants", "run", "seed", "evaluation", "rates"))
    version = found["study_version"]
    if version.value != STUDY_VERSION or isinstance(version.value, bool):
        raise version.error(f"this release reads study files of version {STUDY_VERSION}, not {version.value!r}")
    datasets = {name: _dataset(name, entry) for name, entry in found["datasets"].named().items()}
    pretraining = tuple(_pretraining(name, entry, datasets) for name, entry in found["pretraining"].named().items())
    names = [one.name for one in pretraining]
    arms = tuple(_arm(name, entry, names) for name, entry in found["arms"].named().items())
    methods = {
        name: method_settings(entry, name) for name, entry in found["methods"].fields(optional=tuple(METHODS)).items()
    }
    if not methods:
        raise found["methods"].error("no method is named: probe, finetune or both")
    variants = _variants(found.get("variants"), methods)
    targets = tuple(_target(entry, datasets, methods, names) for entry in found["targets"].items())
    found["targets"].distinct([target.name for target in targets])
    run = found["run"].choices(variants) if "run" in found else tuple(variants)
    references = _references(found["reference"], arms)
    others = [arm.name for arm in arms if arm.name not in references]
    return Study(
        path=path,
        name=found["name"].name(),
        datasets=datasets,
        pretraining=pretraining,
        arms=arms,
        references=references,
        methods=methods,
        variants=variants,
        run=run,
        targets=targets,
        seed=found["seed"].seed() if "seed" in found else 0,
        evaluation=_evaluation(found.get("evaluation", Entry({}, path, "evaluation")), others),
        rates=_rates(found.get("rates", Entry({}, path, "rates"))),
    )


def fraction_text(fraction: float) -> str:
    """A fraction as folders name it: 0.001, 0.0625, 1.0; never with an exponent."""
    return format(Decimal(repr(fraction)), "f")


def _dataset(name: str, entry: Entry) -> StudyDataset:
    found = entry.fields(("shards",), ("splits",))
    splits: dict[str, int | None] = {}
    for split, count in (found["splits"].fields(optional=SPLITS) if "splits" in found else {}).items():
        splits[split] = None if count.value is None else count.whole()
    return StudyDataset(name, Path(found["shards"].text()), splits)


def _pretraining(name: str, entry: Entry, datasets: Mapping[str, StudyDataset]) -> Pretraining:
    found = entry.fields(("recipe", "shards"), None)
    own = [value for key, value in found.items() if key not in ("recipe", "shards", "seeds")]
    recipe = recipe_settings(found["recipe"])
    seeds = [0]
    if "seeds" in found:
        seeds = [seed.seed() for seed in found["seeds"].items()]
        found["seeds"].distinct(seeds)
    return Pretraining(
        name=name,
        recipe=found["recipe"].text(),
        shards=found["shards"].choices(datasets),
        seeds=tuple(seeds),
        settings=recipe | pretrain_settings(own, entry),
    )


def _arm(name: str, entry: Entry, pretraining: list[str]) -> Arm:
    optional = ("at", "backbone_from", "weights", "seen_patients", "preprocessing", "pretraining")
    found = entry.fields(optional=optional)
    if ("at" in found) == ("backbone_from" in found):
        raise entry.error("give either at (start or end of the pretraining run) or backbone_from")
    if ("backbone_from" in found) != ("seen_patients" in found):
        raise entry.error("backbone_from and seen_patients belong together: none, or a file that lists the patients")
    at = found["at"].choice(("start", "end")) if "at" in found else None
    source = found["backbone_from"].text() if "backbone_from" in found else None
    of_timm = source is not None and is_timm(source)
    if "weights" in found and not of_timm:
        raise found["weights"].error("weights is the file of a network of timm: name other files by backbone_from")
    preprocessing = OWN if of_timm else RUN
    if "preprocessing" in found:
        preprocessing = found["preprocessing"].choice(PREPROCESSING)
        if at == "end" or (at == "start" and preprocessing == OWN):
            raise found["preprocessing"].error(
                "an arm of a run has the run's own preprocessing; its start can be shown under imagenet or dataset too"
            )
    return Arm(
        name=name,
        at=at,
        backbone_from=source,
        weights=found["weights"].text() if "weights" in found else None,
        seen_patients=found["seen_patients"].text() if "seen_patients" in found else None,
        preprocessing=preprocessing,
        pretraining=found["pretraining"].choices(pretraining) if "pretraining" in found else None,
    )


def _references(entry: Entry, arms: tuple[Arm, ...]) -> tuple[str, ...]:
    of_all = {arm.name: arm.pretraining is None for arm in arms}
    chosen = entry.choices(of_all) if isinstance(entry.value, list) else (entry.choice(of_all),)
    if odd := [name for name in chosen if not of_all[name]]:
        raise entry.error(f"the arm {odd[0]} is not one of all pretraining runs: gains are over an arm of every run")
    return chosen


def _variants(entry: Entry | None, methods: Mapping[str, Settings]) -> dict[str, Variant]:
    if entry is None:
        return {"default": Variant("default", None, Settings())}
    variants = {}
    for name, variant in entry.named().items():
        found = variant.fields(optional=None)
        of = found.pop("methods", None)
        chosen = None if of is None else of.choices(methods)
        variants[name] = Variant(name, chosen, shared_settings(found.values(), variant))
    return variants


def _target(
    entry: Entry, datasets: Mapping[str, StudyDataset], methods: Mapping[str, Settings], pretraining: list[str]
) -> Target:
    own = ("name", "dataset", "labels", "fractions", "draws", "fraction_of", "aggregate", "methods", "pretraining")
    found = entry.fields(own[:4], None)
    fractions = [fraction.number(0.0, 1.0) for fraction in found["fractions"].items()]
    found["fractions"].distinct(fractions)
    labels = found["labels"]
    return Target(
        name=found["name"].name(),
        dataset=found["dataset"].choice(datasets),
        labels=("all",) if labels.value == "all" else labels.texts(),
        fractions=tuple(fractions),
        draws=_draws(found.get("draws"), fractions),
        fraction_of=found["fraction_of"].choice(FRACTION_OF) if "fraction_of" in found else "patients",
        aggregate=found["aggregate"].choice(AGGREGATES) if "aggregate" in found else "image",
        methods=found["methods"].choices(methods) if "methods" in found else None,
        pretraining=found["pretraining"].choices(pretraining) if "pretraining" in found else None,
        settings=shared_settings([value for key, value in found.items() if key not in own], entry),
    )


def _draws(entry: Entry | None, fractions: list[float]) -> dict[float, int]:
    """Number of draws of each fraction: one number for all, or a map by fraction. A fraction of 1 has one."""
    if entry is None:
        draws = dict.fromkeys(fractions, 1)
    elif isinstance(entry.value, dict):
        draws = {}
        for fraction, count in entry.value.items():
            place = Entry(count, entry.file, f"{entry.key}.{fraction}")
            if fraction not in fractions:
                raise place.error(f"{fraction!r} is none of this target's fractions")
            draws[float(fraction)] = place.whole(1, MOST_DRAWS)
        lacking = [fraction for fraction in fractions if fraction != 1 and fraction not in draws]
        if lacking:
            raise entry.error(f"the fraction {fraction_text(lacking[0])} has no number of draws")
    else:
        draws = dict.fromkeys(fractions, entry.whole(1, MOST_DRAWS))
    return {fraction: 1 if fraction == 1 else draws[fraction] for fraction in fractions}


def _evaluation(entry: Entry, others: Sequence[str]) -> Evaluation:
    """others: the arms that are no reference."""
    found = entry.fields(optional=tuple(field.name for field in fields(Evaluation)))
    level = found["level"].number(0.0, 1.0) if "level" in found else 0.95
    if level == 1:
        raise found["level"].error("a level below 1 is needed")
    replicates = found["replicates"].whole(1, 10_000_000) if "replicates" in found else 10000
    if replicates < (fewest := round(TAIL / (1 - level))):
        raise found["replicates"].error(
            f"{replicates} are too few for a level of {level:g}: at least {fewest} are needed"
        )
    return Evaluation(
        split=found["split"].choice(SPLITS) if "split" in found else "test",
        metrics=found["metrics"].texts() if "metrics" in found else ("auroc",),
        replicates=replicates,
        level=level,
        over=found["over"].choices(OVER) if "over" in found else OVER,
        family=found["family"].choices(FAMILY) if "family" in found else (),
        statistics_seed=found["statistics_seed"].seed() if "statistics_seed" in found else 0,
        allow_different=found["allow_different"].texts() if "allow_different" in found else (),
        also_over=found["also_over"].choices(others) if "also_over" in found else (),
    )


def _rates(entry: Entry) -> dict[tuple[str, str], float]:
    return {
        (kind, architecture): rate.number(0.0, 1e9)
        for kind, of_kind in entry.fields(optional=KINDS).items()
        for architecture, rate in of_kind.fields(optional=ARCHITECTURES).items()
    }
