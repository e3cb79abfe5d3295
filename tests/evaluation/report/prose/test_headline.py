"""The one sentence of the main result: which result it is of, and that it never claims more than the interval."""

from dataclasses import replace
from typing import Any

import pytest

from evaluation.report.gains import gain_tables
from evaluation.report.prose.headline import headline
from evaluation.report.study import Result
from evaluation.statistics.result import Difference
from tests.evaluation.report.test_gains import result, sidecar


def sentence(*results: Result) -> str:
    tables, others = gain_tables(results)
    return headline(tables, others, results)


def with_difference(one: Result, **changes: Any) -> Result:  # noqa: ANN401 - fields of Difference
    """The result with another difference, of its labels and of their mean."""
    content = one.content
    differences = {"model": replace(content.mean.differences["model"], **changes)}
    labels = {label: replace(entry, differences=differences) for label, entry in content.labels.items()}
    return replace(one, content=replace(content, labels=labels, mean=replace(content.mean, differences=differences)))


def clear(**changes: Any) -> Result:  # noqa: ANN401 - keywords of result
    """A comparison with many of both classes and an interval that excludes 0."""
    one = result([sidecar("moco")], [sidecar("random")], **changes)
    labels = {label: replace(entry, n=500, positives=100, negatives=400) for label, entry in one.content.labels.items()}
    return replace(one, content=replace(one.content, labels=labels))


def test_a_clear_gain_is_said_with_its_interval_units_and_arms() -> None:
    assert sentence(clear()) == (
        "With 10 % of the training labels, linear probes on MoCo weights reach an AUROC for Edema of 0.800 on the test "
        "split of chexpert, against 0.700 on Random weights: a gain of +0.100 (95 % interval +0.050 to +0.150; "
        "p = 0.010; 40 patients; seed 0)."
    )


def test_a_loss_is_called_one() -> None:
    assert "a loss of −0.100 (95 %" in sentence(with_difference(clear(), value=-0.1, ci=(-0.15, -0.05)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ci": (-0.01, 0.2)}, "a difference of +0.100 that is not clear of 0 (95 % interval −0.010 to +0.200"),
        (
            {"ci": None, "p_value": None},
            "a difference of +0.100 without an interval (no interval; 40 patients; seed 0)",
        ),
        ({"holm_p_value": 0.2}, "a gain of +0.100 by its own interval, which is not clear after Holm's correction"),
        ({"holm_p_value": 0.02}, "a gain of +0.100 (95 % interval +0.050 to +0.150; p = 0.010; Holm's p = 0.020"),
    ],
)
def test_a_difference_that_is_not_clear_is_no_gain(changes: dict[str, object], said: str) -> None:
    assert said in sentence(with_difference(clear(), **changes))


def test_a_weak_result_is_said_to_be_too_weak_whatever_its_interval() -> None:
    few = replace(clear(), content=replace(clear().content, units=12))
    said = sentence(few)
    assert "too weakly supported to be judged, with only 12 patients" in said
    assert "a gain" not in said


def test_the_lowest_fraction_the_mean_and_probes_on_the_test_split_come_first_whatever_their_size() -> None:
    settings = [("finetune", 0.01, "test", 0.95), ("probe", 1.0, "test", 0.9), ("probe", 0.01, "test", 0.71),
                ("probe", 0.001, "valid", 0.99)]  # fmt: skip
    results = [
        result(
            [sidecar("moco", method=method, label_fraction=fraction, split=split)],
            [sidecar("random", method=method, label_fraction=fraction, split=split)],
            name=f"{number}.json", value=value, labels=("Edema", "Mass"),
        )
        for number, (method, fraction, split, value) in enumerate(settings)
    ]  # fmt: skip
    said = sentence(*results)
    assert (
        "With 1 % of the training labels, linear probes on MoCo weights reach a mean AUROC over 2 labels of 0.710"
        in said
    )
    assert "the test split" in said


def test_the_lowest_fraction_of_any_dataset_is_taken() -> None:
    results = [
        result(
            [sidecar("moco", dataset={"name": dataset}, label_fraction=fraction)],
            [sidecar("random", dataset={"name": dataset}, label_fraction=fraction)],
            name=f"{dataset}.json",
        )
        for dataset, fraction in (("a", 1.0), ("b", 0.01), ("c", 0.01))
    ]
    said = sentence(*results)
    assert said.startswith("With 1 % of the training labels")
    assert "the test split of b" in said


def test_imagenet_is_the_arm_to_beat_where_it_was_run() -> None:
    moco = [sidecar("moco")]
    said = sentence(result(moco, [sidecar("random")], "a"), result(moco, [sidecar("imagenet")], "b"))
    assert "on ImageNet weights" in said


def test_the_gain_over_the_study_s_own_reference_comes_before_that_over_others() -> None:
    moco, elsewhere = [sidecar("moco")], sidecar("moco")
    elsewhere["model"]["provenance"] |= {"method": "a-moco"}
    start = result(moco, [sidecar("file")], "a", reference="start")
    said = sentence(start, result(moco, [elsewhere], "a-over-other", reference="other"))
    assert "on MoCo weights" in said
    assert "on start (file) weights" in said


def test_a_result_of_unknown_arms_is_named_by_its_file_and_one_arm_has_no_gain() -> None:
    assert sentence(result([None], [None], "odd.json")).startswith("In odd.json, model has AUROC for Edema of 0.800")
    assert "nothing is compared" in sentence(result([None], name="odd.json"))
    assert "No two arms are compared" in sentence(result([sidecar("moco")]))
    assert "There is no result" in sentence()


def test_a_difference_without_a_value_is_no_result() -> None:
    undefined = with_difference(clear(), **Difference(None).__dict__)
    assert "No two arms are compared" in sentence(undefined)
