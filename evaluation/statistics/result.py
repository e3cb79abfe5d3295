"""The result of `cxr-eval bootstrap` as dataclasses, and its JSON (format version 2): null and never NaN.

docs/statistics.md lists the keys. What cannot be estimated is None with the counts beside it, never a number.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from evaluation.tables.comparison import LeftOut
from evaluation.tables.sidecar import Sidecar
from evaluation.tables.truth import TruthOrigin
from shards.json_value import JsonValue

FORMAT_VERSION = 2

Interval = tuple[float, float]

_Read = TypeVar("_Read")


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
    """All arms on one label. undefined_replicates: those in which some arm has no value (one class only, ...)."""

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
class MetricResult:
    """All arms by one metric, label by label and on the mean over labels. holm_family: as that of BootstrapResult."""

    labels: dict[str, LabelResult]
    mean: MeanResult
    holm_family: tuple[str, ...] | None = None


ByLabelAndArm = dict[str, dict[str, Difference]]


@dataclass(frozen=True)
class RestDifferences:
    """Each arm's metric in a subgroup less that in the rest of the rows. labels: by label and arm. mean: by arm."""

    labels: ByLabelAndArm = field(default_factory=dict)
    mean: dict[str, Difference] = field(default_factory=dict)


@dataclass(frozen=True)
class SubgroupMetric:
    """All arms on the rows of one subgroup by one metric."""

    labels: dict[str, LabelResult]
    mean: MeanResult
    rest: RestDifferences


@dataclass(frozen=True)
class SubgroupResult:
    """All arms on the rows of one subgroup. n: how many these are. metrics: further ones.

    few: labels with under 50 units of a class. not_judged: those with under 10, which have no values. gaps: `tpr` and
    `fpr` at the threshold less those of the rest, by label and arm; empty without thresholds.
    """

    n: int
    labels: dict[str, LabelResult]
    mean: MeanResult
    rest: RestDifferences = field(default_factory=RestDifferences)
    few: tuple[str, ...] = ()
    not_judged: tuple[str, ...] = ()
    gaps: dict[str, ByLabelAndArm] = field(default_factory=dict)
    metrics: dict[str, SubgroupMetric] = field(default_factory=dict)


@dataclass(frozen=True)
class ByResult:
    """What the subgroups of a column leave out, and which comparisons Holm's p-values of `rest` and `gaps` go over.

    blank: rows without a value. families: by metric (tpr and fpr for the gaps), as `<subgroup>: <arm>: <label>`.
    """

    blank: int
    families: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class ArmInput:
    """A file of predictions as the result records it: with the draw it counts as, and all of its sidecar."""

    path: str
    sha256: str | None
    draw: int
    pretraining_seed: int | None
    sidecar: Sidecar | None


@dataclass(frozen=True)
class ThresholdCitation:
    """The file that thresholds came from. rule: how they were chosen there."""

    path: str
    sha256: str
    rule: str


@dataclass(frozen=True)
class Inputs:
    """Where all of it came from. labels: the truth. thresholds: None where no metric needed one."""

    labels: TruthOrigin
    arms: dict[str, tuple[ArmInput, ...]]
    thresholds: ThresholdCitation | None = None


@dataclass(frozen=True)
class BootstrapResult:
    """A comparison of arms. labels and mean are of `metric`. over: what the intervals let vary.

    reference: the arm that the others are compared with; None where there is one arm. holm_family: the comparisons
    that holm_p_value goes over, as `<arm>: <label>`; None where it was not asked for. allow_seen_patients,
    allow_unknown_patients: whether weights had seen what they are judged on, or may have, which was allowed.
    selected_on: arm -> what was selected (C, epoch) -> the split that it was selected on.
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
    allow_seen_patients: bool = False
    allow_unknown_patients: bool = False
    selected_on: dict[str, dict[str, str]] = field(default_factory=dict)
    metrics: dict[str, MetricResult] = field(default_factory=dict)
    subgroups: dict[str, dict[str, SubgroupResult]] = field(default_factory=dict)
    by: dict[str, ByResult] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The mapping that is written, its keys in the order of docs/statistics.md."""
        content = asdict(self)
        content["inputs"] = {
            "labels": self.inputs.labels.as_json(),
            "arms": {arm: [input_as_json(one) for one in files] for arm, files in self.inputs.arms.items()},
        }
        if self.inputs.thresholds is not None:
            content["inputs"]["thresholds"] = asdict(self.inputs.thresholds)
        order = [
            *("metric", "replicates", "level", "seed", "reference", "unit", "units", "over", "different"),
            *("allowed_different", "allow_seen_patients", "allow_unknown_patients", "selected_on", "left_out"),
            *("warnings", "holm_family", "labels", "mean", "metrics", "subgroups"),
            *(["by"] if self.by else []),
            *("inputs", "versions"),
        ]
        return {"format_version": FORMAT_VERSION, **{key: content[key] for key in order}}


