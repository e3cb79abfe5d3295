"""Find the datasets that a study cites, where their folders are at hand: in the study, or where its records say.

A folder counts only where its digest is the cited one. Rows are read, never images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluation.report.study import DATASET, Study
from shards.errors import DatasetError
from shards.format.dataset import Dataset, open_dataset


@dataclass(frozen=True)
class Cited:
    """A dataset that runs, models or results name. digest: None where an older record does not say it.

    role: what it served, in words.
    """

    name: str
    digest: str | None
    role: str


@dataclass(frozen=True)
class AtHand:
    """datasets: by digest. missing: cited ones whose folder is not known, or is of another build. damaged: names."""

    datasets: dict[str, Dataset]
    missing: tuple[Cited, ...]
    damaged: tuple[str, ...]


def datasets_at_hand(study: Study) -> AtHand:
    """Open each dataset of the study folder, and each cited one that lies where a run or a result was told."""
    datasets: dict[str, Dataset] = {}
    damaged: dict[str, str] = {}
    wanted = {one.digest for one in cited_datasets(study)}
    for folder in study.datasets:
        found = _opened(folder.path)
        if found is None:
            damaged[folder.digest] = folder.record.name or folder.name
        else:
            datasets.setdefault(found.digest, found)
    for path in _told(study):
        if wanted - datasets.keys() and (path / DATASET).is_file():
            found = _opened(path)
            if found is not None and found.digest in wanted:
                datasets.setdefault(found.digest, found)
    missing = tuple(one for one in cited_datasets(study) if one.digest not in datasets)
    return AtHand(datasets, missing, tuple(name for digest, name in damaged.items() if digest not in datasets))


def cited_datasets(study: Study) -> list[Cited]:
    """What runs, models and results name, each digest once, with what it served."""
    roles: dict[tuple[str, str | None], list[str]] = {}
    for name, digest, role in _citations(study):
        of_dataset = roles.setdefault((name, digest), [])
        if role not in of_dataset:
            of_dataset.append(role)
    return [Cited(name, digest, ", ".join(served)) for (name, digest), served in roles.items()]


def _citations(study: Study) -> Iterator[tuple[str, str | None, str]]:
    for run in study.runs:
        for one in run.backbone.datasets if run.backbone else ():
            yield one.name, one.digest, "pretraining"
    for model in study.models:
        if model.record:
            yield model.record.dataset.name, model.record.dataset.digest, "training"
            for one in model.record.provenance.datasets:
                yield one.name, one.digest, "pretraining"
    for result in study.results:
        truth = result.content.inputs.labels
        if truth.name is not None:
            yield truth.name, truth.digest, "judging"


def _told(study: Study) -> list[Path]:
    """Folders of shards that results and runs were given, each once; a path that moved is simply not there."""
    paths = [result.content.inputs.labels.path for result in study.results if result.content.inputs.labels.digest]
    paths += [path for run in study.runs for path in run.config.options.get("shards", ())]
    return [Path(path) for path in dict.fromkeys(paths)]


def _opened(path: Path) -> Dataset | None:
    try:
        return open_dataset(path, check_shards=False)
    except (DatasetError, OSError, ValueError, RecursionError):
        return None
