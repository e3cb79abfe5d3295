from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shards.loading import positives
from training import choices
from training.errors import TrainingError
from training.pretraining.options import PretrainOptions
from training.pretraining.refusals import (
    batch_norm_groups,
    mask_group,
    refuse_long_queue,
    refuse_long_warmup,
    refuse_no_stochastic_depth,
)

OPTIONS = PretrainOptions(shards=(), output=Path("unused"))


@pytest.mark.parametrize(("queue_size", "samples"), [(1, 2), (3, 6), (3, 7), (24576, 223_414)])
def test_a_queue_of_half_the_images_or_fewer_is_taken(queue_size: int, samples: int) -> None:
    refuse_long_queue(replace(OPTIONS, queue_size=queue_size), samples)
    with pytest.raises(TrainingError, match=f"more than half of the {samples} images"):
        refuse_long_queue(replace(OPTIONS, queue_size=samples // 2 + 1), samples)


def test_a_long_queue_is_taken_where_it_is_forced() -> None:
    refuse_long_queue(replace(OPTIONS, queue_size=99, force_queue=True), 10)


@pytest.mark.parametrize(("bn_groups", "batch", "groups"), [(None, 64, 8), (None, 24, 6), (4, 64, 4), (2, 6, 2)])
def test_batch_norm_is_split_as_asked_or_as_the_batch_suggests(bn_groups: int | None, batch: int, groups: int) -> None:
    options = replace(OPTIONS, bn_groups=bn_groups)
    assert batch_norm_groups(replace(options, batch_norm="split"), batch) == groups
    assert batch_norm_groups(replace(options, batch_norm="none"), batch) == 1


@pytest.mark.parametrize(("bn_groups", "batch"), [(None, 7), (3, 16), (16, 16)])
def test_groups_of_one_image_or_of_different_sizes_are_refused(bn_groups: int | None, batch: int) -> None:
    with pytest.raises(TrainingError, match=f"groups of a batch of {batch} are not"):
        batch_norm_groups(replace(OPTIONS, batch_norm="split", bn_groups=bn_groups), batch)


def test_with_ema_the_queries_have_one_group_for_each_process_unless_told_otherwise() -> None:
    options = replace(OPTIONS, batch_norm="ema")
    assert batch_norm_groups(options, 16) == batch_norm_groups(options, 16, world_size=4) == 1
    assert batch_norm_groups(replace(options, bn_groups=4), 16, world_size=2) == 2
    with pytest.raises(TrainingError, match="--batch-norm ema needs groups of two images or more"):
        batch_norm_groups(options, 16, world_size=16)
    with pytest.raises(TrainingError, match="4 groups of BatchNorm cannot be dealt out to 3 processes"):
        batch_norm_groups(replace(options, bn_groups=4), 12, world_size=3)


def test_a_warm_up_as_long_as_the_run_is_refused() -> None:
    refuse_long_warmup(replace(OPTIONS, epochs=3, warmup_epochs=2))
    with pytest.raises(TrainingError, match="--warmup-epochs 3 is the whole run of 3 epochs"):
        refuse_long_warmup(replace(OPTIONS, epochs=3, warmup_epochs=3))


def test_a_network_without_batch_norm_has_none_and_no_other_way() -> None:
    options = replace(OPTIONS, backbone="convnext_tiny")
    resolved = options.resolved(device="cpu", threads=1)
    assert resolved.batch_norm == "none"
    assert batch_norm_groups(resolved, 16) == batch_norm_groups(resolved, 16, world_size=2) == 1
    for way in ("split", "ema"):
        with pytest.raises(TrainingError, match=f"convnext_tiny has no BatchNorm, so --batch-norm {way} means nothing"):
            batch_norm_groups(replace(options, batch_norm=way).resolved(device="cpu", threads=1), 16)


def test_a_network_with_batch_norm_has_it_split_unless_told_otherwise() -> None:
    assert OPTIONS.resolved(device="cpu", threads=1).batch_norm == "split"
    assert replace(OPTIONS, batch_norm="none").resolved(device="cpu", threads=1).batch_norm == "none"


def test_stochastic_depth_is_refused_where_nothing_can_be_dropped() -> None:
    refuse_no_stochastic_depth(OPTIONS, branches=0)
    refuse_no_stochastic_depth(replace(OPTIONS, stochastic_depth=0.1), branches=18)
    with pytest.raises(TrainingError, match=r"--stochastic-depth 0\.1 drops residual branches, and resnet18 has none"):
        refuse_no_stochastic_depth(replace(OPTIONS, stochastic_depth=0.1), branches=0)


@pytest.mark.parametrize(
    ("changes", "group"),
    [
        ({}, "image"),
        ({"mask_same_image": False}, None),
        ({"mask": "patient"}, "patient"),
        ({"positives": "study"}, "study"),
        ({"positives": "study", "mask": "patient", "same_projection": True}, "patient"),
        ({"positives": "patient"}, "patient"),
    ],
)
def test_the_mask_is_as_wide_as_the_positives_or_wider_as_asked(changes: dict[str, Any], group: str | None) -> None:
    assert mask_group(replace(OPTIONS, **changes)) == group


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (
            {"positives": "study", "mask": "image"},
            "--mask image is narrower than --positives study: .*Give --mask study",
        ),
        ({"positives": "patient", "mask": "study"}, "--mask study is narrower than --positives patient"),
        ({"mask": "image", "mask_same_image": False}, "and --mask image does not: leave one of them out"),
        ({"positives": "study", "mask_same_image": False}, "and --positives study does not: leave one of them out"),
        ({"same_projection": True}, "--same-projection is about the other images of --positives study or patient"),
    ],
)
def test_masks_that_would_make_negatives_of_positives_are_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(TrainingError, match=what):
        mask_group(replace(OPTIONS, **changes))


def test_the_groups_of_the_command_line_are_those_of_the_loaders() -> None:
    assert choices.GROUPS == positives.GROUPS
