"""The curves of a comparison as dataclasses, and their JSON (kind "curves", format version 1): null and never NaN.

docs/statistics.md lists the keys.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from evaluation.results.inputs import arm_input_from_json, truth_origin_from_json
from evaluation.statistics.result import ArmInput, input_as_json
from evaluation.tables.truth import TruthOrigin
from shards.json_value import JsonError, JsonValue

KIND, FORMAT_VERSION = "curves", 1
DECIMALS = 5
"""Of the points of a curve, which are drawn."""

Interval = tuple[float, float]
Points = tuple[float, ...]

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Band:
    """A curve at each point of the grid, the mean over draws. area: below it, exact: the AUROC, the average precision.

    low, high: pointwise percentile interval of the replicates; None where there is none.
    """

    area: float
    value: Points
    low: Points | None = None
    high: Points | None = None


@dataclass(frozen=True)
class ArmCurves:
    """roc: sensitivity over 1 - specificity. pr: precision over recall. None with fewer than two rows of a class."""

    roc: Band | None
    pr: Band | None


@dataclass(frozen=True)
class Rate:
    """A proportion with its interval, None where there is none."""

    value: float | None
    ci: Interval | None = None


@dataclass(frozen=True)
class ReaderPoint:
    """What a reader decided. positives, negatives: rows that he or she read; None where the file does not say.

    precision: of the rows called positive, at the prevalence of the rows read or, where these are not known, judged.
    """

    positives: int | None
    negatives: int | None
    sensitivity: Rate
    specificity: Rate
    precision: float | None


@dataclass(frozen=True)
class LabelCurves:
    """All arms and readers on one label."""

    n: int
    positives: int
    negatives: int
    arms: dict[str, ArmCurves]
    readers: dict[str, ReaderPoint]


@dataclass(frozen=True)
class ReadersFile:
    """The table of readers that a file of curves cites."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Curves:
    """The curves of a comparison. grid: 1 - specificity of roc, recall of pr. replicates: that the bands come from."""

    level: float
    replicates: int
    seed: int
    unit: str
    units: int
    over: tuple[str, ...]
    grid: Points
    labels: dict[str, LabelCurves]
    truth: TruthOrigin
    arms: dict[str, tuple[ArmInput, ...]]
    readers: ReadersFile | None
    versions: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The mapping that is written, its keys in the order of docs/statistics.md."""
        inputs: dict[str, Any] = {
            "labels": self.truth.as_json(),
            "arms": {arm: [input_as_json(one) for one in files] for arm, files in self.arms.items()},
        }
        if self.readers is not None:
            inputs["readers"] = asdict(self.readers)
        return {
            "format_version": FORMAT_VERSION,
            "kind": KIND,
            "level": self.level,
            "replicates": self.replicates,
            "seed": self.seed,
            "unit": self.unit,
            "units": self.units,
            "over": list(self.over),
            "grid": list(self.grid),
            "labels": {label: asdict(one) for label, one in self.labels.items()},
            "inputs": inputs,
            "versions": self.versions,
        }


def curves_from_json(content: JsonValue) -> Curves:
    """Read what as_json wrote. Raises JsonError for another version, or another content."""
    version = content.at("format_version").value
    if version != FORMAT_VERSION:
        raise JsonError(f"curves format version {version!r}, this program reads version {FORMAT_VERSION}")
    grid = _points(content.at("grid"))
    inputs = content.at("inputs")
    return Curves(
        level=content.at("level").number(),
        replicates=content.at("replicates").whole(),
        seed=content.at("seed").whole(),
        unit=content.at("unit").text(),
        units=content.at("units").whole(),
        over=content.at("over").texts(),
        grid=grid,
        labels=_each(content.at("labels"), lambda label: _label(label, len(grid))),
        truth=truth_origin_from_json(inputs.at("labels")),
        arms=_each(inputs.at("arms"), lambda files: tuple(arm_input_from_json(file) for file in files.items())),
        readers=inputs.optional("readers", lambda file: ReadersFile(file.at("path").text(), file.at("sha256").text())),
        versions=_each(content.at("versions"), JsonValue.text),
    )


def _each(entry: JsonValue, read: Callable[[JsonValue], _Read]) -> dict[str, _Read]:
    return {key: read(one) for key, one in entry.fields().items()}


def _label(entry: JsonValue, points: int) -> LabelCurves:
    return LabelCurves(
        n=entry.at("n").whole(),
        positives=entry.at("positives").whole(),
        negatives=entry.at("negatives").whole(),
        arms=_each(
            entry.at("arms"),
            lambda arm: ArmCurves(
                arm.optional("roc", lambda band: _band(band, points)),
                arm.optional("pr", lambda band: _band(band, points)),
            ),
        ),
        readers=_each(entry.at("readers"), _reader),
    )


def _band(entry: JsonValue, points: int) -> Band:
    low, high = entry.optional("low", _points), entry.optional("high", _points)
    band = Band(entry.at("area").number(), _points(entry.at("value")), low, high)
    if any(len(line) != points for line in (band.value, low, high) if line is not None):
        raise JsonError(f"a curve has {len(band.value)} points, the grid has {points}")
    return band


def _points(entry: JsonValue) -> Points:
    return tuple(float(one.number()) for one in entry.items())


def _reader(entry: JsonValue) -> ReaderPoint:
    return ReaderPoint(
        entry.optional("positives", JsonValue.whole),
        entry.optional("negatives", JsonValue.whole),
        _rate(entry.at("sensitivity")),
        _rate(entry.at("specificity")),
        entry.optional("precision", JsonValue.number),
    )


def _rate(entry: JsonValue) -> Rate:
    return Rate(entry.optional("value", JsonValue.number), entry.optional("ci", _interval))


def _interval(entry: JsonValue) -> Interval:
    bounds = entry.items()
    if len(bounds) != 2:
        raise entry.wrong("two numbers")
    return bounds[0].number(), bounds[1].number()
