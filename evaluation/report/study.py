"""Collect what a report shows of a folder: pretraining runs, models, bootstrap results and datasets.

Only JSON, YAML and metrics are read here: no weights, no shards, no images, and torch is not loaded.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml

from evaluation.curves.content import KIND, Curves, curves_from_json
from evaluation.report.calibrations import CalibrationRow, calibration_rows
from evaluation.report.means import MEANS, MeanRow, mean_rows
from evaluation.report.records import (
    BackboneRecord,
    DatasetRecord,
    ModelRecord,
    RunConfig,
    backbone_record,
    dataset_record,
    model_record,
    run_config,
    seconds_of_cell,
)
from evaluation.results.reading import result_from_json
from evaluation.statistics.result import BootstrapResult
from shards.errors import CxrError
from shards.input_files import read_regular, read_text
from shards.json_value import JsonValue, parse_json
from training.runs.files import (
    BACKBONE,
    CHECKPOINTS,
    CONFIG,
    DONE,
    LAST,
    METRICS,
    MODEL,
    PATIENTS,
    TENSORBOARD,
    TWO_VIEWS,
    Last,
    last_of,
    options_of,
)
from training.runs.metrics_lines import metrics_lines

DATASET = "dataset.json"
_NOT_ENTERED = frozenset({CHECKPOINTS, TENSORBOARD, "__pycache__"})
_KEYS_OF_A_RESULT = frozenset({"metric", "replicates", "level", "unit", "labels", "mean"})
_LARGEST_RESULT = 64 * 2**20  # bytes; a result holds a few kilobytes a label

_Read = TypeVar("_Read")


class ReportError(CxrError):
    """A folder from which no report can be made."""


@dataclass(frozen=True)
class Run:
    """A pretraining run. name: its path in the study. remarks: the comments that head config.yaml.

    last, backbone: None where the run has not written them yet. two_views: the picture, where there is one.
    """

    name: str
    config: RunConfig
    remarks: tuple[str, ...]
    last: Last | None
    backbone: BackboneRecord | None
    metrics: tuple[Mapping[str, float], ...]
    two_views: Path | None

    @property
    def finished(self) -> bool:
        """Whether the run reached its last step and wrote a backbone."""
        return self.last is not None and self.last.finished and self.backbone is not None


@dataclass(frozen=True)
class Model:
    """A probed or fine-tuned model. record: model.json, None where it is unfinished. seconds: what a cell took."""

    name: str
    record: ModelRecord | None
    metrics: tuple[Mapping[str, float], ...]
    seconds: float | None = None


@dataclass(frozen=True)
class Result:
    """A bootstrap result. name: its path in the study. digest: SHA-256 of the file; blank where it was not read."""

    name: str
    content: BootstrapResult
    digest: str = ""


@dataclass(frozen=True)
class CurvesFile:
    """Curves of `cxr-eval bootstrap --curves`. name: their path in the study."""

    name: str
    content: Curves


@dataclass(frozen=True)
class ShardsFolder:
    """A dataset of shards. record: dataset.json; digest: its SHA-256. path: its folder."""

    name: str
    record: DatasetRecord
    digest: str
    path: Path


@dataclass
class Study:
    """All that was found under a folder, in the order of paths. unreadable: files that should have been read.

    unknown: results that are not read, and why: they are of another format version.
    """

    root: Path
    runs: list[Run] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    datasets: list[ShardsFolder] = field(default_factory=list)
    calibrations: list[CalibrationRow] = field(default_factory=list)
    curves: list[CurvesFile] = field(default_factory=list)
    means: list[MeanRow] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def collect(root: Path) -> Study:
    """Walk a folder (links are not followed). Raises ReportError where nothing is found."""
    if not root.is_dir():
        raise ReportError(f"{root}: no such folder")
    study = Study(root)
    for folder, files in _folders(root):
        _collect_folder(study, folder, files)
    if not (study.runs or study.models or study.results or study.calibrations or study.curves or study.unknown):
        unreadable = f" ({len(study.unreadable)} files could not be read)" if study.unreadable else ""
        raise ReportError(
            f"{root} holds no run (config.yaml), no model (model.json) and no result of `cxr-eval bootstrap`"
            f"{unreadable}: give the folder that they were written to"
        )
    return study


def _folders(root: Path) -> Iterator[tuple[Path, set[str]]]:
    for path, folders, files in os.walk(root):
        # A dataset of shards and a Zarr group hold nothing of their own to report, and many files.
        inside = DATASET not in files and "zarr.json" not in files
        folders[:] = sorted(f for f in folders if inside and f not in _NOT_ENTERED and not f.startswith("."))
        yield Path(path), set(files)


def _collect_folder(study: Study, folder: Path, files: set[str]) -> None:
    name = study.root.resolve().name if folder == study.root else folder.relative_to(study.root).as_posix()
    if DATASET in files:
        dataset = _read(study, folder / DATASET, dataset_record)
        if dataset is not None:
            digest = hashlib.sha256((folder / DATASET).read_bytes()).hexdigest()
            study.datasets.append(ShardsFolder(name, dataset, digest, folder))
        return
    if MODEL not in files and CONFIG in files and files & {METRICS, LAST, BACKBONE, PATIENTS}:
        study.runs.append(_run(study, folder, name, files))
    elif MODEL in files or METRICS in files:
        model = _read(study, folder / MODEL, model_record) if MODEL in files else None
        seconds = _read(study, folder / DONE, seconds_of_cell) if DONE in files else None
        study.models.append(Model(name, model, _read_metrics(study, folder), seconds))
    if MEANS in files:
        study.means += _read_means(study, folder / MEANS)
    results = files - {MODEL, LAST, BACKBONE, DONE}
    for file in sorted(results, key=lambda name: name.removesuffix(".json")):  # a study's own before NAME-over-ARM.json
        if file.endswith(".json") and (folder / file).stat().st_size <= _LARGEST_RESULT:
            content = _read(study, folder / file, lambda whole: whole)
            if content is not None and _is_calibration(content):
                _add_calibration(study, (folder / file).relative_to(study.root).as_posix(), content)
            elif content is not None and _is_of_curves(content):
                _add_curves(study, (folder / file).relative_to(study.root).as_posix(), content)
            elif content is not None and _is_result(content):
                _add_result(study, (folder / file).relative_to(study.root).as_posix(), content)


def _is_calibration(content: JsonValue) -> bool:
    return isinstance(content.value, dict) and content.value.get("kind") == "calibration"


def _add_calibration(study: Study, name: str, content: JsonValue) -> None:
    try:
        study.calibrations += calibration_rows(name, content)
    except ValueError as error:
        study.unknown.append(f"{name} ({error})")


def _is_of_curves(content: JsonValue) -> bool:
    return isinstance(content.value, dict) and content.value.get("kind") == KIND


def _add_curves(study: Study, name: str, content: JsonValue) -> None:
    try:
        study.curves.append(CurvesFile(name, curves_from_json(content)))
    except (ValueError, RecursionError) as error:
        study.unknown.append(f"{name} ({error})")


def _is_result(content: JsonValue) -> bool:
    return isinstance(content.value, dict) and content.value.keys() >= _KEYS_OF_A_RESULT


def _add_result(study: Study, name: str, content: JsonValue) -> None:
    """Read a JSON object that has the keys of a result of `cxr-eval bootstrap`, of any version."""
    try:
        digest = hashlib.sha256((study.root / name).read_bytes()).hexdigest()
        study.results.append(Result(name, result_from_json(content), digest))
    except (ValueError, RecursionError) as error:
        study.unknown.append(f"{name} ({error})")


def _run(study: Study, folder: Path, name: str, files: set[str]) -> Run:
    config, remarks = _read_config(study, folder / CONFIG)
    return Run(
        name=name,
        config=config,
        remarks=remarks,
        last=_read(study, folder / LAST, last_of) if LAST in files else None,
        backbone=_read(study, folder / BACKBONE, backbone_record) if BACKBONE in files else None,
        metrics=_read_metrics(study, folder),
        two_views=folder / TWO_VIEWS if TWO_VIEWS in files else None,
    )


def _read(study: Study, path: Path, record: Callable[[JsonValue], _Read]) -> _Read | None:
    """Read a JSON file by one of the readers of records; None, and noted as unreadable, where it cannot be."""
    try:
        return record(parse_json(read_regular(path, _LARGEST_RESULT)))
    except (ValueError, OSError, RecursionError):
        study.unreadable.append(path.relative_to(study.root).as_posix())
        return None


def _read_means(study: Study, path: Path) -> list[MeanRow]:
    try:
        return mean_rows(read_text(path, _LARGEST_RESULT))
    except (ValueError, OSError):
        study.unreadable.append(path.relative_to(study.root).as_posix())
        return []


def _read_config(study: Study, path: Path) -> tuple[RunConfig, tuple[str, ...]]:
    try:
        text = read_text(path, _LARGEST_RESULT)
        config = run_config(JsonValue(options_of(text)))
    except (yaml.YAMLError, ValueError, OSError, RecursionError):
        study.unreadable.append(path.relative_to(study.root).as_posix())
        return RunConfig({}), ()
    remarks = tuple(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    return config, remarks


def _read_metrics(study: Study, folder: Path) -> tuple[Mapping[str, float], ...]:
    """The lines of metrics.jsonl that are whole; a run that is being written may end in the middle of one."""
    try:
        lines, spoiled = metrics_lines(folder)
    except OSError:
        lines, spoiled = [], [b""]
    if spoiled:
        study.unreadable.append((folder / METRICS).relative_to(study.root).as_posix())
    return tuple(lines)
