"""--preprocessing: what weights without one of their own are shown, and who keeps theirs."""

import json
from pathlib import Path

import pytest
import torch

from tests.training.labelled_shards import BACKBONE, LABELS, make_model, run
from training.backbones.networks import images_to_input, per_channel
from training.downstream.model_directory import load_model
from training.downstream.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from training.pretraining.command import pretrain
from training.pretraining.options import PretrainOptions

CPU = ("--device", "cpu", "--threads", 1)


@pytest.fixture(scope="module")
def finished(labelled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run of a few steps over the labelled dataset."""
    output = tmp_path_factory.mktemp("runs") / "run"
    pretrain(
        PretrainOptions(
            shards=(labelled_root,), output=output, init="random", image_size=32, batch_size=8, epochs=1,
            queue_size=16, device="cpu", threads=1,
        )
    )  # fmt: skip
    return output


def probe(shards: Path, output: Path, cache: Path, *words: object) -> dict[str, object]:
    made = make_model("probe", shards, output, "--labels", LABELS[0], "--cache", cache, *words)
    described: dict[str, object] = json.loads((made / "model.json").read_text())
    return described


def test_levels_a_channel_normalise_each_channel_as_torchvision_does() -> None:
    pixels = torch.randint(0, 256, (2, 1, 4, 5), dtype=torch.uint8)
    shown = images_to_input(pixels, IMAGENET_MEAN, IMAGENET_STD)
    mean, std = (torch.tensor(per_channel(levels))[:, None, None] / 255 for levels in (IMAGENET_MEAN, IMAGENET_STD))
    expected = (pixels.float().expand(-1, 3, -1, -1) / 255 - mean) / std
    assert shown.shape == (2, 3, 4, 5)
    assert torch.allclose(shown, expected, atol=1e-5)


def test_weights_without_preprocessing_take_that_of_imagenet_or_of_a_run(
    labelled_root: Path, finished: Path, tmp_path: Path
) -> None:
    plain = probe(labelled_root, tmp_path / "dataset", tmp_path / "c", *BACKBONE)
    imagenet = probe(labelled_root, tmp_path / "imagenet", tmp_path / "c", *BACKBONE, "--preprocessing", "imagenet")
    of_run = probe(
        labelled_root, tmp_path / "run", tmp_path / "c", "--backbone-from", "random", "--preprocessing", finished, *CPU
    )
    described = json.loads((finished / "backbone.json").read_text())
    assert (imagenet["mean"], imagenet["std"]) == (list(IMAGENET_MEAN), list(IMAGENET_STD))  # type: ignore[arg-type]
    assert (of_run["mean"], of_run["std"], of_run["image_size"]) == (described["mean"], described["std"], 32)
    assert plain["backbone_digest"] == imagenet["backbone_digest"] == of_run["backbone_digest"]
    assert load_model(tmp_path / "imagenet").mean == IMAGENET_MEAN
    assert plain["digest"] != imagenet["digest"]  # other features: nothing was taken from the other's cache


def test_the_start_of_a_run_can_be_shown_under_imagenets_preprocessing_too(
    labelled_root: Path, finished: Path, tmp_path: Path
) -> None:
    words = ("--backbone-from", finished, "--at", "start", "--preprocessing", "imagenet", *CPU)
    described = probe(labelled_root, tmp_path / "m", tmp_path / "c", *words)
    assert described["mean"] == list(IMAGENET_MEAN)  # type: ignore[arg-type]
    assert described["image_size"] == 32
    again = ("--output", tmp_path / "m", "--shards", labelled_root, "--labels", LABELS[0], "--cache", tmp_path / "c")
    assert "holds this probe already" in run("probe", *words, *again).output


def test_the_end_of_a_run_keeps_its_own(labelled_root: Path, finished: Path, tmp_path: Path) -> None:
    words = ("--shards", labelled_root, "--backbone-from", finished, "--labels", LABELS[0], "--output", tmp_path / "m")
    result = run("probe", *words, "--preprocessing", "imagenet", *CPU)
    assert result.exit_code == 1
    assert "those of a pretraining run keep the run's" in " ".join(result.output.split())


def test_a_folder_that_is_no_run_is_named(labelled_root: Path, tmp_path: Path) -> None:
    words = ("--shards", labelled_root, *BACKBONE, "--labels", LABELS[0], "--output", tmp_path / "m")
    result = run("probe", *words, "--preprocessing", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert f"{tmp_path / 'nowhere'} is not a finished run" in " ".join(result.output.split())
