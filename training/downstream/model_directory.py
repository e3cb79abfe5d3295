"""Write and read model directories: a probed or fine-tuned network with its description and the patients it has seen.

model.safetensors holds torchvision's names; its last linear layer has one output a label, so that a probe and a
fine-tuned network are used alike: sigmoid(logit).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from shards.durable import write_atomically, write_json_atomically
from shards.errors import ResumeError
from shards.input_files import read_regular, read_watched
from shards.json_value import JsonError, JsonValue, parse_json
from shards.own_files import stranger
from training.backbones.architectures import ARCHITECTURES, is_timm
from training.backbones.description import GrayLevels, read_gray_levels, read_image_size, read_std
from training.backbones.networks import attach_head, build_backbone, feature_dimension
from training.backbones.weight_files import fill_encoder, read_weights, safetensors_bytes
from training.downstream.options import ALL, EARLIER_VALUES, FinetuneOptions, SupervisedOptions
from training.downstream.start import Start, recorded_options
from training.errors import WeightsError
from training.labels import Targets
from training.options import Config, differences
from training.provenance import Provenance, read_provenance
from training.runs.files import CELL, CONFIG, LAST, MODEL, MODEL_MARKER, MODEL_WEIGHTS
from training.seen_patients import PATIENTS, RUN_PATIENTS, Seen, WithSeen, read_seen, seen_of_rows, write_seen

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Model(WithSeen):
    """A model that was read from its directory.

    network: [N, 3, H, W] -> logits [N, L], eval mode, CPU. image_size: side in pixels. mean, std: 0..255, of the
    input. labels: in the order of the outputs. seen: what the weights have seen. run_seen: of a model of a run's
    start, what that run has seen; nothing otherwise. description: model.json.
    """

    network: nn.Module
    architecture: str
    image_size: int
    mean: GrayLevels
    std: GrayLevels
    labels: tuple[str, ...]
    seen: Seen
    run_seen: Seen
    description: JsonValue


@dataclass(frozen=True)
class Auroc:
    """AUROC of one label on one split, None where it is undefined. n: known targets, positives: those that are 1."""

    auroc: float | None
    n: int
    positives: int


Results = Mapping[str, Mapping[str, Auroc | None]]
"""label -> split -> AUROC; None for a split that the dataset does not have."""


def already_done(folder: Path, options: Config) -> bool:
    """Whether `folder` holds the model that these options make. options: as `recorded_options` lists them.

    An option that an earlier release did not record counts with the value that it had then.
    Raises ResumeError if it holds another one, or is no folder for a model: nothing is ever overwritten.
    """
    path = folder / MODEL
    if not path.is_file():
        if folder.exists() and not folder.is_dir():
            raise ResumeError(f"{folder} is a file. Give another --output.")
        if (folder / CONFIG).exists() or (folder / LAST).exists():
            # A run has a patients.parquet and a metrics.jsonl of its own.
            raise ResumeError(f"{folder} holds a run of `cxr-train pretrain`. Give another --output.")
        _refuse_others_folder(folder)
        return False
    found = _described(path).find("options")
    recorded: Config = {
        **{key: value for key, value in EARLIER_VALUES.items() if key in options},
        **(found.value if found is not None and isinstance(found.value, dict) else {}),
    }
    details = differences(recorded, options)
    if details:
        raise ResumeError(f"{folder} holds a model made with other options ({details}). Give another --output.")
    return True


def claim_model_folder(folder: Path) -> None:
    """Mark a folder, which `already_done` has found free, as that of a model to come."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json_atomically(folder / MODEL_MARKER, {"format_version": FORMAT_VERSION, "written_by": "cxr-train"})


def _refuse_others_folder(folder: Path) -> None:
    """Raise ResumeError for a folder that is not empty and that no model of ours was begun in."""
    if any((folder / name).is_file() for name in (MODEL_MARKER, CELL)):
        return
    found = stranger(folder)
    if found is not None:
        raise ResumeError(
            f"{folder} is not empty: {found.name} is there, and no model of ours. Give another --output; if an "
            "interrupted fine-tuning of an earlier release left it, remove it."
        )