def input_as_json(file: ArmInput) -> dict[str, Any]:
    """A file of predictions as JSON holds it."""
    return asdict(file) | {"sidecar": None if file.sidecar is None else file.sidecar.content.value}


def result_from_json(content: JsonValue) -> BootstrapResult:
    """Read what as_json wrote. Raises ValueError where it is of another version, or not such a result.

    Keys of a later writer that this version does not name are passed over.
    """
    version = content.find("format_version")
    found = 1 if version is None else version.value
    if found != FORMAT_VERSION:
        raise ValueError(f"result format version {found!r}, this program reads version {FORMAT_VERSION}")
    return BootstrapResult(
        metric=content.at("metric").text(),
        replicates=content.at("replicates").whole(),
        level=content.at("level").number(),
        seed=content.at("seed").whole(),
        reference=content.nullable("reference", JsonValue.text),
        unit=content.at("unit").text(),
        units=content.at("units").whole(),
        over=content.at("over").texts(),
        different=content.at("different").texts(),
        allowed_different=content.optional("allowed_different", JsonValue.texts) or (),
        allow_seen_patients=content.optional("allow_seen_patients", JsonValue.flag) or False,
        allow_unknown_patients=content.optional("allow_unknown_patients", JsonValue.flag) or False,
        selected_on=content.optional("selected_on", _selected_on) or {},
        left_out=_left_out(content.at("left_out")),
        warnings=content.at("warnings").texts(),
        labels=_each(content.at("labels"), _label),
        mean=_mean(content.at("mean")),
        holm_family=content.optional("holm_family", JsonValue.texts),
        inputs=_inputs(content.at("inputs")),
        versions=_each(content.at("versions"), JsonValue.text),
        metrics=content.optional("metrics", lambda metrics: _each(metrics, _metric)) or {},
        subgroups=content.optional("subgroups", _subgroups) or {},
        by=content.optional("by", lambda by: _each(by, _by)) or {},
    )


def _each(entry: JsonValue, read: Callable[[JsonValue], _Read]) -> dict[str, _Read]:
    return {key: read(one) for key, one in entry.fields().items()}


def _selected_on(entry: JsonValue) -> dict[str, dict[str, str]]:
    return {arm: _each(selected, JsonValue.text) for arm, selected in entry.fields().items()}


def _label(entry: JsonValue) -> LabelResult:
    return LabelResult(
        n=entry.at("n").whole(),
        positives=entry.at("positives").whole(),
        negatives=entry.at("negatives").whole(),
        undefined_replicates=entry.at("undefined_replicates").whole(),
        arms=_each(entry.at("arms"), _value),
        differences=_each(entry.at("differences"), _difference),
    )


def _mean(entry: JsonValue) -> MeanResult:
    return MeanResult(
        labels=entry.at("labels").texts(),
        undefined_replicates=entry.at("undefined_replicates").whole(),
        arms=_each(entry.at("arms"), _value),
        differences=_each(entry.at("differences"), _difference),
    )


def _metric(entry: JsonValue) -> MetricResult:
    family = entry.optional("holm_family", JsonValue.texts)
    return MetricResult(_each(entry.at("labels"), _label), _mean(entry.at("mean")), family)


def _subgroups(entry: JsonValue) -> dict[str, dict[str, SubgroupResult]]:
    return {column: _each(groups, _subgroup) for column, groups in entry.fields().items()}


