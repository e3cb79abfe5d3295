"""Nearest neighbours while training: the figure by itself, and that looking changes nothing."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from shards.errors import SubsetError
from shards.format.dataset import open_dataset
from tests.training.pretraining.small_run import options_of
from tests.training.pretraining.test_pretrain import (
    Stop,
    assert_equal,
    final_state,
    signal_after,
    stop_and_go_on,
)
from training.pretraining.command import Outcome, pretrain
from training.pretraining.knn import NEIGHBOURS, OnlineKnn, knn_auroc
from training.runs.metrics_log import read_metrics

__all__ = ["signal_after"]  # a fixture


@given(seed=st.integers(0, 2**31), count=st.integers(3, 60), dimension=st.integers(3, 8), patients=st.integers(2, 40))
def test_the_figure_is_that_of_neighbours_counted_one_by_one(
    seed: int, count: int, dimension: int, patients: int
) -> None:
    dice = np.random.default_rng(seed)
    features = dice.normal(size=(count, dimension)).astype(np.float32)
    labels = (np.arange(count) % 2).astype(np.float64)
    dice.shuffle(labels)
    whose = dice.integers(0, patients, count).astype(str)
    scores = []
    for i in range(count):
        near = []
        for j in range(count):
            if whose[i] != whose[j]:
                a, b = features[i].astype(float), features[j].astype(float)
                near.append((float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b)), labels[j]))
        near = sorted(near, reverse=True)[:NEIGHBOURS]
        weights = [math.exp(s / 0.07) for s, _ in near]
        votes = [w * label for w, (_, label) in zip(weights, near, strict=True)]
        scores.append(sum(votes) / sum(weights) if near else 0.5)
    # Rounded: rounding must not decide between equal votes.
    expected = roc_auc_score(labels, np.round(scores, 5))
    found = knn_auroc(features, labels.astype(np.float32), whose)
    assert found == pytest.approx(expected, abs=1.01 * _one_pair(labels, np.array(scores)))


def _one_pair(labels: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> float:
    """What pairs whose scores nearly tie can move an AUROC by."""
    yes, no = scores[labels == 1], scores[labels == 0]
    return float((np.abs(yes[:, None] - no) < 2e-5).mean()) + 1e-9


def test_images_of_the_same_patient_do_not_vote() -> None:
    """Two equal images each: with its twin as a neighbour every label would be told."""
    dice = np.random.default_rng(0)
    features = np.repeat(dice.normal(size=(200, 16)), 2, axis=0).astype(np.float32)
    labels = np.repeat(np.arange(200) % 2, 2).astype(np.float32)
    patients = np.repeat(np.arange(200), 2).astype(str)
    assert 0.4 < knn_auroc(features, labels, patients) < 0.6
    assert knn_auroc(features, labels, np.arange(400).astype(str)) > 0.9


def test_patients_are_whole_and_about_so_many_images_are_looked_at(labelled_root: Path) -> None:
    dataset = open_dataset(labelled_root)
    label = dataset.label_names[0]
    ((_, few),) = OnlineKnn([dataset], label, 12).parts
    ((_, all_rows),) = OnlineKnn([dataset], label, 10_000).parts
    assert 12 <= len(few) < len(all_rows)
    assert set(all_rows["split"]) == {"train"}
    assert set(all_rows[label]) == {0.0, 1.0}
    others = all_rows[~all_rows["key"].isin(few["key"])]
    assert not set(few["patient_id"]) & set(others["patient_id"])


def test_a_label_that_is_not_there_is_refused_with_those_that_are(labelled_root: Path) -> None:
    with pytest.raises(SubsetError, match=r"--knn-label 'Edma': none of the datasets has it; they have .*Edema"):
        OnlineKnn([open_dataset(labelled_root)], "Edma", 12)


def test_looking_changes_no_weight_and_a_stopped_run_says_the_same(
    tiny_shards: Path, tmp_path: Path, signal_after: Stop
) -> None:
    plain = options_of(tiny_shards, tmp_path / "plain")
    looking = replace(plain, output=tmp_path / "looking", knn_label="Edema")
    stopped = replace(looking, output=tmp_path / "stopped")
    for options in (plain, looking):
        assert pretrain(options) is Outcome.FINISHED
    assert (plain.output / "backbone.safetensors").read_bytes() == (
        looking.output / "backbone.safetensors"
    ).read_bytes()
    lines = {int(line["step"]): line for line in read_metrics(looking.output)}
    assert list(lines) == [4, 6, 8, 12]  # four steps a line, six an epoch
    assert {step for step, line in lines.items() if "knn_auroc" in line} == {6, 12}
    assert all(0 <= lines[step]["knn_auroc"] <= 1 for step in (6, 12))
    stop_and_go_on(stopped, signal_after, [5, 6])
    assert_equal(final_state(stopped.output), final_state(looking.output))
