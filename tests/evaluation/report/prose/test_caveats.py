"""What a page says that its figures do not show: seeds that no interval holds, and arms that nobody ran."""

from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.report.gains import gain_tables
from evaluation.report.prose.caveats import caveats
from evaluation.report.study import Result, Study
from tests.evaluation.report.test_gains import of_run, result, sidecar


def of_seeds(seeds: int, method: str = "moco-v2", initial: str = "moco") -> Result:
    """A comparison of an arm of so many pretraining seeds with weights of a file."""
    arm = [of_run(initial, f"digest {seed}", seed) for seed in range(seeds)]
    for one in arm:
        one["model"]["provenance"]["method"] = method
    found = result(arm, [of_run("file", "digest 0", 0)], reference="start")
    arms = found.content.inputs.arms
    files = tuple(replace(file, pretraining_seed=seed) for seed, file in enumerate(arms["model"]))
    inputs = replace(found.content.inputs, arms={**arms, "model": files})
    return replace(found, content=replace(found.content, inputs=inputs))


def test_draws_are_taken_as_fixed_only_where_there_are_several() -> None:
    assert "conditional on those draws" not in said(result([sidecar("moco")], [sidecar("random")]))
    three = result([sidecar("moco")] * 3, [sidecar("random")] * 3)
    assert "conditional on those draws" in said(three)
    with_draws = replace(three, content=replace(three.content, over=("patients", "draws")))
    assert "conditional on those draws" not in said(with_draws)
    assert "the variation between draws is in their intervals" in said(with_draws)


def said(*results: Result) -> str:
    return " ".join(caveats(Study(Path("study"), results=list(results)), gain_tables(results)[0]))


@pytest.mark.parametrize(
    ("one", "arm"),
    [
        (of_seeds(1), "MoCo of resnet18: 1"),
        (of_seeds(2), "MoCo of resnet18: 2"),
        (of_seeds(1, "lightly-moco"), "lightly-moco of resnet18: 1"),
    ],
)
def test_intervals_without_the_variation_between_seeds_are_named(one: Result, arm: str) -> None:
    expected = f"conditional on the pretraining seeds of arms with fewer than 3 of them ({arm})"
    assert expected in said(of_seeds(3), one)


@pytest.mark.parametrize("one", [of_seeds(3), of_seeds(1, initial="random")])
def test_three_seeds_and_arms_that_nothing_was_pretrained_for_are_not(one: Result) -> None:
    assert "pretraining seeds" not in said(one)


def test_a_file_is_not_said_to_be_imagenet_s_or_not() -> None:
    assert "Whether the weights of start (file) are ImageNet's is not recorded." in said(of_seeds(3))
    assert "The ImageNet arm was not run" not in said(of_seeds(3))
    assert "The ImageNet arm was not run" in said(result([sidecar("moco")], [sidecar("random")]))