def save_model(
    start: Start,
    options: SupervisedOptions,
    weights: Mapping[str, Tensor],
    *,
    trained_on: pd.DataFrame,
    results: Results,
    details: "DataclassInstance",
) -> None:
    """Write the model directory options.output, model.json last. weights: torchvision's names, head included.

    trained_on: the rows whose labels or pixels were used, held-out ones too. details: what the method adds to
    model.json, a key a field.
    """
    folder, backbone, dataset = options.output, start.backbone, start.dataset
    claim_model_folder(folder)
    content = safetensors_bytes(weights)
    with write_atomically(folder / MODEL_WEIGHTS) as file:
        file.write(content)
    write_seen(folder, backbone.seen + seen_of_rows(dataset, trained_on))
    if options.at == "start":
        write_seen(folder, backbone.run_seen, RUN_PATIENTS)
    recorded = recorded_options(start, options)
    description = {
        **backbone.description.as_json(),
        "method": options.method,
        "initial": backbone.initial,
        "backbone_digest": backbone.digest,
        "labels": list(start.labels),
        "left_out_labels": list(start.left_out),
        **{
            key: recorded[key]
            for key in ("label_fraction", "fraction_of", "draw", "seed", "uncertain", "missing", "at")
        },
        "pretraining_seed": pretraining_seed(backbone.provenance),
        "dataset": dataset.citation,
        **({} if dataset.row_filter is None else {"row_filter": dataset.row_filter}),
        "train_samples": len(trained_on),
        "train_patients": int(trained_on["patient_id"].nunique()),
        "results": results_as_json(results),
        "leakage": dict(start.leakage),
        **asdict(details),
        "options": recorded,
        "digest": hashlib.sha256(content).hexdigest(),
    }
    description["labels_digest"] = labels_digest(str(description["digest"]), start.labels)
    write_json_atomically(folder / MODEL, description)
    (folder / MODEL_MARKER).unlink(missing_ok=True)


def labels_digest(digest: str, labels: Sequence[str]) -> str:
    """SHA-256 of the weights' digest and the labels in the order of the outputs: another order would be noticed."""
    return hashlib.sha256(json.dumps([digest, *labels]).encode()).hexdigest()


def load_model(folder: Path) -> Model:
    """Read a model directory.

    Raises WeightsError where it is unfinished, of another format, or its files disagree; names a key that is wrong.
    """
    path = folder / MODEL
    if not path.is_file():
        raise WeightsError(
            f"{folder} holds no {MODEL}: it is not a finished model. Run `cxr-train probe` or `cxr-train finetune`."
        )
    description = _described(path)
    version = description.value.get("format_version")
    if version != FORMAT_VERSION:
        raise WeightsError(f"{path}: format version {version!r}, not {FORMAT_VERSION}")
    try:
        return _model(folder, description)
    except JsonError as error:
        raise WeightsError(f"{path}: {error}. Copy it again, or train the model again.") from error


def _model(folder: Path, description: JsonValue) -> Model:
    weights_path = folder / MODEL_WEIGHTS
    weights = read_weights(weights_path)
    if hashlib.sha256(read_watched(weights_path)).hexdigest() != description.at("digest").text():
        raise WeightsError(f"{weights_path} is not the file that {MODEL} records. Copy both again.")
    architecture, labels = description.at("architecture").text(), _labels(folder / MODEL, description)
    if architecture not in ARCHITECTURES and not is_timm(architecture):
        raise description.at("architecture").wrong(f"one of {', '.join(ARCHITECTURES)}")
    head = nn.Linear(feature_dimension(architecture), len(labels))
    network = attach_head(build_backbone(architecture, seed=0), architecture, head)
    fill_encoder(network, architecture, weights, str(weights_path))
    seen = read_seen(folder, provenance=read_provenance(description.at("provenance")))
    _refuse_lost_patients(folder, description, seen)
    return Model(
        network=network.eval(),
        architecture=architecture,
        image_size=read_image_size(description.at("image_size")),
        mean=read_gray_levels(description.at("mean")),
        std=read_std(description.at("std")),
        labels=labels,
        seen=seen,
        run_seen=read_seen(folder, RUN_PATIENTS) if description.value.get("at") == "start" else Seen(),
        description=description,
    )


def _labels(path: Path, description: JsonValue) -> tuple[str, ...]:
    """Read the labels, in the order of the outputs. Raises WeightsError where it is not the order of the weights."""
    labels, recorded = description.at("labels").texts(), description.optional("labels_digest", JsonValue.text)
    asked = description.find("options", "labels")
    if recorded is not None:
        differ = recorded != labels_digest(description.at("digest").text(), labels)
    else:  # an earlier release: labels that were asked for by name are learned in that order, and all of them
        differ = asked is not None and asked.value != [ALL] and asked.value != list(labels)
    if differ or len(set(labels)) != len(labels) or not labels:
        raise WeightsError(
            f"{path} does not name the labels that the weights were written with, in their order: a score would be "
            "read as another label's. Copy the whole folder again, or train the model again."
        )
    return labels


