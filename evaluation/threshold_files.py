"""Write thresholds that were chosen on validation, and take them up again for other data of the same models.

A threshold that was chosen on the rows that it judges flatters: it is refused, by digest and by split.
"""

import hashlib
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.results.inputs import arm_input_from_json, truth_origin_from_json
from evaluation.statistics.result import ArmInput, ThresholdCitation, input_as_json
from evaluation.statistics.thresholds import LabelThreshold, Rule, label_threshold
from evaluation.tables.agreement import DIFFERENCES, recalibration
from evaluation.tables.arm_files import ArmFiles
from evaluation.tables.comparison import Arm, ArmTables, Comparison, compare
from evaluation.tables.leakage import Allowed
from evaluation.tables.provenance import Draw
from evaluation.tables.sidecar import Sidecar
from evaluation.tables.table import TableError, read_predictions
from evaluation.tables.truth import TruthOrigin, read_truth
from shards.durable import write_json_atomically
from shards.input_files import read_regular
from shards.json_value import JsonError, JsonValue, parse_json

FORMAT_VERSION = 1
_LIBRARIES = ("cxr-moco", "numpy", "scipy")


@dataclass(frozen=True)
class ModelThresholds:
    """The thresholds of one model, by label. file: the predictions that they were chosen on."""

    file: ArmInput
    labels: dict[str, LabelThreshold]


@dataclass(frozen=True)
class ThresholdFile:
    """What a file of thresholds holds. truth: what they were chosen by. arms: by name, one entry a draw."""

    path: str
    sha256: str
    rule: str
    truth: TruthOrigin
    arms: dict[str, tuple[ModelThresholds, ...]]

    @property
    def citation(self) -> ThresholdCitation:
        """What a result says of it."""
        return ThresholdCitation(self.path, self.sha256, self.rule)


