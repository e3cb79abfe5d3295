"""Fine-tuning: the masked loss, determinism, few samples, which epoch is kept, what is refused."""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.model_options import PredictOptions
from evaluation.predictions import predict
from shards.errors import SubsetError
from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import select
from tests.shards.small_datasets import write_small_dataset
from tests.training.labelled_shards import LABELS, write_labelled_dataset
from training.backbones.backbone import Backbone
from training.downstream.fine_tuning import Best, FineTuning, masked_loss
from training.downstream.finetune import finetune
from training.downstream.model_directory import results_as_json
from training.downstream.options import FinetuneOptions
from training.downstream.start import Start
from training.errors import TrainingError
from training.labels import PLAIN, targets
from training.regression.holdout import held_out
from training.runs.backbone_from import load_backbone
from training.runs.metrics_log import read_metrics
from training.seen_patients import read_seen

EDEMA = LABELS[:1]
QUICK = FinetuneOptions(
    shards=Path("set by tune"),
    backbone_from="random",
    labels=EDEMA,
    output=Path("set by tune"),
    epochs=1,
    lr=1e-2,
    optimizer="sgd",
    schedule="constant",
    min_steps=1,
    device="cpu",
    threads=1,
)
"""Two steps over the 32 samples of the labelled dataset that are plainly positive or negative."""


