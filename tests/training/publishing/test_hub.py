"""cxr-train export --format hub: a folder to publish, whose card says what it should and whose lines of Python run."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from click.testing import CliRunner, Result
from PIL import Image
from torch import nn

from evaluation.cli.main import main as cxr_eval
from shards.format.dataset import open_dataset
from tests.training.backbones.test_export import SIZE, a_run
from training.backbones.architectures import ARCHITECTURES
from training.cli.main import main
from training.runs.directory import read_config

FILES = {"model.safetensors", "config.json", "README.md"}


def export(*args: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, args), "--format", "hub"])


def blocks_of(folder: Path) -> list[str]:
    """The Python of the card: torchvision, timm, an image."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", card, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_cards_own_lines_load_the_weights_in_torchvision_and_in_timm(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = a_run(tmp_path / "run", architecture)
    result = export(tmp_path / "run", tmp_path / "hub")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "hub").iterdir()} == FILES
    monkeypatch.chdir(tmp_path / "hub")
    in_torchvision, in_timm, of_an_image = blocks_of(Path())
    assert ("torchvision" in in_torchvision, "timm" in in_torchvision, "timm" in in_timm) == (True, False, True)
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
    Image.fromarray(pixels).save("radiograph.png")
    with torch.inference_mode():
        wanted = expected(images)
        of_pixels = expected((torch.from_numpy(pixels)[None, None].expand(-1, 3, -1, -1) / 255 - 0.5) / 0.2)
    for block in (in_torchvision, in_timm):
        names: dict[str, nn.Module] = {}
        exec(block, names)
        with torch.inference_mode():
            assert (names["network"].eval()(images) - wanted).abs().max() < 1e-4
        exec(of_an_image, names)
        assert (names["features"] - of_pixels).abs().max() < 1e-3
    assert wanted.std() > 0.01


@pytest.fixture(scope="module")
def judged(swept: Path, small_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a real pretraining run, judged."""
    output = tmp_path_factory.mktemp("judged") / "out"
    shutil.copytree(swept, output)
    result = CliRunner().invoke(cxr_eval, ["study", str(output), "--data", str(small_study), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return output


@pytest.fixture(scope="module")
def published(judged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the study's run, with its results."""
    out = tmp_path_factory.mktemp("published") / "hub"
    result = export(judged / "runs" / "tiny-seed0", out, "--study", judged, "--license", "cc-by-nc-4.0")
    assert result.exit_code == 0, result.output
    return out


def test_the_card_says_data_licence_steps_views_results_and_limits(published: Path, judged: Path) -> None:
    card = (published / "README.md").read_text(encoding="utf-8")
    _, front, text = card.split("---\n", 2)
    described = yaml.safe_load(front)
    assert (described["license"], described["library_name"]) == ("cc-by-nc-4.0", "timm")
    assert {"moco", "chest-radiograph", "resnet18"} <= set(described["tags"])
    backbone = json.loads((judged / "runs" / "tiny-seed0" / "backbone.json").read_text())
    (cited,) = backbone["provenance"]["datasets"]
    config = read_config(judged / "runs" / "tiny-seed0") or {}
    dataset = open_dataset(Path(str(config["shards"][0])))  # type: ignore[index]
    train = dataset.samples[dataset.samples["split"] == "train"]
    licence = dataset.description.licence
    row = f"| labelled | {len(train)} | {train['patient_id'].nunique()} | {licence} | `{cited['digest'][:12]}` |"
    assert row in text
    assert f"| steps | {backbone['provenance']['steps']} |" in text
    assert f"| lr | {config['lr']} |" in text
    assert "| views: rotation, degrees either way | 10.0 |" in text
    assert "| views: zoom | 1.0 to 1.0 |" in text
    for heading in ("## Load it", "## Data", "## Training", "## Results", "## Limits"):
        assert heading in text
    assert "no medical device" in text
    gains = (judged / "tables" / "gains.csv").read_text().splitlines()
    shown = [line for line in text.splitlines() if line.startswith("| edema | Edema |")]
    assert len(shown) == len(gains) - 1 == 4
    assert all("start: 0." in line or "start: 1." in line for line in shown)
    assert "several seeds" not in text


def test_the_card_says_where_results_are_means_over_seeds(judged: Path, tmp_path: Path) -> None:
    shutil.copytree(judged, tmp_path / "study")
    table = tmp_path / "study" / "tables" / "gains.csv"
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "seeds": "3"} for row in rows)
    result = export(judged / "runs" / "tiny-seed0", tmp_path / "hub", "--study", tmp_path / "study")
    assert result.exit_code == 0, result.output
    card = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert "Values are means over runs of several seeds, of which this backbone is one." in card
    assert sum(line.endswith("| 3 |") for line in card.splitlines()) == len(rows)


def test_nothing_in_the_folder_names_a_patient_or_a_path(published: Path, labelled_root: Path, tmp_path: Path) -> None:
    assert {path.name for path in published.iterdir()} == FILES
    content = b"".join((published / name).read_bytes() for name in ("README.md", "config.json"))
    metadata = (published / "model.safetensors").read_bytes()
    metadata = metadata[: 8 + int.from_bytes(metadata[:8], "little")]
    dataset = open_dataset(labelled_root)
    for patient in dataset.samples["patient_id"].unique():
        assert str(patient).encode() not in content + metadata
    assert str(labelled_root).encode() not in content
    assert b"/tmp" not in content
    assert str(Path.home()).encode() not in content


def test_config_json_has_the_preprocessing_and_the_source(published: Path, judged: Path) -> None:
    config = json.loads((published / "config.json").read_text())
    backbone = json.loads((judged / "runs" / "tiny-seed0" / "backbone.json").read_text())
    assert (config["architecture"], config["timm_architecture"], config["num_features"]) == (
        "resnet18",
        "resnet18",
        512,
    )
    assert config["preprocessing"]["image_size"] == backbone["image_size"] == 32
    assert config["preprocessing"]["mean"] == pytest.approx([backbone["mean"] / 255] * 3)
    assert config["provenance"] == backbone["provenance"]
    assert config["digest"] == backbone["digest"]
    weights = safetensors.torch.load_file(published / "model.safetensors")
    assert not any(name.startswith("fc.") for name in weights)


def test_what_is_not_recorded_is_said_and_no_study_gives_no_results(tmp_path: Path) -> None:
    a_run(tmp_path / "run", "resnet18")  # as an import: no config, no datasets
    assert export(tmp_path / "run", tmp_path / "hub").exit_code == 0
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "It is not recorded what the weights were trained on." in card
    assert "The options and views of the training are not recorded." in card
    assert "No study was given with this export." in card
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "other"


def test_a_study_of_another_backbone_and_one_that_was_not_judged_are_refused(
    judged: Path, swept: Path, tmp_path: Path
) -> None:
    a_run(tmp_path / "run", "resnet18")
    other = export(tmp_path / "run", tmp_path / "hub", "--study", judged)
    assert other.exit_code == 1
    assert "is not a study of this backbone" in other.output
    early = export(swept / "runs" / "tiny-seed0", tmp_path / "hub", "--study", swept)
    assert early.exit_code == 1
    assert "run `cxr-eval study" in early.output
    assert not (tmp_path / "hub").exists()


def test_options_of_the_card_are_for_the_hub_only(tmp_path: Path) -> None:
    a_run(tmp_path / "run", "resnet18")
    result = CliRunner().invoke(main, ["export", str(tmp_path / "run"), str(tmp_path / "out"), "--license", "mit"])
    assert result.exit_code == 2
    assert "are for the model card of --format hub" in result.output