def _subgroup(entry: JsonValue) -> SubgroupResult:
    own = _subgroup_metric(entry)
    return SubgroupResult(
        entry.at("n").whole(),
        own.labels,
        own.mean,
        own.rest,
        entry.optional("few", JsonValue.texts) or (),
        entry.optional("not_judged", JsonValue.texts) or (),
        entry.optional("gaps", lambda gaps: _each(gaps, _by_label_and_arm)) or {},
        entry.optional("metrics", lambda metrics: _each(metrics, _subgroup_metric)) or {},
    )


def _subgroup_metric(entry: JsonValue) -> SubgroupMetric:
    rest = entry.optional("rest", _rest) or RestDifferences()
    return SubgroupMetric(_each(entry.at("labels"), _label), _mean(entry.at("mean")), rest)


def _rest(entry: JsonValue) -> RestDifferences:
    return RestDifferences(_by_label_and_arm(entry.at("labels")), _each(entry.at("mean"), _difference))


def _by_label_and_arm(entry: JsonValue) -> ByLabelAndArm:
    return _each(entry, lambda label: _each(label, _difference))


def _by(entry: JsonValue) -> ByResult:
    return ByResult(entry.at("blank").whole(), _each(entry.at("families"), JsonValue.texts))


def _value(entry: JsonValue) -> Value:
    draws = entry.optional("draws", JsonValue.items) or ()
    return Value(
        value=entry.nullable("value", JsonValue.number),
        ci=entry.optional("ci", _interval),
        method=entry.optional("method", JsonValue.text),
        draws=tuple(None if draw.value is None else draw.number() for draw in draws),
        conditional_ci=entry.optional("conditional_ci", _interval),
        bootstrap_ci=entry.optional("bootstrap_ci", _interval),
    )


def _difference(entry: JsonValue) -> Difference:
    return Difference(
        value=entry.nullable("value", JsonValue.number),
        ci=entry.optional("ci", _interval),
        p_value=entry.optional("p_value", JsonValue.number),
        method=entry.optional("method", JsonValue.text),
        df=entry.optional("df", JsonValue.number),
        bootstrap_ci=entry.optional("bootstrap_ci", _interval),
        bootstrap_p_value=entry.optional("bootstrap_p_value", JsonValue.number),
        holm_p_value=entry.optional("holm_p_value", JsonValue.number),
        conditional_ci=entry.optional("conditional_ci", _interval),
    )


def _interval(entry: JsonValue) -> Interval:
    bounds = entry.items()
    if len(bounds) != 2:
        raise entry.wrong("two numbers")
    return bounds[0].number(), bounds[1].number()


def _left_out(entry: JsonValue) -> LeftOut:
    labels = entry.optional("labels", lambda labels: _each(labels, lambda names: list(names.texts())))
    return LeftOut(labels or {}, entry.optional("rows", lambda rows: _each(rows, JsonValue.wholes)) or {})


def _inputs(entry: JsonValue) -> Inputs:
    arms = _each(entry.at("arms"), lambda files: tuple(arm_input_from_json(file) for file in files.items()))
    return Inputs(truth_origin_from_json(entry.at("labels")), arms, entry.optional("thresholds", _thresholds))


def _thresholds(entry: JsonValue) -> ThresholdCitation:
    return ThresholdCitation(entry.at("path").text(), entry.at("sha256").text(), entry.at("rule").text())


def truth_origin_from_json(entry: JsonValue) -> TruthOrigin:
    """Read what TruthOrigin.as_json wrote."""
    return TruthOrigin(
        path=entry.at("path").text(),
        rows=entry.at("rows").whole(),
        sha256=entry.optional("sha256", JsonValue.text),
        name=entry.optional("name", JsonValue.text),
        digest=entry.optional("digest", JsonValue.text),
        split=entry.optional("split", JsonValue.text),
        row_filter=entry.optional("row_filter", JsonValue.text),
        images=entry.optional("images", JsonValue.whole),
    )


def arm_input_from_json(entry: JsonValue) -> ArmInput:
    """Read what input_as_json wrote."""
    sidecar = entry.nullable("sidecar", JsonValue.fields)
    return ArmInput(
        path=entry.at("path").text(),
        sha256=entry.nullable("sha256", JsonValue.text),
        draw=entry.at("draw").whole(),
        pretraining_seed=entry.nullable("pretraining_seed", JsonValue.whole),
        sidecar=None if sidecar is None else Sidecar(JsonValue(entry.at("sidecar").value)),
    )
