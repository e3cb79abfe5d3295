"""Hold the result of `cxr-eval bootstrap` as dataclasses and write its JSON (format version 2): null and never NaN.

evaluation/results reads it again. docs/statistics.md lists the keys. What cannot be estimated is None with the counts
beside it, never a number.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from evaluation.tables.comparison import LeftOut
from evaluation.tables.sidecar import Sidecar
from evaluation.tables.truth import TruthOrigin

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