def tune(
    dataset: Dataset,
    output: Path,
    how: FinetuneOptions = QUICK,
    labels: tuple[str, ...] = EDEMA,
    **changed: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """Fine-tune a random ResNet-18; model.json."""
    options = replace(how, shards=dataset.root, labels=labels, output=output, **changed)
    start = Start(dataset, replace(random_backbone(), mean=dataset.mean, std=dataset.std), labels)
    results = finetune(start, options)
    described: dict[str, Any] = json.loads((output / "model.json").read_text())
    assert described["results"] == results_as_json(results)
    return described


@functools.cache
def random_backbone() -> Backbone:
    """Made once: each fine-tuning works on a copy."""
    return load_backbone("random", image_size=32, mean=1.0, std=1.0)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def dataset(labelled_root: Path) -> Dataset:
    return open_dataset(labelled_root)


@pytest.fixture(scope="module")
def tuned_quickly(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Weights that the options QUICK make."""
    output = tmp_path_factory.mktemp("quick") / "out"
    tune(dataset, output)
    return weights(output)


def of_patients(root: Path, train: Mapping[int, tuple[str, float | None]], valid: int = 0) -> Dataset:
    """A dataset whose train samples have the given patient and Edema; valid samples alternate."""
    count = len(train)
    changes: dict[int, dict[str, Any]] = {
        number: {"patient_id": patient, LABELS[0]: edema} for number, (patient, edema) in train.items()
    }
    changes |= {count + n: {"patient_id": f"v{n}", LABELS[0]: float(n % 2)} for n in range(valid)}
    shards = {"train-000000": count} | ({"valid-000000": valid} if valid else {})
    return open_dataset(write_small_dataset(root, shards=shards, changes=changes))


# The loss.

LOGITS = st.floats(-30, 30, width=32)
GOALS = st.sampled_from([0.0, 1.0, math.nan])


def slow_loss(logits: list[list[float]], goals: list[list[float]]) -> float:
    cells = [(x, y) for row, goal in zip(logits, goals, strict=True) for x, y in zip(row, goal, strict=True) if y == y]
    each = [max(x, 0) - x * y + math.log1p(math.exp(-abs(x))) for x, y in cells]
    return math.fsum(each) / len(each) if each else 0.0


@given(st.integers(1, 3).flatmap(lambda k: st.lists(st.lists(st.tuples(LOGITS, GOALS), min_size=k, max_size=k))))
@settings(deadline=None)
def test_the_loss_is_the_mean_over_known_targets_and_unknown_ones_have_no_gradient(
    cells: list[list[tuple[float, float]]],
) -> None:
    logits = [[x for x, _ in row] for row in cells]
    goals = [[y for _, y in row] for row in cells]
    x, y = (torch.tensor(values).reshape(len(cells), -1 if cells else 2) for values in (logits, goals))
    x.requires_grad_()
    loss = masked_loss(x, y)
    assert loss.item() == pytest.approx(slow_loss(logits, goals), rel=1e-5, abs=1e-6)
    loss.backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    known = ~torch.isnan(y)
    expected = torch.where(known, torch.sigmoid(x.detach()) - torch.nan_to_num(y), 0.0) / max(int(known.sum()), 1)
    torch.testing.assert_close(x.grad, expected, rtol=1e-4, atol=1e-7)


# Whole fine-tunings.


def test_the_same_options_give_the_same_bytes_and_another_seed_gives_others(dataset: Dataset, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        torch.rand(7)  # the process' own random numbers have no say
        tune(dataset, tmp_path / name, replace(QUICK, optimizer="adam", lr=1e-3), LABELS, seed=seed)
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    assert read_metrics(tmp_path / "one") == read_metrics(tmp_path / "two")
    assert weights(tmp_path / "three") != weights(tmp_path / "one")


@pytest.mark.parametrize(
    "changed",
    [
        {"degrees": 0.0},
        {"flip": False},
        {"scale": (0.5, 0.6)},
        {"translate": 0.5},
        {"crop_area": (0.3, 0.4)},
        {"gain": (0.3, 0.4)},
        {"offset": (-90.0, -80.0)},
        {"gamma": (2.0, 3.0)},
    ],
)
def test_each_option_of_the_augmentation_changes_what_is_trained_on(
    changed: dict[str, Any], dataset: Dataset, tuned_quickly: bytes, tmp_path: Path
) -> None:
    described = tune(dataset, tmp_path, **changed)
    assert weights(tmp_path) != tuned_quickly
    recorded = {key: list(value) if isinstance(value, tuple) else value for key, value in changed.items()}
    assert {key: described["options"][key] for key in changed} == recorded


def test_a_range_of_views_that_is_none_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SubsetError, match="the scale goes from a number above 0 to one that is not smaller"):
        tune(dataset, tmp_path / "out", scale=(1.2, 0.8))
    assert not (tmp_path / "out").exists()


def test_what_is_read_from_a_disk_of_the_node_makes_the_same_model(dataset: Dataset, tmp_path: Path) -> None:
    for name, stage_to in (("one", None), ("two", tmp_path / "node")):
        tune(dataset, tmp_path / name, QUICK, LABELS, stage_to=stage_to)
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    (copied,) = (tmp_path / "node").iterdir()
    splits = {shard.split for shard in dataset.shards if (copied / f"{shard.name}.tar").exists()}
    assert splits == {"train", "valid"}  # test images are read once, at the end


def test_what_shows_in_the_images_is_learned_and_what_does_not_is_not(tuned: Path) -> None:
    described = json.loads((tuned / "model.json").read_text())
    assert described["results"]["Edema"]["test"] == {"auroc": 1.0, "n": 6, "positives": 3}
    first, last = read_metrics(tuned)
    assert last["loss"] < first["loss"] < math.log(2)
    assert [first["epoch"], last["epoch"], first["step"], last["step"]] == [1, 2, 4, 8]
    assert last["lr"] < first["lr"]


def test_the_results_are_those_of_the_weights_that_are_kept(tuned: Path, dataset: Dataset, tmp_path: Path) -> None:
    predict(PredictOptions(shards=dataset.root, model=tuned, output=tmp_path / "test.csv", device="cpu", threads=1))
    predictions = pd.read_csv(tmp_path / "test.csv")
    truth = select(dataset, "test")["Edema"].to_numpy()
    assert predictions["Edema"][truth == 1].min() > predictions["Edema"][truth == 0].max()


@pytest.mark.parametrize("samples", [2, 3])
def test_two_or_three_samples_are_gone_over_until_the_epoch_has_its_least_steps(samples: int, tmp_path: Path) -> None:
    train: dict[int, tuple[str, float | None]] = {n: (f"p{n}", float(n % 2)) for n in range(samples)}
    dataset = of_patients(tmp_path / "shards", train, valid=2)
    described = tune(dataset, tmp_path / "out", replace(QUICK, batch_size=16, min_steps=3))
    assert [line["step"] for line in read_metrics(tmp_path / "out")] == [3]
    assert described["train_samples"] == samples
    assert described["chosen_on"] == 2


@pytest.mark.parametrize(("missing", "trained_on"), [("ignore", (0, 1)), ("zeros", (0, 1, None))])
def test_samples_whose_labels_are_all_unknown_are_not_trained_on(
    missing: str,
    trained_on: tuple[int | None, ...],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class EnoughError(Exception):
        """The loader is all that is looked at."""

    def recording(_: Dataset, rows: pd.DataFrame, **__: object) -> None:
        train = select(dataset, "train")
        edema = train["Edema"].astype(object).where(train["Edema"].notna(), None)
        assert list(rows["key"]) == list(train.loc[edema.isin(trained_on), "key"])
        raise EnoughError

    monkeypatch.setattr("training.downstream.fine_tuning.OneViewLoader", recording)
    with pytest.raises(EnoughError):
        tune(dataset, tmp_path, missing=missing)


def test_without_a_number_of_epochs_there_are_as_many_as_the_steps_need(dataset: Dataset, tmp_path: Path) -> None:
    described = tune(dataset, tmp_path / "out", replace(QUICK, epochs="auto", min_total_steps=12, lr=1e-4))
    assert {key: described[key] for key in ("epochs", "steps_per_epoch", "steps", "validate_every")} == {
        **{"epochs": 6, "steps_per_epoch": 2, "steps": 12, "validate_every": 1},
    }
    assert described["options"]["epochs"] == "auto"
    assert [line["epoch"] for line in read_metrics(tmp_path / "out")] == [1, 2, 3, 4, 5, 6]


def test_epochs_without_a_validation_are_logged_without_one(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.downstream.training_length.MOST_VALIDATIONS", 2)
    scripted(monkeypatch, [0.6, 0.7, 0.5])
    described = tune(dataset, tmp_path / "out", replace(QUICK, epochs=5))
    assert (described["validate_every"], described["best_epoch"]) == (3, 5)
    assert [line.get("valid_auroc") for line in read_metrics(tmp_path / "out")] == [None, None, 0.6, None, 0.7]


@pytest.mark.parametrize(("aurocs", "warned"), [([0.6, 0.7], True), ([0.7, 0.6], False), ([None, None], False)])
def test_a_best_epoch_that_is_the_last_is_warned_of(
    aurocs: list[float | None],
    warned: bool,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scripted(monkeypatch, aurocs)
    tune(dataset, tmp_path / "out", replace(QUICK, epochs=2))
    assert ("the last epoch, 2, is the best one on the validation samples" in caplog.text) == warned


def test_the_epoch_is_chosen_by_the_labels_that_are_named(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[tuple[str, ...]] = []
    columns: list[int] = []

    def recording(labels: tuple[str, ...], truth: Any, scores: Any) -> float:  # noqa: ANN401
        judged.append(tuple(labels))
        columns.append(truth.shape[1])
        np.testing.assert_array_equal(truth[:, 0], targets(select(dataset, "valid"), LABELS[1:2], PLAIN)[:, 0])
        return 0.5 + int(scores.shape[1])

    monkeypatch.setattr("training.downstream.fine_tuning.mean_auroc", recording)
    described = tune(dataset, tmp_path / "out", QUICK, LABELS, select_by=LABELS[1:2])
    assert (judged, columns) == ([LABELS[1:2]], [1])
    assert (described["selected_by"], described["best_auroc"]) == (["Pleural Effusion"], 1.5)
    with pytest.raises(SubsetError, match="--select-by Pleural Effusion: not among the labels"):
        tune(dataset, tmp_path / "other", QUICK, EDEMA, select_by=LABELS[1:2])
    assert not (tmp_path / "other").exists()


def scripted(monkeypatch: pytest.MonkeyPatch, aurocs: list[float | None]) -> None:
    """Let the epochs be judged so."""
    judgements = iter(aurocs)
    monkeypatch.setattr("training.downstream.fine_tuning.mean_auroc", lambda *_: next(judgements))


def test_the_weights_of_the_best_epoch_are_kept(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.6, 0.9, 0.7])
    described = tune(dataset, tmp_path / "three", replace(QUICK, epochs=3))
    assert (described["best_epoch"], described["best_auroc"]) == (2, 0.9)
    assert [line["valid_auroc"] for line in read_metrics(tmp_path / "three")] == [0.6, 0.9, 0.7]
    scripted(monkeypatch, [None, None])
    described = tune(dataset, tmp_path / "two", replace(QUICK, epochs=2))
    assert (described["best_epoch"], described["best_auroc"]) == (2, None)
    assert weights(tmp_path / "two") == weights(tmp_path / "three")


@given(st.lists(st.one_of(st.none(), st.sampled_from([0.2, 0.5, 0.8])), min_size=1, max_size=8))
def test_the_first_best_epoch_wins_and_the_last_one_where_no_auroc_is_defined(aurocs: list[float | None]) -> None:
    best = None
    for epoch, auroc in enumerate(aurocs, start=1):
        if best is None or best.beaten_by(auroc):
            best = Best(epoch, auroc, {})
    assert best is not None
    defined = [auroc for auroc in aurocs if auroc is not None]
    expected = aurocs.index(max(defined)) + 1 if defined else len(aurocs)
    assert best.epoch == expected


def test_without_a_valid_split_held_out_patients_choose_the_epoch_and_valid_stays_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: list[set[str]] = []
    run = FineTuning.run

    def recording(self: Any, train: pd.DataFrame, wanted: Any, judged_on: pd.DataFrame, *rest: Any) -> Any:  # noqa: ANN401
        sides.extend((set(train["patient_id"]), set(judged_on["patient_id"])))
        return run(self, train, wanted, judged_on, *rest)

    monkeypatch.setattr(FineTuning, "run", recording)
    dataset = write_labelled_dataset(tmp_path / "shards", shards={"train-000000": 60, "test-000000": 9})
    described = tune(dataset, tmp_path / "out")
    everyone = set(select(dataset, "train")["patient_id"])
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == everyone
    assert described["chosen_on"] == 3 * len(sides[1]) > 0
    assert described["best_auroc"] is not None
    assert described["results"]["Edema"]["valid"] is None
    assert described["results"]["Edema"]["test"]["n"] == 6
    assert described["train_samples"] == 60, "held-out patients are counted: they chose the epoch"
    assert set(read_seen(tmp_path / "out").patients["patient_id"]) == everyone


def test_a_label_whose_positives_are_all_held_out_is_left_out_of_all_labels(tmp_path: Path) -> None:
    train: dict[int, tuple[str, float | None]] = {n: (f"p{n}", float(n % 2)) for n in range(16)}
    plain = select(of_patients(tmp_path / "plain", train), "train")
    apart = held_out(plain, "small", plain[LABELS[0]] == 1)
    changes = {number: {"patient_id": f"p{number}", LABELS[0]: float(number % 2), LABELS[1]: 0.0} for number in train}
    (one, *_) = plain.index[apart & (plain[LABELS[0]] == 1)]
    changes[one][LABELS[1]] = 1.0
    dataset = open_dataset(write_small_dataset(tmp_path / "shards", shards={"train-000000": 16}, changes=changes))
    assert plain["key"].tolist() == select(dataset, "train")["key"].tolist()
    start = Start(dataset, replace(random_backbone(), mean=dataset.mean, std=dataset.std), LABELS)
    finetune(start, replace(QUICK, labels=("all",), output=tmp_path / "out"))
    described = json.loads((tmp_path / "out" / "model.json").read_text())
    assert (described["labels"], described["left_out_labels"]) == ([LABELS[0]], [LABELS[1]])


def test_held_out_patients_are_read_as_those_that_are_learned_from(tmp_path: Path) -> None:
    """Only positives are mentioned: without the policy no AUROC would be defined, and no epoch chosen."""
    train: dict[int, tuple[str, float | None]] = {n: (f"p{n}", (1.0, None)[n % 2]) for n in range(16)}
    described = tune(of_patients(tmp_path / "shards", train), tmp_path / "out", QUICK, missing="zeros")
    assert described["chosen_on"] == 4
    assert described["best_auroc"] is not None


def test_too_few_patients_to_hold_any_out_are_all_trained_on(tmp_path: Path) -> None:
    train: dict[int, tuple[str, float | None]] = {n: (f"p{n}", float(n % 2)) for n in range(5)}
    described = tune(of_patients(tmp_path / "shards", train), tmp_path / "out", replace(QUICK, epochs=2))
    assert (described["best_epoch"], described["best_auroc"], described["chosen_on"]) == (2, None, 0)
    assert described["results"]["Edema"] == {"valid": None, "test": None}


def test_labels_of_one_class_are_refused_by_name_before_anything_is_written(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SubsetError, match=r"labelled: 3 samples to fine-tune on: nothing can be learned about Edema"):
        tune(dataset, tmp_path / "out", label_fraction=0.02)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("batch", "what"), [(16, "epoch 1: the loss is"), (32, "the network's output is")])
def test_training_that_diverges_ends_with_a_sentence_and_without_a_model(
    batch: int, what: str, dataset: Dataset, tmp_path: Path
) -> None:
    """The second step meets what the first has made of the weights; after a single step, only the judgement does."""
    with pytest.raises(TrainingError, match=f"^{what} not a number. Try a smaller --lr, or --precision fp32"):
        tune(dataset, tmp_path / "out", replace(QUICK, lr=1e30, batch_size=batch))
    assert not (tmp_path / "out" / "model.json").exists()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_trains_too(precision: str, tmp_path: Path) -> None:
    dataset = of_patients(tmp_path / "shards", {0: ("p0", 0.0), 1: ("p1", 1.0)})
    tune(dataset, tmp_path, replace(QUICK, precision=precision))
    assert math.isfinite(read_metrics(tmp_path)[0]["loss"])
