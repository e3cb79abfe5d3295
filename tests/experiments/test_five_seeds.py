"""The parts of the study of five seeds, on images of 32 pixels. The study itself takes the better part of an hour."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Never

import numpy as np
import pytest
import torch
import yaml
from click import ClickException
from PIL import Image
from safetensors.torch import save_file

from benchmarks import lightly_moco
from benchmarks.lightly_moco import (
    LightlyMoCo,
    LightlySettings,
    lightly_epoch,
    lightly_is_there,
    lightly_optimizer,
    lightly_transform,
)
from experiments import five_seeds, lightly_run, small_settings
from experiments.commands import LIGHTLY, MOCO, RANDOM, Study, Task
from experiments.five_seeds import (
    IMAGE_SIZE,
    LIGHTLY_SETTINGS,
    RECIPE,
    gains,
    pretrain_both,
    seed_gain,
    seed_study,
)
from experiments.lightly_run import LightlyRun, pretrain_with_lightly
from recipes import shipped_recipes
from tests.training.labelled_shards import write_labelled_dataset
from training.backbones.description import BackboneDescription
from training.backbones.networks import backbone_weights, build_backbone
from training.runs.backbone_from import load_backbone, save_backbone
from training.runs.start import start_digest, write_start
from training.seen_patients import Seen, write_seen

needs_lightly = pytest.mark.skipif(not lightly_is_there(), reason="lightly is not installed (pip install lightly)")


def test_the_gain_over_all_seeds_is_the_mean_of_theirs_and_predictions_that_are_there_are_kept(tmp_path: Path) -> None:
    shards = {"labelled": write_labelled_dataset(tmp_path / "shards").root}
    task = Task("probe", "labelled", ("Edema",), (0.7,), 2, ("--cache", str(tmp_path / "cache")))
    studies = [a_study(tmp_path / f"seed-{seed}", shards, seed) for seed in (0, 1)]
    for study in studies:
        study.answer(task)
    lines = gains(tmp_path, studies, task)
    assert len(lines) == 1
    pooled = json.loads((tmp_path / "results" / f"{task.name}-0.7-moco-random.json").read_text())
    by_seed = [seed_gain(study, task, 0.7, "Edema", MOCO, RANDOM) for study in studies]
    assert pooled["labels"]["Edema"]["differences"]["model"]["value"] == pytest.approx(np.mean(by_seed), abs=1e-12)
    assert lines[0].endswith(" ".join(f"{gain:+.3f}" for gain in by_seed))
    tables = [model / "test.csv" for arm in (RANDOM, MOCO) for model in studies[0].models(task, 0.7, arm)]
    written = [table.stat().st_mtime_ns for table in tables]
    studies[0].answer(task)
    assert [table.stat().st_mtime_ns for table in tables] == written


def a_study(folder: Path, shards: dict[str, Path], seed: int) -> Study:
    """A random start beside other weights that pass for its pretrained ones."""
    run = folder / MOCO
    run.mkdir(parents=True)
    start = build_backbone("resnet18", seed)
    description = BackboneDescription(
        architecture="resnet18",
        image_size=32,
        mean=120.0,
        std=60.0,
        provenance={"method": "moco-v2", "init": "random", "seed": seed},
        start_digest=start_digest(start, "resnet18"),
    )
    write_start(run, start, "resnet18", Seen())
    write_seen(run, Seen())
    save_backbone(run, backbone_weights(build_backbone("resnet18", 10 + seed), "resnet18"), description)
    shared = ("--image-size", "32", "--seed", str(seed), "--device", "cpu", "--threads", "1")
    return Study(folder, shards, {RANDOM: RANDOM, MOCO: str(run)}, shared)


def test_the_recipe_is_a_setting_that_was_tried() -> None:
    recipe = yaml.safe_load(shipped_recipes()[RECIPE].read_text())
    assert recipe["image_size"] == IMAGE_SIZE
    tried = [
        {name.replace("-", "_"): value for name, value in (small_settings.BASE | change).items() if name != "epochs"}
        for change in small_settings.CHANGES.values()
    ]
    given = {name: value for name, value in recipe.items() if name not in ("epochs", "backbone", "temperature")}
    assert given in tried
    lightly = replace(LIGHTLY_SETTINGS, memory_bank=recipe["queue_size"]), recipe["batch_size"]
    assert lightly in small_settings.LIGHTLY.values()


def test_without_lightly_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightly_moco, "lightly_is_there", lambda: False)
    with pytest.raises(ClickException, match="pip install lightly"):
        LightlyMoCo(torch.nn.Identity(), LightlySettings(), features=8)
    with pytest.raises(ClickException, match="pip install lightly"):
        lightly_transform(32, 0.5, 0.2)


@needs_lightly
def test_lightly_begins_with_our_random_start_and_its_momentum_encoder_follows() -> None:
    start = backbone_weights(build_backbone("resnet18", 3), "resnet18")
    model = LightlyMoCo(build_backbone("resnet18", 3), LightlySettings(memory_bank=8, momentum=0.5))
    assert all(torch.equal(value, start[name]) for name, value in model.backbone.state_dict().items())
    batches = [(torch.randn(4, 3, 32, 32), torch.randn(4, 3, 32, 32)) for _ in range(2)]
    loss = lightly_epoch(model, lightly_optimizer(model), batches)
    assert np.isfinite(loss)
    weight = model.backbone.state_dict()["conv1.weight"]
    slow = model.backbone_momentum.state_dict()["conv1.weight"]
    assert not torch.equal(weight, start["conv1.weight"])
    assert not torch.equal(slow, start["conv1.weight"])
    assert (slow - start["conv1.weight"]).norm() < (weight - start["conv1.weight"]).norm()


@needs_lightly
def test_lightly_sees_gray_views_normalised_by_our_statistics() -> None:
    image = Image.fromarray(np.full((40, 50, 3), 51, dtype=np.uint8))
    views = lightly_transform(32, mean=0.2, std=0.1)(image)
    assert [view.shape for view in views] == [(3, 32, 32)] * 2
    for view in views:
        assert torch.equal(view[0], view[2])
        assert view.abs().max() < 1  # brightness and contrast move it by less than a fifth


@needs_lightly
def test_both_sides_pretrain_from_the_same_start_with_the_same_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text("init: random\nimage_size: 32\nbatch_size: 16\nqueue_size: 16\nbatch_norm: none\n")
    monkeypatch.setattr(five_seeds, "RECIPE", str(recipe))
    monkeypatch.setattr(five_seeds, "PRETRAINED_ON", ("labelled",))
    dataset = write_labelled_dataset(tmp_path / "shards")
    study = seed_study(tmp_path, {"labelled": dataset.root}, seed=3, threads=1)
    for _ in range(2):  # the second finds both finished
        pretrain_both(study, seed=3, epochs=1, threads=1)
    ours, lightly = (load_backbone(study.backbones[arm], mean=0.0, std=1.0) for arm in (MOCO, LIGHTLY))
    assert ours.provenance["init"] == lightly.provenance["init"] == "random"
    for key in ("seed", "epochs", "steps", "datasets"):
        assert ours.provenance[key] == lightly.provenance[key]
    assert (ours.image_size, ours.mean, ours.std) == (lightly.image_size, lightly.mean, lightly.std)
    assert ours.patients.equals(lightly.patients)
    assert ours.digest != lightly.digest


@needs_lightly
def test_lightly_trains_other_backbones_from_a_file_and_resumes_after_a_whole_epoch_to_the_same_bits(
    tmp_path: Path,
) -> None:
    weights = tmp_path / "start.safetensors"
    save_file(backbone_weights(build_backbone("mobilenet_v2", seed=4), "mobilenet_v2"), weights)
    datasets = [write_labelled_dataset(tmp_path / "shards")]
    run = LightlyRun(LightlySettings(memory_bank=16), 3, 2, 8, 32, backbone="mobilenet_v2", init=str(weights))
    pretrain_with_lightly(datasets, tmp_path / "whole", run)

    def killed(*_: object) -> Never:
        raise KeyboardInterrupt

    epochs: list[Callable[..., float]] = [lightly_epoch, killed]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lightly_run, "lightly_epoch", lambda *given: epochs.pop(0)(*given))
        with pytest.raises(KeyboardInterrupt):
            pretrain_with_lightly(datasets, tmp_path / "resumed", run)
    with pytest.raises(ClickException, match="other options"):
        pretrain_with_lightly(datasets, tmp_path / "resumed", replace(run, seed=5))
    pretrain_with_lightly(datasets, tmp_path / "resumed", run)
    whole, resumed = (load_backbone(str(tmp_path / name), mean=0.0, std=1.0) for name in ("whole", "resumed"))
    assert (whole.architecture, whole.provenance["init"]) == ("mobilenet_v2", "start.safetensors")
    assert whole.digest == resumed.digest
