"""The result of `cxr-eval bootstrap` as dataclasses, and its JSON (format version 2): null and never NaN.

docs/statistics.md lists the keys. What cannot be estimated is None with the counts beside it, never a number.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evaluation.tables.comparison import LeftOut

FORMAT_VERSION = 2

Interval = tuple[float, float]


@dataclass(frozen=True)
class Value:
    """A metric of one arm. draws: the value of each draw.

    ci: its interval, by `method`. conditional_ci: without the variation between draws and seeds. bootstrap_ci: the
    percentile interval of the replicates (of units, and of draws and seeds where `ci` has them).
    """

    value: float | None
    ci: Interval | None = None
    method: str | None = None
    draws: tuple[float | None, ...] = ()
    conditional_ci: Interval | None = None
    bootstrap_ci: Interval | None = None


@dataclass(frozen=True)
class Difference:
    """An arm less the reference. ci and p_value come from one variance, so that they never contradict each other.

    df: degrees of freedom of that variance. bootstrap_ci, bootstrap_p_value: percentiles of the replicates, and how
    often they fall on either side of 0. holm_p_value: None unless asked for.
    """

    value: float | None
    ci: Interval | None = None
    p_value: float | None = None
    method: str | None = None
    df: float | None = None
    bootstrap_ci: Interval | None = None
    bootstrap_p_value: float | None = None
    holm_p_value: float | None = None
    conditional_ci: Interval | None = None


@dataclass(frozen=True)
class LabelResult:
    """All arms on one label. undefined_replicates: those that drew one class only."""

    n: int
    positives: int
    negatives: int
    undefined_replicates: int
    arms: dict[str, Value]
    differences: dict[str, Difference]


@dataclass(frozen=True)
class MeanResult:
    """All arms on the mean over `labels`, the same labels in the value and in every replicate."""

    labels: tuple[str, ...]
    undefined_replicates: int
    arms: dict[str, Value]
    differences: dict[str, Difference]


@dataclass(frozen=True)
class ArmInput:
    """A file of predictions as the result records it: with the draw it counts as, and all of its sidecar."""

    path: str
    sha256: str | None
    draw: int
    pretraining_seed: int | None
    sidecar: dict[str, Any] | None


@dataclass(frozen=True)
class Inputs:
    """Where all of it came from. labels: path, digest and rows of the truth."""

    labels: dict[str, Any]
    arms: dict[str, tuple[ArmInput, ...]]


@dataclass(frozen=True)
class BootstrapResult:
    """A comparison of arms. labels and mean are of `metric`. over: what the intervals let vary.

    reference: the arm that the others are compared with; None where there is one arm. holm_family: the comparisons
    that holm_p_value goes over, as `<arm>: <label>`; None where it was not asked for.
    """

    metric: str
    replicates: int
    level: float
    seed: int
    reference: str | None
    unit: str
    units: int
    over: tuple[str, ...]
    different: tuple[str, ...]
    left_out: LeftOut
    warnings: tuple[str, ...]
    labels: dict[str, LabelResult]
    mean: MeanResult
    holm_family: tuple[str, ...] | None
    inputs: Inputs
    versions: dict[str, str]
    allowed_different: tuple[str, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    subgroups: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The mapping that is written, its keys in the order of docs/statistics.md."""
        content = dataclasses.asdict(self)
        order = [
            *("metric", "replicates", "level", "seed", "reference", "unit", "units", "over", "different"),
            *("allowed_different", "left_out"),
            *("warnings", "holm_family", "labels", "mean", "metrics", "subgroups", "inputs", "versions"),
        ]
        return {"format_version": FORMAT_VERSION, **{key: content[key] for key in order}}


def result_from_json(content: Mapping[str, Any]) -> BootstrapResult:
    """Read what as_json wrote. Raises ValueError where it is of another version, or not such a result.

    Keys of a later writer that this version does not name are passed over.
    """
    version = content.get("format_version", 1)
    if version != FORMAT_VERSION:
        raise ValueError(f"result format version {version!r}, this program reads version {FORMAT_VERSION}")
    try:
        return BootstrapResult(
            **{
                **_known(BootstrapResult, content),
                "over": tuple(content["over"]),
                "different": tuple(content["different"]),
                "allowed_different": tuple(content.get("allowed_different", ())),
                "warnings": tuple(content["warnings"]),
                "left_out": LeftOut(**_known(LeftOut, content["left_out"])),
                "labels": {str(label): _label(entry) for label, entry in content["labels"].items()},
                "mean": _mean(content["mean"]),
                "holm_family": _tuple(content.get("holm_family")),
                "inputs": _inputs(content["inputs"]),
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a key is missing or of another kind: {error}") from error


def _label(entry: Mapping[str, Any]) -> LabelResult:
    return LabelResult(**{**_known(LabelResult, entry), **_estimates(entry)})


def _mean(entry: Mapping[str, Any]) -> MeanResult:
    return MeanResult(**{**_known(MeanResult, entry), **_estimates(entry), "labels": tuple(entry["labels"])})


def _estimates(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "arms": {name: Value(**_with_tuples(Value, value)) for name, value in entry["arms"].items()},
        "differences": {
            name: Difference(**_with_tuples(Difference, value)) for name, value in entry["differences"].items()
        },
    }


def _inputs(content: Mapping[str, Any]) -> Inputs:
    arms = {name: tuple(ArmInput(**_known(ArmInput, one)) for one in files) for name, files in content["arms"].items()}
    return Inputs(dict(content["labels"]), arms)


def _with_tuples(kind: type[Any], content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _tuple(value) if isinstance(value, list) else value for key, value in _known(kind, content).items()}


def _known(kind: type[Any], content: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in dataclasses.fields(kind)}
    return {key: value for key, value in content.items() if key in names}


def _tuple(value: Any) -> Any:  # noqa: ANN401 - a JSON list or null
    return None if value is None else tuple(value)
