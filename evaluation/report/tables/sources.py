"""Spell what a page is made from: its datasets, and how each bootstrap result was made."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.report.records import Citation
from evaluation.report.study import Result, Study
from evaluation.report.tables.spelling import METRIC_NAMES
from evaluation.report.text import listed
from evaluation.statistics.result import ThresholdCitation


@dataclass(frozen=True)
class DatasetRow:
    """A dataset. splits: samples of train, valid and test; patients: None where its shards are elsewhere."""

    name: str
    digest: str
    splits: list[int | None]
    patients: int | None
    licence: str


@dataclass(frozen=True)
class ResultRow:
    """How a bootstrap result was made. digest: SHA-256 of its file."""

    name: str
    metric: str
    replicates: int
    level: str
    unit: str
    units: int
    over: str
    seed: int
    labels: int
    digest: str
    versions: str
    thresholds: str


@dataclass(frozen=True)
class DigestRow:
    """A file of weights, by what it is. digest: hex; blank where an earlier release did not record it."""

    kind: str
    name: str
    digest: str


def dataset_rows(study: Study) -> list[DatasetRow]:
    """List the datasets found in the folder with their counts, then those that are only cited."""
    rows = []
    for dataset in study.datasets:
        record = dataset.record
        name = dataset.name if record.name is None else record.name
        rows.append(DatasetRow(name, dataset.digest, list(record.samples), record.patients, record.licence))
    known = {row.digest for row in rows}
    cited = {citation.digest: citation.name for citation in _citations(study) if citation.digest is not None}
    for digest, name in cited.items():
        if digest not in known:
            rows.append(DatasetRow(name, digest, [None] * 3, None, ""))
    return rows


def _citations(study: Study) -> list[Citation]:
    runs = [run.backbone.datasets for run in study.runs if run.backbone]
    models = [(model.record.dataset,) for model in study.models if model.record]
    return [citation for group in (*runs, *models) for citation in group]


def result_rows(results: Sequence[Result]) -> list[ResultRow]:
    """List the bootstrap results and how each was made."""
    return [
        ResultRow(
            name=result.name,
            metric=listed(METRIC_NAMES.get(name, name) for name in (result.content.metric, *result.content.metrics)),
            replicates=result.content.replicates,
            level=f"{100 * result.content.level:g} %",
            unit=result.content.unit,
            units=result.content.units,
            over=listed(result.content.over),
            seed=result.content.seed,
            labels=len(result.content.labels),
            digest=result.digest,
            versions=", ".join(f"{name} {version}" for name, version in result.content.versions.items()),
            thresholds=_thresholds(result.content.inputs.thresholds),
        )
        for result in results
    ]


def _thresholds(cited: ThresholdCitation | None) -> str:
    """Rule and file of the thresholds, without the folders of the machine; blank where no metric needed any."""
    return "" if cited is None else f"{cited.rule}, {cited.path.rsplit('/', 1)[-1]} ({cited.sha256[:12]})"


def digest_rows(study: Study) -> list[DigestRow]:
    """The weights of the pretraining runs and models with their digests."""
    rows = [DigestRow("pretrained weights", run.name, run.backbone.digest or "") for run in study.runs if run.backbone]
    rows += [DigestRow("model", model.name, model.record.digest or "") for model in study.models if model.record]
    return rows
