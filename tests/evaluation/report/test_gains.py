"""The headline table: which result goes to which row and column."""

from collections.abc import Sequence
from typing import Any

import pytest

from evaluation.report.gains import IMAGENET, MEAN, MOCO, RANDOM, gain_tables
from evaluation.report.study import Result
from evaluation.statistics.result import (
    ArmInput,
    BootstrapResult,
    Difference,
    Inputs,
    LabelResult,
    MeanResult,
    Value,
)
from evaluation.tables.comparison import LeftOut
from evaluation.tables.truth import TruthOrigin
from tests.evaluation.files import sidecar_of

Sidecars = Sequence[dict[str, Any] | None]


def sidecar(initial: str, **changes: object) -> dict[str, Any]:
    """What `cxr-eval predict` writes beside predictions."""
    model: dict[str, Any] = {
        "initial": initial,
        "method": "probe",
        "label_fraction": 0.1,
        "dataset": {"name": "chexpert"},
    }
    model["provenance"] = {"init": "imagenet" if initial == "moco" else "none", "seed": 0}
    top: dict[str, Any] = {"dataset": {"name": "chexpert"}, "split": "test", "aggregate": "study", "model": model}
    for name, value in changes.items():
        (top if name in top else model)[name] = value
    return top


def result(
    model: Sidecars,
    baseline: Sidecars | None = None,
    name: str = "r.json",
    value: float = 0.8,
    labels: tuple[str, ...] = ("Edema",),
    reference: str = "baseline",
) -> Result:
    values = {"model": Value(value, (value - 0.05, value + 0.05), "logit-t")}
    differences = {}
    if baseline is not None:
        values[reference] = Value(0.7, (0.65, 0.75), "logit-t")
        differences["model"] = Difference(value - 0.7, (value - 0.75, value - 0.65), 0.01, "influence-t")
    entry = LabelResult(50, 9, 41, 0, values, differences)
    arms = {"model": model} | ({reference: baseline} if baseline is not None else {})
    files = {
        arm: tuple(
            ArmInput(f"{arm}{place}.csv", None, place, None, sidecar_of(one)) for place, one in enumerate(sidecars)
        )
        for arm, sidecars in arms.items()
    }
    content = BootstrapResult(
        metric="auroc",
        replicates=500,
        level=0.95,
        seed=0,
        reference=None if baseline is None else reference,
        unit="patient_id",
        units=40,
        over=("patients",),
        different=(),
        left_out=LeftOut(),
        warnings=(),
        labels=dict.fromkeys(labels, entry),
        mean=MeanResult(labels, 0, values, differences),
        holm_family=None,
        inputs=Inputs(TruthOrigin("truth.csv", 50), files),
        versions={},
    )
    return Result(name, content)


def test_a_comparison_fills_both_arms_and_their_difference() -> None:
    (table,), others = gain_tables([result([sidecar("moco")], [sidecar("random")])])
    (row,) = table.rows
    assert not others
    assert (row.label, row.method, row.fraction, row.n, row.positives) == ("Edema", "probe", 0.1, 50, 9)
    assert {arm: e.value for arm, e in row.arms.items()} == {MOCO: 0.8, RANDOM: 0.7}
    assert list(row.differences) == [(MOCO, RANDOM)]
    assert (table.setting.dataset, table.setting.split, table.setting.aggregate) == ("chexpert", "test", "study")


def test_imagenet_has_a_column_though_nobody_ran_it() -> None:
    (table,), _ = gain_tables([result([sidecar("moco")], [sidecar("random")])])
    assert table.arms == [MOCO, RANDOM, IMAGENET]


def test_weights_of_a_file_stand_under_the_name_of_their_arm() -> None:
    moco, start = [sidecar("moco")], [sidecar("file")]
    (table,), _ = gain_tables([result(moco, start, reference="imagenet")])
    assert table.arms == [MOCO, RANDOM, "imagenet (file)"]
    (table,), _ = gain_tables([result(moco, start, reference="old_run")])
    assert table.arms == [MOCO, RANDOM, "old_run (file)"]  # which may be ImageNet's: not "not run"
    (table,), _ = gain_tables([result(moco, start)])
    assert table.arms == [MOCO, RANDOM, "File"]


def test_what_another_program_pretrained_is_no_moco_of_ours_and_no_run_of_the_row() -> None:
    elsewhere = of_run("moco", "b", 0)
    elsewhere["model"]["provenance"]["method"] = "lightly-moco"
    (table,), _ = gain_tables([result([elsewhere], [of_run("moco", "a", 0)])])
    (row,) = table.rows
    assert (row.reference, row.run) == (MOCO, "seed 0")
    assert list(row.differences) == [("lightly-moco", MOCO)]


def test_two_comparisons_of_one_arm_share_a_row() -> None:
    moco = [sidecar("moco")]
    (table,), _ = gain_tables([result(moco, [sidecar("random")], "a"), result(moco, [sidecar("imagenet")], "b")])
    (row,) = table.rows
    assert set(row.arms) == {MOCO, RANDOM, IMAGENET}
    assert row.sources == ["a", "b"]
    assert table.differences == [(MOCO, IMAGENET), (MOCO, RANDOM)]


