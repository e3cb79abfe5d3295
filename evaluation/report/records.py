"""Read the JSON and YAML that runs, models and datasets leave: only what a report shows of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from evaluation.report.pretrainings import Pretraining, backbone_of, pretraining_of
from shards.json_value import JsonValue

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Citation:
    """A dataset as runs and models name it. digest: None where an older one does not say it."""

    name: str
    digest: str | None


@dataclass(frozen=True)
class RunConfig:
    """config.yaml. options: the values of each option as text, in the order of the file; none for null."""

    options: dict[str, tuple[str, ...]]

    def value(self, option: str) -> str | None:
        """The value of an option; None where it is not set."""
        values = self.options.get(option)
        return ", ".join(values) if values else None


@dataclass(frozen=True)
class LastCheckpoint:
    """last.json: how far a run is."""

    step: int
    epoch: int
    finished: bool


@dataclass(frozen=True)
class BackboneRecord:
    """backbone.json. datasets: those that it was pretrained on. digest: of the weights, None of an old one."""

    datasets: tuple[Citation, ...]
    digest: str | None = None


@dataclass(frozen=True)
class SplitAuroc:
    """AUROC of a label on a split; None where it is undefined."""

    auroc: float | None


@dataclass(frozen=True)
class Regularisation:
    """C of one label's regression, and how it was chosen."""

    strength: float
    chosen_by: str


@dataclass(frozen=True)
class ModelRecord:
    """model.json. init, seed: of the pretraining that it started from, None where there was none.

    results: label -> split -> AUROC, without the splits that the dataset lacks. backbone: the architecture.
    pretraining: the run that it started from or from whose start. regularisation: of a probe, by label. best_epoch: of
    fine-tuning. selected_on: what was selected -> the split; empty in a model of an earlier release.
    """

    dataset: Citation
    method: str
    label_fraction: float
    initial: str
    init: str | None
    seed: int | None
    labels: tuple[str, ...]
    train_samples: int
    results: dict[str, dict[str, SplitAuroc]]
    backbone: str = ""
    pretraining: Pretraining | None = None
    regularisation: tuple[Regularisation, ...] = ()
    best_epoch: int | None = None
    selected_on: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetRecord:
    """dataset.json. samples: by split, None for one that is not recorded. patients: of all splits."""

    name: str | None
    licence: str
    samples: tuple[int | None, ...]
    patients: int


def run_config(content: JsonValue) -> RunConfig:
    """Read config.yaml as YAML gives it; an empty file has no options."""
    if content.value is None:
        return RunConfig({})
    return RunConfig({name: tuple(_texts(value)) for name, value in content.fields().items()})


def last_checkpoint(content: JsonValue) -> LastCheckpoint:
    """Read last.json. Raises JsonError for another content, as all readers here."""
    return LastCheckpoint(
        content.at("step").whole(), content.at("epoch").whole(), content.optional("finished", JsonValue.flag) or False
    )


def backbone_record(content: JsonValue) -> BackboneRecord:
    """Read backbone.json."""
    cited = content.find("provenance", "datasets")
    datasets = tuple(_citation(one) for one in cited.items()) if cited else ()
    return BackboneRecord(datasets, content.optional("digest", JsonValue.text))


def model_record(content: JsonValue) -> ModelRecord:
    """Read model.json."""
    init, seed = content.find("provenance", "init"), content.find("provenance", "seed")
    results = content.optional("results", JsonValue.fields) or {}
    regularised = content.optional("regularisation", JsonValue.fields)
    selected = content.optional("selected_on", JsonValue.fields)
    return ModelRecord(
        dataset=_citation(content.at("dataset")),
        method=content.at("method").text(),
        label_fraction=float(content.at("label_fraction").number()),
        initial=content.optional("initial", JsonValue.text) or "unknown",
        init=None if init is None else str(init.value),
        seed=None if seed is None else seed.whole(),
        labels=content.at("labels").texts(),
        train_samples=content.at("train_samples").whole(),
        results={label: _by_split(entry) for label, entry in results.items()},
        backbone=backbone_of(content),
        pretraining=pretraining_of(content),
        regularisation=tuple(_regularisation(one) for one in (regularised or {}).values()),
        best_epoch=content.optional("best_epoch", JsonValue.whole),
        selected_on={what: where.text() for what, where in (selected or {}).items()},
    )


def dataset_record(content: JsonValue) -> DatasetRecord:
    """Read dataset.json."""
    splits = content.optional("splits", JsonValue.fields) or {}
    samples = {split: entry.optional("samples", JsonValue.whole) for split, entry in splits.items()}
    return DatasetRecord(
        name=content.optional("name", JsonValue.text),
        licence=content.optional("licence", JsonValue.text) or "",
        samples=tuple(samples.get(split) for split in SPLITS),
        patients=sum(entry.optional("patients", JsonValue.whole) or 0 for entry in splits.values()),
    )


def _texts(option: JsonValue) -> Iterable[str]:
    if option.value is None:
        return ()
    return (str(one.value) for one in option.items()) if isinstance(option.value, list) else (str(option.value),)


def _citation(entry: JsonValue) -> Citation:
    return Citation(entry.at("name").text(), entry.optional("digest", JsonValue.text))


def _regularisation(entry: JsonValue) -> Regularisation:
    """Read the C of a label; an earlier release chose it on one held-out part and did not say so."""
    return Regularisation(entry.at("C").number(), entry.optional("chosen_by", JsonValue.text) or "hold-out")


def _by_split(entry: JsonValue) -> dict[str, SplitAuroc]:
    there = {split: found for split, found in entry.fields().items() if found.value is not None}
    return {split: SplitAuroc(found.optional("auroc", JsonValue.number)) for split, found in there.items()}
