"""In what arms differ: each recorded key that is changed is refused, and can be allowed."""

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluation.tables.agreement import DIFFERENCES, agreement
from evaluation.tables.provenance import ArmTables
from evaluation.tables.table import Table, TableError
from evaluation.tables.truth import TruthOrigin
from tests.evaluation.files import sidecar_of

MODEL: dict[str, Any] = {
    "dataset": {"digest": "a" * 64},
    "provenance": {"init": "imagenet", "method": "moco-v2", "seed": 0},
}
SIDECAR: dict[str, Any] = {
    "split": "test", "aggregate": "image", "row_filter": None, "architecture": "resnet18", "image_size": 320,
    "mean": 128.0, "std": 60.0, "initial": "moco", "method": "probe", "uncertain": "ignore", "missing": "ignore",
    "label_fraction": 0.01, "fraction_of": "patients", "draw": 0, "seed": 0, "pretraining_seed": 0, "at": "end",
    "dataset": {"name": "chexpert", "digest": "a" * 64}, "seen_patients": 0, "allow_seen_patients": False,
    "model": MODEL,
}  # fmt: skip
TRUTH = TruthOrigin("truth.csv", 9)
REBUILT = TruthOrigin("shards", 9, digest="b" * 64)
START = {"initial": "imagenet", "at": "start"}
CHANGES: dict[str, list[dict[str, Any]]] = {
    "architecture": [{"architecture": "densenet121"}],
    "image_size": [{"image_size": 224}],
    "preprocessing": [{"mean": 127.0}, {"std": 59.0}, {"mean": [123.675, 116.28, 103.53]}],
    "policy": [{"uncertain": "ones"}, {"missing": "zeros"}],
    "fraction": [{"label_fraction": 0.1}, {"fraction_of": "images"}],
    "split": [{"split": "valid"}],
    "aggregate": [{"aggregate": "study"}],
    "row_filter": [{"row_filter": "sex == 'female'"}],
    "method": [{"method": "finetune"}],
    "recalibration": [{"recalibrated": {"method": "temperature", "split": "valid", "temperatures": {"Edema": 1.5}}}],
    "draws": [{"draw": 1}],
    "dataset": [{"dataset": {"digest": "b" * 64}}, {"model": {**MODEL, "dataset": {"digest": "c" * 64}}}],
}
EACH = [(name, change) for name, changes in CHANGES.items() for change in changes]


def arm(name: str, *sidecars: dict[str, Any] | None) -> ArmTables:
    tables = [
        Table(Path(f"{name}{i}.csv"), "key", ("a",), pd.DataFrame(), 2, one, f"{name}{i}")
        for i, one in enumerate(map(sidecar_of, sidecars))
    ]
    return ArmTables(name, tuple(tables))


def changed(**keys: object) -> dict[str, Any]:
    return copy.deepcopy(SIDECAR) | keys


def test_every_difference_that_can_be_allowed_is_tried_here() -> None:
    assert {*CHANGES, "initial"} == set(DIFFERENCES)


def test_a_run_and_its_own_start_agree() -> None:
    found = agreement([arm("moco", changed()), arm("start", changed(**START))], TRUTH)
    assert (found.different, found.remarks) == ((), ())


@pytest.mark.parametrize(("name", "change"), EACH)
def test_what_makes_no_comparison_is_refused_by_name_with_both_values(name: str, change: dict[str, Any]) -> None:
    with pytest.raises(TableError, match=rf"differ in more than their weights: {name} \(") as refusal:
        agreement([arm("moco", changed()), arm("other", changed(**START, **change))], TRUTH)
    assert f"--allow-different {name}" in str(refusal.value)
    assert "moco has" in str(refusal.value)
    assert "other has" in str(refusal.value)


@pytest.mark.parametrize(("name", "change"), EACH)
def test_an_allowed_difference_is_named_and_said(name: str, change: dict[str, Any]) -> None:
    arms = [arm("moco", changed()), arm("other", changed(**START, **change))]
    found = agreement(arms, TRUTH, [name])
    assert (found.different, found.allowed) == ((name,), (name,))
    assert any(f"differ in {name}" in remark and "as was allowed" in remark for remark in found.remarks)