def choose_thresholds(
    labels: Path, arms: Sequence[ArmFiles], rule: Rule, level: float, output: Path
) -> dict[str, tuple[ModelThresholds, ...]]:
    """Choose a threshold for each file of predictions and label, and write them to output as JSON.

    Raises TableError where truth and predictions cannot be joined.
    """
    read = [ArmTables(arm.name, tuple(t for path in arm.files for t in read_predictions(path))) for arm in arms]
    truth = read_truth(labels, [table for arm in read for table in arm.tables])
    comparison = compare(truth, read, allowed=DIFFERENCES, leakage=Allowed(True, True))
    chosen = {arm.name: tuple(_of_models(comparison, arm, rule, level)) for arm in comparison.arms}
    output.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(
        output,
        {
            "format_version": FORMAT_VERSION,
            "rule": str(rule),
            "level": level,
            "truth": comparison.truth_origin.as_json(),
            "arms": {name: [_as_json(model) for model in models] for name, models in chosen.items()},
            "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        },
    )
    return chosen


def read_thresholds(path: Path) -> ThresholdFile:
    """Read what choose_thresholds wrote. Raises TableError for a file that is none, or of another version."""
    try:
        content = read_regular(path)
        read = parse_json(content)
        version = read.at("format_version").value
        if version != FORMAT_VERSION or read.find("rule") is None:
            raise JsonError(f"of version {version!r}; this program reads version {FORMAT_VERSION}")
        return ThresholdFile(
            str(path),
            hashlib.sha256(content).hexdigest(),
            read.at("rule").text(),
            truth_origin_from_json(read.at("truth")),
            {
                arm: tuple(_from_json(model) for model in models.items())
                for arm, models in read.at("arms").fields().items()
            },
        )
    except (JsonError, OSError) as error:
        raise TableError(f"{path} is no file of `cxr-eval thresholds`: {error}. Choose the thresholds again") from error


def thresholds_for(file: ThresholdFile, comparison: Comparison) -> dict[str, NDArray[np.float64]]:
    """The threshold of each arm's draws and labels, [draws, labels], NaN where a label has none.

    Raises TableError where the thresholds come from what is judged, are of other models, or lack an arm or a draw.
    """
    for arm in comparison.arms:
        _refuse_judged(file, comparison, arm)
    return {arm.name: _of_arm(file, comparison, arm) for arm in comparison.arms}


def _of_models(comparison: Comparison, arm: Arm, rule: Rule, level: float) -> Iterator[ModelThresholds]:
    for scores, draw, file in zip(arm.scores, arm.draws, arm.files, strict=True):
        yield ModelThresholds(
            ArmInput(file.path, file.sha256, draw.number, draw.pretraining_seed, file.sidecar),
            {
                label: label_threshold(scores[:, column], comparison.truth[:, column], rule, level)
                for column, label in enumerate(comparison.labels)
            },
        )


def _of_arm(file: ThresholdFile, comparison: Comparison, arm: Arm) -> NDArray[np.float64]:
    found = np.full((len(arm.draws), len(comparison.labels)), np.nan)
    for row, model in enumerate(_matching(file, arm)):
        for column, label in enumerate(comparison.labels):
            chosen = model.labels.get(label)
            if chosen is None:
                raise TableError(
                    f"{file.path} has no threshold for {label} of arm {arm.name} (it has {', '.join(model.labels)}): "
                    "choose it from predictions of all labels that are judged"
                )
            if chosen.threshold is not None:
                found[row, column] = chosen.threshold
    return found


def _matching(file: ThresholdFile, arm: Arm) -> list[ModelThresholds]:
    """The thresholds of each of the arm's files, by draw and pretraining seed."""
    if arm.name not in file.arms:
        raise TableError(
            f"{file.path} has no thresholds for the arm {arm.name!r}; it has {', '.join(file.arms)}. Name the arms "
            "alike in `cxr-eval thresholds` and here"
        )
    by_draw = {Draw(model.file.draw, model.file.pretraining_seed): model for model in file.arms[arm.name]}
    missing = [draw for draw in arm.draws if draw not in by_draw]
    if missing:
        raise TableError(
            f"{file.path} has no threshold for draw {missing[0].number} (pretraining seed "
            f"{missing[0].pretraining_seed}) of arm {arm.name}: each draw is a model of its own and needs its own. "
            "Give `cxr-eval thresholds` the validation predictions of all draws"
        )
    return [by_draw[draw] for draw in arm.draws]


def _refuse_judged(file: ThresholdFile, comparison: Comparison, arm: Arm) -> None:
    """Raise TableError where thresholds and judged predictions share their bytes, their truth or their split."""
    advice = "Choose thresholds on another split, which is not judged (the validation split)"
    truth, judged_truth = file.truth, comparison.truth_origin
    if truth.sha256 is not None and truth.sha256 == judged_truth.sha256:
        raise TableError(
            f"{file.path}: the thresholds were chosen by the truth that judges, {judged_truth.path}. {advice}"
        )
    if truth.digest is not None and (truth.digest, truth.split) == (judged_truth.digest, judged_truth.split):
        raise TableError(
            f"{file.path}: the thresholds were chosen on the {truth.split} split of {judged_truth.path}, which is "
            f"judged. {advice}"
        )
    digests = {model.file.sha256: model.file.path for models in file.arms.values() for model in models}
    for judged, chosen in zip(arm.files, _matching(file, arm), strict=True):
        if judged.sha256 is not None and judged.sha256 in digests:
            raise TableError(
                f"{file.path}: the thresholds were chosen on {digests[judged.sha256]}, the predictions that are judged "
                f"({judged.path}). {advice}"
            )
        split = _same_split(chosen.file.sidecar, judged.sidecar)
        if split is not None:
            raise TableError(
                f"{file.path}: the thresholds of arm {arm.name} were chosen on the {split} split, and {judged.path} is "
                f"of that split. {advice}"
            )
        scales = {recalibration(one) for one in (chosen.file.sidecar, judged.sidecar) if one is not None}
        if len(scales) > 1:
            raise TableError(
                f"{file.path}: the threshold of arm {arm.name}, draw {chosen.file.draw}, was chosen on probabilities "
                f"that are recalibrated otherwise than those of {judged.path} ({' and '.join(sorted(scales))}). "
                "Predict validation with the same --recalibrate, and choose the threshold again"
            )
        models = [_model(sidecar) for sidecar in (chosen.file.sidecar, judged.sidecar)]
        if None not in models and models[0] != models[1]:
            raise TableError(
                f"{file.path}: the threshold of arm {arm.name}, draw {chosen.file.draw}, is that of another model "
                f"(digest {str(models[0])[:12]}) than {judged.path} was predicted by ({str(models[1])[:12]}). Predict "
                "validation with that model, and choose its threshold"
            )


def _same_split(chosen: Sidecar | None, judged: Sidecar | None) -> str | None:
    """The split that both name, unless they are of datasets that are known to differ."""
    if chosen is None or judged is None:
        return None
    splits = [one.content.find("split") for one in (chosen, judged)]
    datasets = [one.content.find("dataset", "digest") for one in (chosen, judged)]
    if splits[0] is None or splits[1] is None or splits[0].value != splits[1].value:
        return None
    if datasets[0] is not None and datasets[1] is not None and datasets[0].value != datasets[1].value:
        return None
    return str(splits[0].value)


def _model(sidecar: Sidecar | None) -> str | None:
    digest = sidecar.content.find("model", "digest") if sidecar is not None else None
    return None if digest is None else str(digest.value)


def _as_json(model: ModelThresholds) -> Mapping[str, Any]:
    return {**input_as_json(model.file), "thresholds": {label: asdict(one) for label, one in model.labels.items()}}


def _from_json(content: JsonValue) -> ModelThresholds:
    labels = content.at("thresholds").fields()
    return ModelThresholds(
        arm_input_from_json(content), {label: _threshold_from_json(one) for label, one in labels.items()}
    )


def _threshold_from_json(content: JsonValue) -> LabelThreshold:
    """Its sensitivity and specificity on validation are for people, and not read again."""
    return LabelThreshold(
        content.nullable("threshold", JsonValue.number),
        content.at("positives").whole(),
        content.at("negatives").whole(),
        None,
        None,
    )


def summary(chosen: Mapping[str, Sequence[ModelThresholds]], rule: Rule, level: float) -> str:
    """A line an arm, draw and label for the terminal."""
    lines = [f"Thresholds by {rule}, with {100 * level:g} % Wilson intervals on the rows that they were chosen on"]
    for arm, models in chosen.items():
        for model in models:
            for label, one in model.labels.items():
                if one.threshold is None or one.sensitivity is None or one.specificity is None:
                    lines.append(
                        f"{arm}, draw {model.file.draw}, {label}: none ({one.positives} positive, {one.negatives} "
                        "negative rows)"
                    )
                    continue
                parts = (
                    f"{name} {part.value:.3f} ({part.ci[0]:.3f}, {part.ci[1]:.3f})"
                    for name, part in (("sensitivity", one.sensitivity), ("specificity", one.specificity))
                )
                lines.append(f"{arm}, draw {model.file.draw}, {label}: {one.threshold:.6g}, {', '.join(parts)}")
    return "\n".join(lines)
