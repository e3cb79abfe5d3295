"""A model directory: a probed or fine-tuned network with what is known of it, written whole, read by `cxr-eval`.

model.safetensors holds torchvision's names; its last linear layer has one output a label, so that a probe and a
fine-tuned network are used alike: sigmoid(logit).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from shards.durable import write_atomically, write_json_atomically
from shards.errors import ResumeError
from shards.format.dataset import Dataset
from training.backbones.backbone import Backbone
from training.backbones.networks import attach_head, build_backbone, feature_dimension
from training.backbones.weight_files import read_weights, safetensors_bytes
from training.errors import WeightsError
from training.labels import Targets
from training.runs.backbone_from import describe_backbone
from training.runs.files import CONFIG, LAST, MODEL, MODEL_WEIGHTS
from training.seen_patients import PATIENTS, read_patients, write_patients

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Model:
    """network: [N, 3, H, W] -> logits [N, L], eval mode, CPU. description: model.json. patients: all it has seen."""

    network: nn.Module
    description: Mapping[str, Any]
    patients: pd.DataFrame

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the outputs."""
        return tuple(self.description["labels"])


def already_done(folder: Path, options: Mapping[str, Any]) -> bool:
    """Whether `folder` holds the model that these options make.

    Raises ResumeError if it holds another one, or is no folder for a model: nothing is ever overwritten.
    """
    path = folder / MODEL
    if not path.is_file():
        if folder.exists() and not folder.is_dir():
            raise ResumeError(f"{folder} is a file. Give another --output.")
        if (folder / CONFIG).exists() or (folder / LAST).exists():
            # A run has a patients.parquet and a metrics.jsonl of its own.
            raise ResumeError(f"{folder} holds a run of `cxr-train pretrain`. Give another --output.")
        return False
    recorded = _described(path).get("options", {})
    differing = sorted(key for key in recorded.keys() | options.keys() if recorded.get(key) != options.get(key))
    if differing:
        details = "; ".join(f"{key}: {recorded.get(key)!r} there, {options.get(key)!r} here" for key in differing)
        raise ResumeError(f"{folder} holds a model made with other options ({details}). Give another --output.")
    return True


def save_model(
    folder: Path,
    weights: Mapping[str, Tensor],
    backbone: Backbone,
    *,
    method: str,
    labels: Sequence[str],
    options: Mapping[str, Any],
    dataset: Dataset,
    trained_on: pd.DataFrame,
    results: Mapping[str, Any],
    details: Mapping[str, Any],
) -> None:
    """Write a model directory, model.json last. weights: torchvision's names, head included.

    trained_on: the rows whose labels or pixels were used, held-out ones too. results: `auroc_by_split`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = safetensors_bytes(weights)
    with write_atomically(folder / MODEL_WEIGHTS) as file:
        file.write(content)
    own = pd.DataFrame({"dataset": dataset.name, "patient_id": trained_on["patient_id"]})
    write_patients(folder, pd.concat([backbone.patients, own], ignore_index=True))
    description = {
        **describe_backbone(
            architecture=backbone.architecture,
            image_size=backbone.image_size,
            mean=backbone.mean,
            std=backbone.std,
            provenance=backbone.provenance,
        ),
        "method": method,
        "initial": backbone.initial,
        "backbone_digest": backbone.digest,
        "labels": list(labels),
        **{key: options[key] for key in ("label_fraction", "draw", "seed", "uncertain", "missing")},
        "dataset": dataset.citation,
        "train_samples": len(trained_on),
        "train_patients": int(trained_on["patient_id"].nunique()),
        "results": dict(results),
        **details,
        "options": dict(options),
        "digest": hashlib.sha256(content).hexdigest(),
    }
    write_json_atomically(folder / MODEL, description)


def load_model(folder: Path) -> Model:
    """Read a model directory. Raises WeightsError where it is unfinished, of another format, or its files disagree."""
    path = folder / MODEL
    if not path.is_file():
        raise WeightsError(
            f"{folder} holds no {MODEL}: it is no finished model. Run `cxr-train probe` or `cxr-train finetune`."
        )
    description = _described(path)
    if description.get("format_version") != FORMAT_VERSION:
        raise WeightsError(f"{path}: format version {description.get('format_version')!r}, not {FORMAT_VERSION}")
    if not (folder / PATIENTS).is_file():
        raise WeightsError(
            f"{folder} holds no {PATIENTS}, so nobody knows whom the weights have seen. Copy the whole folder again."
        )
    weights_path = folder / MODEL_WEIGHTS
    weights = read_weights(weights_path)
    if hashlib.sha256(weights_path.read_bytes()).hexdigest() != description.get("digest"):
        raise WeightsError(f"{weights_path} is not the file that {MODEL} records. Copy both again.")
    architecture = description["architecture"]
    head = nn.Linear(feature_dimension(architecture), len(description["labels"]))
    network = attach_head(build_backbone(architecture, seed=0), architecture, head)
    network.load_state_dict(weights)
    return Model(network.eval(), description, read_patients(folder))


def auroc_by_split(
    labels: Sequence[str], found: Mapping[str, tuple[Targets, Targets] | None]
) -> dict[str, dict[str, Any]]:
    """AUROC of each label in each split, for model.json. found: split -> (targets [N, L], scores [N, L]) or None.

    A split that the dataset does not have is null; so is an AUROC that is undefined (one class only).
    """
    results: dict[str, dict[str, Any]] = {label: {} for label in labels}
    for split, pair in found.items():
        for column, label in enumerate(labels):
            results[label][split] = None if pair is None else _auroc(pair[0][:, column], pair[1][:, column])
    return results


def mean_auroc(labels: Sequence[str], target: Targets, scores: Targets) -> float | None:
    """Mean over the labels whose AUROC is defined; None where none is."""
    every = [_auroc(target[:, column], scores[:, column])["auroc"] for column in range(len(labels))]
    defined = [value for value in every if value is not None]
    return sum(defined) / len(defined) if defined else None


def _described(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path} is not JSON: {error}. Copy it again, or make the model anew.") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} does not describe a model. Copy it again, or make the model anew.")
    return content


def _auroc(target: Targets, scores: Targets) -> dict[str, Any]:
    known = target == target  # NaN is not
    n, positives = int(known.sum()), int((target[known] == 1).sum())
    defined = 0 < positives < n
    value = float(roc_auc_score(target[known], scores[known])) if defined else None
    return {"auroc": value, "n": n, "positives": positives}
