"""Estimate what a study takes: images, hours, bytes and files, by arithmetic from rates that were measured or given."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from shards.format.dataset import DESCRIPTION
from shards.format.description import description_from_json
from shards.format.schema import SPLITS
from shards.input_files import read_regular
from shards.json_value import JsonError, parse_json
from training.backbones.architectures import is_timm
from training.downstream.options import AUTO, FinetuneOptions
from training.downstream.training_length import MOST_VALIDATIONS, training_length
from training.errors import StudyError
from training.pretraining.options import PretrainOptions
from training.runs.files import BACKBONE, DONE
from training.runs.metrics_lines import read_metrics
from training.studies.cells import Cell, RunPlan, Selection, StudyFolder
from training.studies.records import CHANGED, FINISHED, MISSING, cell_record, cell_state
from training.studies.study_file import KINDS

PRETRAIN, FINETUNE, EMBED = KINDS

# Images/s of one MoCo step (query forward and backward, key forward) on two cores at 64 px (2-core
# x86-64, torch 2.14). Work grows with the pixels; a training step without the key encoder takes three
# quarters of it, a forward pass alone a quarter.
_ASSUMED_AT_64 = {"resnet18": 130.0, "densenet121": 37.0}
_PART = {PRETRAIN: 1.0, FINETUNE: 0.75, EMBED: 0.25}
_FEATURES = {"densenet121": 1024, "resnet50": 2048, "mobilenet_v2": 1280, "convnext_tiny": 768}
_MEGABYTES = {"resnet18": 45, "densenet121": 28, "resnet50": 94, "mobilenet_v2": 9, "convnext_tiny": 112}
"""Of a file of weights, float32."""
_CHECKPOINTS = 2
_FILES_OF_A_CELL, _FILES_OF_A_RUN, _FILES_OF_AN_EMBEDDING = 9, 20, 5


@dataclass(frozen=True)
class Work:
    """One kind of work on one backbone. images: that pass through the network. rate: images/s. source: of the rate."""

    kind: str
    backbone: str
    images: float
    rate: float
    source: str

    @property
    def hours(self) -> float:
        """Hours of one process."""
        return self.images / self.rate / 3600


@dataclass(frozen=True)
class Estimate:
    """What is to be trained and what it takes. runs, cells: all; *_done: of these. size: bytes.

    cells_changed: cells made with other options than the study file has now.
    embeddings: of a split by some weights, that are still to be computed.
    """

    runs: int
    runs_done: int
    cells: int
    cells_done: int
    cells_changed: int
    embeddings: int
    work: tuple[Work, ...]
    size: int
    files: int
    unknown: tuple[str, ...]

    @property
    def jobs(self) -> int:
        """Pieces of work that are missing: each is done once, whatever the number of processes."""
        return self.runs - self.runs_done + self.embeddings + self.cells - self.cells_done

    @property
    def hours(self) -> float:
        """Hours of one process for what is missing."""
        return sum(work.hours for work in self.work)


@dataclass
class _Counts:
    """Samples of the splits of each dataset, and the datasets of which they are not known."""

    samples: dict[str, Mapping[str, int]]
    unknown: tuple[str, ...]


def estimate(place: StudyFolder, selection: Selection) -> Estimate:
    """Estimate a selection: what of it is done, and what the rest takes."""
    states = {cell.path: _state(place, cell) for cell in selection.cells}
    done = {path for path, state in states.items() if state == FINISHED}
    runs_done = [run for run in selection.runs if (place.output / run.path / BACKBONE).is_file()]
    missing = [cell for cell in selection.cells if cell.path not in done]
    unfinished = [run for run in selection.runs if run not in runs_done]
    counts = _counts(place)
    images: dict[tuple[str, str, int], float] = {}
    for kind, backbone, size, number in (*_of_runs(place, unfinished, counts), *_of_cells(place, missing, counts)):
        key = (kind, backbone, size)
        images[key] = images.get(key, 0.0) + number
    rates = {key: (rate, "study file") for key, rate in place.study.rates.items()}
    rates |= {key: (rate, "measured here") for key, rate in _measured(place, selection, counts).items()}
    embeddings = sum(len(counts.samples[dataset]) or len(SPLITS) for _, _, dataset in _embedded(missing))
    return Estimate(
        runs=len(selection.runs),
        runs_done=len(runs_done),
        cells=len(selection.cells),
        cells_done=len(done),
        cells_changed=list(states.values()).count(CHANGED),
        embeddings=embeddings,
        work=tuple(
            Work(kind, backbone, number, *(rates.get((kind, backbone)) or _assumed(kind, backbone, size)))
            for (kind, backbone, size), number in images.items()
        ),
        size=bytes_of(place, Selection(tuple(unfinished), tuple(missing))),
        files=len(missing) * _FILES_OF_A_CELL + len(unfinished) * _FILES_OF_A_RUN + embeddings * _FILES_OF_AN_EMBEDDING,
        unknown=counts.unknown,
    )


def bytes_of(place: StudyFolder, selection: Selection) -> int:
    """Bytes that runs and cells take: weights, checkpoints with both encoders, optimizer and queue, embeddings."""
    counts = _counts(place)
    total = 0.0
    for run in selection.runs:
        backbone = _options(place, run).backbone
        total += 2 * _weights(backbone) + _CHECKPOINTS * 5 * _weights(backbone)
    by_path = {cell.run.path: _options(place, cell.run).backbone for cell in selection.cells}
    for path, _, dataset in _embedded(selection.cells):
        total += sum(counts.samples.get(dataset, {}).values()) * (_FEATURES.get(by_path[path], 512) * 4 + 8)
    return int(total + sum(_weights(by_path[cell.run.path]) for cell in selection.cells))


def _embedded(cells: Iterable[Cell]) -> set[tuple[str, str, str]]:
    """What is embedded for probes: run, arm and dataset, each once."""
    return {(cell.run.path, cell.arm.name, cell.target.dataset) for cell in cells if cell.method == "probe"}


def _weights(backbone: str) -> float:
    return _MEGABYTES.get(backbone, 100) * 1e6


def _options(place: StudyFolder, run: RunPlan) -> PretrainOptions:
    return run.options(place.study, data=place.data, output=place.output)


def _state(place: StudyFolder, cell: Cell) -> str:
    folder = place.output / cell.path
    return cell_state(folder, cell_record(place.study, cell)).state if folder.is_dir() else MISSING


def _counts(place: StudyFolder) -> _Counts:
    """Samples by split: those of dataset.json, else those that the study file expects."""
    samples: dict[str, Mapping[str, int]] = {}
    unknown = []
    for name, dataset in place.study.datasets.items():
        path = place.data / dataset.shards / DESCRIPTION
        expected = {split: count for split, count in dataset.splits.items() if count is not None}
        if path.is_file():
            try:
                splits = description_from_json(parse_json(read_regular(path))).splits
            except (JsonError, OSError) as error:
                raise StudyError(f"{path}: {error}. Copy it again, or build the dataset again.") from error
            samples[name] = {split: count.samples for split, count in splits.items()}
        else:
            samples[name] = expected
            if len(expected) < len(dataset.splits) or not expected:
                unknown.append(name)
    return _Counts(samples, tuple(unknown))


Share = tuple[str, str, int, float]
"""Kind of work, backbone, image size, images."""


def _of_runs(place: StudyFolder, runs: list[RunPlan], counts: _Counts) -> Iterator[Share]:
    for run in runs:
        options = _options(place, run)
        samples = sum(counts.samples[name].get("train", 0) for name in run.pretraining.shards)
        yield PRETRAIN, options.backbone, options.image_size, samples * options.epochs


def _of_cells(place: StudyFolder, cells: list[Cell], counts: _Counts) -> Iterator[Share]:
    """Embedding of each (weights, dataset) once, and each fine-tuning with its validations."""
    embedded = set()
    for cell in cells:
        run = _options(place, cell.run)
        samples = counts.samples[cell.target.dataset]
        if cell.method == "probe":
            key = (cell.run.path, cell.arm.name, cell.target.dataset)
            if key not in embedded:
                embedded.add(key)
                yield EMBED, _network(cell, run), run.image_size, float(sum(samples.values()))
        else:
            trained, judged = _tuning_images(place, cell, samples)
            yield FINETUNE, _network(cell, run), run.image_size, trained
            yield EMBED, _network(cell, run), run.image_size, judged


def _network(cell: Cell, run: PretrainOptions) -> str:
    """The architecture of a cell: that of its run, or the network of timm that its arm names."""
    source = cell.arm.backbone_from
    return source if source is not None and is_timm(source) else run.backbone


def _tuning_images(place: StudyFolder, cell: Cell, samples: Mapping[str, int]) -> tuple[float, float]:
    """Images trained on, and those of validations and of the results at the end."""
    options = cell.options(place.study, data=place.data, output=place.output)
    assert isinstance(options, FinetuneOptions)
    rows = max(1, math.ceil(samples.get("train", 0) * cell.fraction))
    batch = min(options.batch_size, rows)
    length = training_length(options, max(1, rows // batch))
    validations = min(length.epochs, MOST_VALIDATIONS) if options.epochs == AUTO else length.epochs
    valid, test = samples.get("valid", 0), samples.get("test", 0)
    return float(length.epochs * length.steps_per_epoch * batch), float(validations * valid + valid + test)


def _assumed(kind: str, backbone: str, size: int) -> tuple[float, str]:
    pixels = (64 / size) ** 2
    return _ASSUMED_AT_64.get(backbone, 30.0) * pixels / _PART[kind], "assumed: two CPU cores"


def _measured(place: StudyFolder, selection: Selection, counts: _Counts) -> dict[tuple[str, str], float]:
    """Images/s of runs (metrics.jsonl) and of finished fine-tunings (done.json), by kind and backbone."""
    found: dict[tuple[str, str], float] = {}
    for run in selection.runs:
        lines = read_metrics(place.output / run.path)
        rates = [line["images_per_second"] for line in lines if "images_per_second" in line]
        if rates:
            found[PRETRAIN, _options(place, run).backbone] = sorted(rates)[len(rates) // 2]
    images: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for cell in selection.cells:
        if cell.method == "finetune" and (place.output / cell.path / DONE).is_file():
            backbone = _network(cell, _options(place, cell.run))
            trained, _ = _tuning_images(place, cell, counts.samples[cell.target.dataset])
            took = cell_state(place.output / cell.path, cell_record(place.study, cell)).seconds
            images[backbone] = images.get(backbone, 0.0) + trained
            seconds[backbone] = seconds.get(backbone, 0.0) + took
    return found | {
        (FINETUNE, backbone): images[backbone] / seconds[backbone] for backbone in seconds if seconds[backbone]
    }
