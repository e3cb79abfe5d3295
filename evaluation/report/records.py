"""Read the JSON and YAML that runs, models and datasets leave: only what a report shows of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from evaluation.report.pretrainings import Pretraining, backbone_of, initial_of, pretraining_of
from shards.json_value import JsonValue
from training.backbones.description import read_description

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
class BackboneRecord:
    """backbone.json. datasets: those that it was pretrained on. digest: of the weights, None of an old one.

    row_filter: the condition that the images fulfil; None for all of them.
    """

    datasets: tuple[Citation, ...]
    digest: str | None = None
    row_filter: str | None = None


@dataclass(frozen=True)
class Provenance:
    """How weights were pretrained. init: the weights that it began from. None where it is not recorded."""

    method: str | None = None
    init: str | None = None
    seed: int | None = None
    epochs: int | None = None
    steps: int | None = None
    datasets: tuple[Citation, ...] = ()
    row_filter: str | None = None


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
    fine-tuning. selected_on: what was selected -> the split; empty in a model of an earlier release. provenance: of
    its initial weights. uncertain, missing: how such labels were read. fraction_of: patients or images. row_filter: the
    condition that its images fulfil. options: of the training, as text. digest: of the weights.
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
    provenance: Provenance = field(default_factory=Provenance)
    train_patients: int | None = None
    draw: int | None = None
    uncertain: str | None = None
    missing: str | None = None
    fraction_of: str | None = None
    row_filter: str | None = None
    image_size: int | None = None
    epochs: int | None = None
    options: RunConfig = field(default_factory=lambda: RunConfig({}))
    digest: str | None = None


@dataclass(frozen=True)
class DatasetRecord:
    """dataset.json. samples: by split, None for one that is not recorded. patients: of all splits.

    variant: which reader made it. versions: of the libraries that changed its bytes.
    """

    name: str | None
    licence: str
    samples: tuple[int | None, ...]
    patients: int
    variant: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def run_config(content: JsonValue) -> RunConfig:
    """Write the options of config.yaml, or of a model, as text."""
    return RunConfig({name: tuple(_texts(value)) for name, value in content.fields().items()})


def backbone_record(content: JsonValue) -> BackboneRecord:
    """Read backbone.json. Raises JsonError for another content, as all readers here."""
    digest, found = read_description(content).digest, _provenance(content)
    return BackboneRecord(found.datasets, digest, found.row_filter)


def model_record(content: JsonValue) -> ModelRecord:
    """Read model.json."""
    provenance = _provenance(content)
    results = content.optional("results", JsonValue.fields) or {}
    regularised = content.optional("regularisation", JsonValue.fields)
    selected = content.optional("selected_on", JsonValue.fields)
    return ModelRecord(
        dataset=_citation(content.at("dataset")),
        method=content.at("method").text(),
        label_fraction=float(content.at("label_fraction").number()),
        initial=initial_of(content) or "unknown",
        init=provenance.init,
        seed=provenance.seed,
        labels=content.at("labels").texts(),
        train_samples=content.at("train_samples").whole(),
        results={label: _by_split(entry) for label, entry in results.items()},
        backbone=backbone_of(content),
        pretraining=pretraining_of(content),
        regularisation=tuple(_regularisation(one) for one in (regularised or {}).values()),
        best_epoch=content.optional("best_epoch", JsonValue.whole),
        selected_on={what: where.text() for what, where in (selected or {}).items()},
        provenance=provenance,
        train_patients=content.optional("train_patients", JsonValue.whole),
        draw=content.optional("draw", JsonValue.whole),
        uncertain=content.optional("uncertain", JsonValue.text),
        missing=content.optional("missing", JsonValue.text),
        fraction_of=content.optional("fraction_of", JsonValue.text),
        row_filter=content.optional("row_filter", JsonValue.text),
        image_size=content.optional("image_size", JsonValue.whole),
        epochs=content.optional("epochs", JsonValue.whole),
        options=content.optional("options", run_config) or RunConfig({}),
        digest=content.optional("digest", JsonValue.text),
    )


def seconds_of_cell(content: JsonValue) -> float:
    """Read how long a cell of a study took from its done.json."""
    return content.at("seconds").number()


def dataset_record(content: JsonValue) -> DatasetRecord:
    """Read dataset.json."""
    splits = content.optional("splits", JsonValue.fields) or {}
    samples = {split: entry.optional("samples", JsonValue.whole) for split, entry in splits.items()}
    return DatasetRecord(
        name=content.optional("name", JsonValue.text),
        licence=content.optional("licence", JsonValue.text) or "",
        samples=tuple(samples.get(split) for split in SPLITS),
        patients=sum(entry.optional("patients", JsonValue.whole) or 0 for entry in splits.values()),
        variant=content.optional("variant", JsonValue.text) or "",
        versions=content.optional("versions", lambda versions: versions.each(JsonValue.text)) or {},
    )


def _texts(option: JsonValue) -> Iterable[str]:
    if option.value is None:
        return ()
    return (str(one.value) for one in option.items()) if isinstance(option.value, list) else (str(option.value),)


def _provenance(content: JsonValue) -> Provenance:
    """Read the provenance of weights, of backbone.json or of model.json; what is not recorded is None."""
    found = content.find("provenance")
    if found is None:
        return Provenance()
    init, cited = found.find("init"), found.find("datasets")
    return Provenance(
        method=found.optional("method", JsonValue.text),
        init=None if init is None else str(init.value),
        seed=found.optional("seed", JsonValue.whole),
        epochs=found.optional("epochs", JsonValue.whole),
        steps=found.optional("steps", JsonValue.whole),
        datasets=tuple(_citation(one) for one in cited.items()) if cited else (),
        row_filter=found.optional("row_filter", JsonValue.text),
    )


def _citation(entry: JsonValue) -> Citation:
    return Citation(entry.at("name").text(), entry.optional("digest", JsonValue.text))


def _regularisation(entry: JsonValue) -> Regularisation:
    """Read the C of a label; an earlier release chose it on one held-out part and did not say so."""
    return Regularisation(entry.at("C").number(), entry.optional("chosen_by", JsonValue.text) or "hold-out")


def _by_split(entry: JsonValue) -> dict[str, SplitAuroc]:
    there = {split: found for split, found in entry.fields().items() if found.value is not None}
    return {split: SplitAuroc(found.optional("auroc", JsonValue.number)) for split, found in there.items()}