def test_results_that_disagree_on_an_arm_keep_rows_of_their_own() -> None:
    pair = ([sidecar("moco")], [sidecar("random")])
    (table,), _ = gain_tables([result(*pair, "a", 0.8), result(*pair, "b", 0.9)])
    assert [row.arms[MOCO].value for row in table.rows] == [0.8, 0.9]


def test_the_mean_comes_first_and_only_where_there_are_several_labels() -> None:
    pair = ([sidecar("moco")], [sidecar("random")])
    (table,), _ = gain_tables([result(*pair, labels=("Edema", "Atelectasis"))])
    assert [row.label for row in table.rows] == [MEAN, "Edema", "Atelectasis"]
    assert table.rows[0].n is None


def test_rows_are_in_order_of_label_method_and_fraction() -> None:
    settings = [("finetune", 0.01), ("probe", 1.0), ("probe", 0.01)]
    results = [result([sidecar("moco", method=m, label_fraction=f)]) for m, f in settings]
    (table,), _ = gain_tables(results)
    assert [(row.method, row.fraction) for row in table.rows] == [("probe", 0.01), ("probe", 1.0), ("finetune", 0.01)]


def test_draws_are_counted_by_arm() -> None:
    (table,), _ = gain_tables([result([sidecar("moco", draw=d) for d in range(5)], [sidecar("random")])])
    assert table.rows[0].draws == {MOCO: 5, RANDOM: 1}


def test_validation_and_test_never_share_a_table() -> None:
    results = [result([sidecar("moco", split=split)], name=split) for split in ("valid", "test")]
    tables, _ = gain_tables(results)
    assert [table.setting.split for table in tables] == ["test", "valid"]


def test_transfer_says_where_the_labels_came_from() -> None:
    (table,), _ = gain_tables([result([sidecar("moco", dataset={"name": "shenzhen"})])])
    assert (table.setting.dataset, table.setting.trained_on) == ("shenzhen", "chexpert")


def test_moco_names_its_start_where_a_study_has_several() -> None:
    starts = ["imagenet", "random"]
    results = [result([sidecar("moco", provenance={"init": init})], name=init) for init in starts]
    (table,), _ = gain_tables(results)
    assert {arm for row in table.rows for arm in row.arms} == {"MoCo from ImageNet", "MoCo from Random"}


@pytest.mark.parametrize(
    ("model", "baseline"),
    [
        ([None], None),
        ([sidecar("moco")], [None]),
        ([sidecar("moco", label_fraction=0.01)], [sidecar("random", label_fraction=1.0)]),
        ([sidecar("moco")], [sidecar("random", method="finetune")]),
        ([sidecar("moco"), sidecar("random")], None),
        ([sidecar("moco")], [sidecar("moco")]),
        ([{"split": "test"}], None),
    ],
)
def test_what_is_not_the_same_setting_on_both_sides_is_listed_apart(model: Sidecars, baseline: Sidecars | None) -> None:
    tables, others = gain_tables([result(model, baseline, "odd.json")])
    assert not tables
    assert [other.name for other in others] == ["odd.json"]


def of_run(initial: str, digest: str, seed: int, architecture: str = "resnet18") -> dict[str, Any]:
    """Predictions of the end or of the start of a run."""
    made = sidecar(initial)
    made |= {"architecture": architecture, "backbone_digest": digest if initial == "moco" else "0" * 64}
    made["model"]["provenance"] = {"init": "random", "seed": seed}
    if initial != "moco":
        made["model"]["provenance"]["start_of"] = {"digest": digest, "seed": seed}
    return made


def test_a_backbone_and_a_run_have_rows_of_their_own() -> None:
    pairs = [("a", 0, "resnet18"), ("b", 1, "resnet18"), ("c", 0, "densenet121")]
    results = [
        result([of_run("moco", digest, seed, architecture)], [of_run("random", digest, seed, architecture)], digest)
        for digest, seed, architecture in pairs
    ]
    (table,), others = gain_tables(results, {"a": "runs/first"})
    assert not others
    assert [row.trained for row in table.rows] == ["densenet121, seed 0", "resnet18, runs/first", "resnet18, seed 1"]


def test_seeds_of_one_arm_are_one_row_that_names_its_runs() -> None:
    digests = "abcd"
    one = result(
        [of_run("moco", digest, seed) for seed, digest in enumerate(digests)],
        [of_run("random", digest, seed) for seed, digest in enumerate(digests)],
    )
    (table,), _ = gain_tables([one])
    assert [row.run for row in table.rows] == ["4 runs, seed 0 to seed 3"]


def test_an_arm_without_pretraining_joins_the_row_of_the_run_that_it_is_compared_with() -> None:
    moco = [of_run("moco", "a", 0)]
    plain = {**sidecar("imagenet"), "architecture": "resnet18"}
    (table,), _ = gain_tables([result(moco, [of_run("random", "a", 0)], "a"), result(moco, [plain], "b")])
    (row,) = table.rows
    assert (set(row.arms), row.trained) == ({MOCO, RANDOM, IMAGENET}, "resnet18, seed 0")


def test_backbones_that_differ_between_arms_fit_no_row() -> None:
    _, others = gain_tables([result([of_run("moco", "a", 0)], [of_run("random", "a", 0, "densenet121")])])
    assert len(others) == 1