def _refuse_lost_patients(folder: Path, description: JsonValue, seen: Seen) -> None:
    """Raise WeightsError where patients.parquet lists fewer patients of the model's dataset than it was trained on."""
    count, name = description.find("train_patients"), description.find("dataset", "name")
    if count is None or name is None or not (folder / PATIENTS).is_file():
        return
    listed = seen.patients.loc[seen.patients["dataset"] == name.text(), "patient_id"].nunique()
    if listed < count.whole():
        raise WeightsError(
            f"{folder / PATIENTS} lists {listed} patients of {name.text()}, and {MODEL} says that it was trained on "
            f"{count.whole()}. Copy the whole folder again."
        )


def selected_on(description: JsonValue) -> dict[str, str]:
    """Name what was selected (C, epoch) and the split of the model's dataset that it was selected on.

    description: model.json. An earlier release did not say it: its probes chose C on training patients, and its
    fine-tuning the epoch on the valid split where there is one.
    """
    recorded = description.find("selected_on")
    if recorded is not None:
        return {what: split.text() for what, split in recorded.fields().items()}
    if description.value.get("method") != FinetuneOptions.method:
        return {"C": "train"}
    results = description.find("results")
    validated = results is not None and any(one.find("valid") for one in results.fields().values())
    return {"epoch": "valid" if validated else "train"}


def pretraining_seed(provenance: Provenance) -> int | None:
    """Seed of the pretraining run that a backbone, or the start of a run, belongs to; None for other weights."""
    of_run = provenance.get("start_of")
    if of_run is not None:
        return of_run["seed"]
    return provenance.get("seed") if provenance.get("method") != "none" else None


def auroc_by_split(labels: Sequence[str], found: Mapping[str, tuple[Targets, Targets] | None]) -> Results:
    """Compute the AUROC of each label in each split. found: split -> (targets [N, L], scores [N, L]) or None."""
    return {
        label: {
            split: None if pair is None else _auroc(pair[0][:, column], pair[1][:, column])
            for split, pair in found.items()
        }
        for column, label in enumerate(labels)
    }


def results_as_json(results: Results) -> dict[str, dict[str, dict[str, float | None] | None]]:
    """Results as model.json holds them."""
    return {
        label: {split: None if result is None else asdict(result) for split, result in by_split.items()}
        for label, by_split in results.items()
    }


def load_results(folder: Path) -> Results:
    """Read the results that model.json of a model directory holds. Raises WeightsError naming a key that is wrong."""
    path = folder / MODEL
    try:
        return {
            label: {split: _read_auroc(by_split, split) for split in by_split.fields()}
            for label, by_split in _described(path).at("results").fields().items()
        }
    except JsonError as error:
        raise WeightsError(f"{path}: {error}. Copy it again, or train the model again.") from error


def mean_auroc(labels: Sequence[str], target: Targets, scores: Targets) -> float | None:
    """Average the AUROC over the labels for which it is defined; None where it is for none."""
    every = [_auroc(target[:, column], scores[:, column]).auroc for column in range(len(labels))]
    defined = [value for value in every if value is not None]
    return sum(defined) / len(defined) if defined else None


def _described(path: Path) -> JsonValue:
    try:
        content = parse_json(read_regular(path))
    except (JsonError, OSError) as error:
        raise WeightsError(f"{path} is {error}. Copy it again, or train the model again.") from error
    if not isinstance(content.value, dict):
        raise WeightsError(f"{path} does not describe a model. Copy it again, or train the model again.")
    return content


def _read_auroc(by_split: JsonValue, split: str) -> Auroc | None:
    """Read the AUROC of a label on a split; None where the dataset has no such split."""
    found = by_split.find(split)
    if found is None:
        return None
    return Auroc(found.nullable("auroc", JsonValue.number), found.at("n").whole(), found.at("positives").whole())


def _auroc(target: Targets, scores: Targets) -> Auroc:
    known = target == target  # NaN is not
    n, positives = int(known.sum()), int((target[known] == 1).sum())
    defined = 0 < positives < n
    return Auroc(float(roc_auc_score(target[known], scores[known])) if defined else None, n, positives)