def test_one_allowed_difference_allows_no_other() -> None:
    arms = [arm("moco", changed()), arm("other", changed(image_size=224, method="finetune"))]
    with pytest.raises(TableError, match=r"--allow-different method,") as refusal:
        agreement(arms, TRUTH, ["image_size"])
    assert "image_size" not in str(refusal.value)


def test_arms_of_which_one_is_recalibrated_are_told_apart_whatever_their_temperatures() -> None:
    warm, cold = (
        changed(recalibrated={"method": "temperature", "split": "valid", "temperatures": {"Edema": temperature}})
        for temperature in (1.5, 0.8)
    )
    assert agreement([arm("moco", warm), arm("start", cold)], TRUTH).different == ()
    said = r"recalibration \(moco has temperature on valid; start has none\)"
    with pytest.raises(TableError, match=said):
        agreement([arm("moco", warm), arm("start", changed(**START))], TRUTH)


def test_other_initial_weights_are_named_and_not_refused() -> None:
    """MoCo from ImageNet weights beside a random start: a comparison, but not of pretraining alone."""
    random = changed(initial="random", model={**MODEL, "provenance": {"init": "random"}})
    arms = [arm("moco", changed()), arm("random", random)]
    found = agreement(arms, TRUTH)
    assert (found.different, found.allowed) == (("initial",), ())
    assert "so that the gain is not pretraining's alone" in found.remarks[0]
    assert agreement(arms, TRUTH, ["initial"]).allowed == ("initial",)


@pytest.mark.parametrize(("name", "change"), [*EACH, ("initial", {"model": {"provenance": {"init": "random"}}})])
def test_files_of_one_arm_may_differ_in_draw_and_seeds_only(name: str, change: dict[str, Any]) -> None:
    mixed = arm("moco", changed(), changed(**{"draw": 1, **change}))
    if name == "draws":
        agreement([mixed], TRUTH)
        return
    with pytest.raises(TableError, match=rf"moco0\.csv and moco1\.csv differ in ({name}|dataset)"):
        agreement([mixed], TRUTH, DIFFERENCES)  # never averaged, whatever is allowed


def test_draws_and_seeds_of_one_arm_may_differ() -> None:
    several = [changed(draw=draw, seed=draw, pretraining_seed=seed) for draw in (0, 1) for seed in (0, 1)]
    assert agreement([arm("moco", *several), arm("start", *several)], TRUTH).different == ()


def test_predictions_of_another_build_than_the_truth_are_refused() -> None:
    """A rebuild with flipped labels gave an AUROC of 0.245 for 0.755."""
    with pytest.raises(
        TableError, match=r"dataset \(moco0\.csv was predicted on that of digest a{12}, the truth is of b{12}\)"
    ):
        agreement([arm("moco", changed())], REBUILT)
    assert agreement([arm("moco", changed())], TruthOrigin("shards", 9, digest="a" * 64)).different == ()
    assert agreement([arm("moco", changed())], REBUILT, ["dataset"]).allowed == ("dataset",)


def test_what_a_sidecar_does_not_say_is_not_compared_and_files_without_one_are_named() -> None:
    old = {"split": "test", "model": {"label_fraction": 0.01, "provenance": {"init": "imagenet"}}}
    assert agreement([arm("moco", changed()), arm("old", old)], TRUTH).different == ()
    found = agreement([arm("moco", changed()), arm("foreign", None)], TRUTH)
    assert found.different == ()
    assert any("foreign0.csv" in remark and "not known" in remark for remark in found.remarks)


def test_an_older_sidecar_is_told_apart_where_a_newer_one_has_a_filter() -> None:
    old = {key: value for key, value in changed().items() if key not in ("row_filter", "fraction_of")}
    assert agreement([arm("moco", changed()), arm("old", old)], TRUTH).different == ()
    with pytest.raises(TableError, match=r"row_filter \(moco has age > 60; old has all rows\)"):
        agreement([arm("moco", changed(row_filter="age > 60")), arm("old", old)], TRUTH)
