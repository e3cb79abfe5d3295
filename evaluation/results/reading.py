"""Read the result of `cxr-eval bootstrap` (JSON, format version 2): each key by its type, null as None."""

from evaluation.results.inputs import arm_input_from_json, truth_origin_from_json
from evaluation.statistics.result import (
    FORMAT_VERSION,
    BootstrapResult,
    ByLabelAndArm,
    ByResult,
    Difference,
    Inputs,
    Interval,
    LabelResult,
    MeanResult,
    MetricResult,
    RestDifferences,
    SubgroupMetric,
    SubgroupResult,
    ThresholdCitation,
    Value,
)
from evaluation.tables.comparison import LeftOut
from shards.json_value import JsonValue


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
        labels=content.at("labels").each(_label),
        mean=_mean(content.at("mean")),
        holm_family=content.optional("holm_family", JsonValue.texts),
        inputs=_inputs(content.at("inputs")),
        versions=content.at("versions").each(JsonValue.text),
        metrics=content.optional("metrics", lambda metrics: metrics.each(_metric)) or {},
        subgroups=content.optional("subgroups", _subgroups) or {},
        by=content.optional("by", lambda by: by.each(_by)) or {},
    )


def _selected_on(entry: JsonValue) -> dict[str, dict[str, str]]:
    return {arm: selected.each(JsonValue.text) for arm, selected in entry.fields().items()}


def _label(entry: JsonValue) -> LabelResult:
    return LabelResult(
        n=entry.at("n").whole(),
        positives=entry.at("positives").whole(),
        negatives=entry.at("negatives").whole(),
        undefined_replicates=entry.at("undefined_replicates").whole(),
        arms=entry.at("arms").each(_value),
        differences=entry.at("differences").each(_difference),
    )


def _mean(entry: JsonValue) -> MeanResult:
    return MeanResult(
        labels=entry.at("labels").texts(),
        undefined_replicates=entry.at("undefined_replicates").whole(),
        arms=entry.at("arms").each(_value),
        differences=entry.at("differences").each(_difference),
    )


def _metric(entry: JsonValue) -> MetricResult:
    family = entry.optional("holm_family", JsonValue.texts)
    return MetricResult(entry.at("labels").each(_label), _mean(entry.at("mean")), family)


def _subgroups(entry: JsonValue) -> dict[str, dict[str, SubgroupResult]]:
    return {column: groups.each(_subgroup) for column, groups in entry.fields().items()}


def _subgroup(entry: JsonValue) -> SubgroupResult:
    own = _subgroup_metric(entry)
    return SubgroupResult(
        entry.at("n").whole(),
        own.labels,
        own.mean,
        own.rest,
        entry.optional("few", JsonValue.texts) or (),
        entry.optional("not_judged", JsonValue.texts) or (),
        entry.optional("gaps", lambda gaps: gaps.each(_by_label_and_arm)) or {},
        entry.optional("metrics", lambda metrics: metrics.each(_subgroup_metric)) or {},
    )


def _subgroup_metric(entry: JsonValue) -> SubgroupMetric:
    rest = entry.optional("rest", _rest) or RestDifferences()
    return SubgroupMetric(entry.at("labels").each(_label), _mean(entry.at("mean")), rest)


def _rest(entry: JsonValue) -> RestDifferences:
    return RestDifferences(_by_label_and_arm(entry.at("labels")), entry.at("mean").each(_difference))


def _by_label_and_arm(entry: JsonValue) -> ByLabelAndArm:
    return entry.each(lambda label: label.each(_difference))


def _by(entry: JsonValue) -> ByResult:
    return ByResult(entry.at("blank").whole(), entry.at("families").each(JsonValue.texts))


def _value(entry: JsonValue) -> Value:
    draws = entry.optional("draws", JsonValue.items) or ()
    return Value(
        value=entry.nullable("value", JsonValue.number),
        ci=entry.optional("ci", interval_of),
        method=entry.optional("method", JsonValue.text),
        draws=tuple(None if draw.value is None else draw.number() for draw in draws),
        conditional_ci=entry.optional("conditional_ci", interval_of),
        bootstrap_ci=entry.optional("bootstrap_ci", interval_of),
    )


def _difference(entry: JsonValue) -> Difference:
    return Difference(
        value=entry.nullable("value", JsonValue.number),
        ci=entry.optional("ci", interval_of),
        p_value=entry.optional("p_value", JsonValue.number),
        method=entry.optional("method", JsonValue.text),
        df=entry.optional("df", JsonValue.number),
        bootstrap_ci=entry.optional("bootstrap_ci", interval_of),
        bootstrap_p_value=entry.optional("bootstrap_p_value", JsonValue.number),
        holm_p_value=entry.optional("holm_p_value", JsonValue.number),
        conditional_ci=entry.optional("conditional_ci", interval_of),
    )


def interval_of(entry: JsonValue) -> Interval:
    """Read an interval, two numbers. Raises JsonError for anything else."""
    bounds = entry.items()
    if len(bounds) != 2:
        raise entry.wrong("two numbers")
    return bounds[0].number(), bounds[1].number()


def _left_out(entry: JsonValue) -> LeftOut:
    labels = entry.optional("labels", lambda labels: labels.each(lambda names: list(names.texts())))
    return LeftOut(labels or {}, entry.optional("rows", lambda rows: rows.each(JsonValue.wholes)) or {})


def _inputs(entry: JsonValue) -> Inputs:
    arms = entry.at("arms").each(lambda files: tuple(arm_input_from_json(file) for file in files.items()))
    return Inputs(truth_origin_from_json(entry.at("labels")), arms, entry.optional("thresholds", _thresholds))


def _thresholds(entry: JsonValue) -> ThresholdCitation:
    return ThresholdCitation(entry.at("path").text(), entry.at("sha256").text(), entry.at("rule").text())
