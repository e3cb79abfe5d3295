"""docs/run-directory.md names every file of a run, every key of a checkpoint and of backbone.json, and no others."""

import json
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from tests.project.tree import ROOT
from tests.training.labelled_shards import write_labelled_dataset
from training.cli.main import main as cxr_train
from training.runs.checkpoints import FORMAT_VERSION, load_checkpoint

PAGE = (ROOT / "docs" / "run-directory.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of five steps."""
    folder = tmp_path_factory.mktemp("run-directory")
    shards = write_labelled_dataset(folder / "shards", size=40).root
    words = ["pretrain", "--shards", str(shards), "--output", str(folder / "run"), "--device", "cpu", "--threads", "1"]
    small = ["--init", "random", "--image-size", "32", "--epochs", "1", "--batch-size", "8", "--queue-size", "16"]
    result = CliRunner().invoke(cxr_train, [*words, *small, "--log-every", "1"])
    assert result.exit_code == 0, result.output
    return folder / "run"


def named(heading: str) -> set[str]:
    """The names in the first column of the table below a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_file_of_a_run_is_on_the_page(run: Path) -> None:
    assert {path.name + "/" * path.is_dir() for path in run.iterdir()} == named("Files")


def test_every_file_of_a_run_is_in_the_help_of_the_command_that_writes_it(run: Path) -> None:
    text = CliRunner().invoke(cxr_train, ["pretrain", "--help"]).output
    names = {path.name + "/" * path.is_dir() for path in run.iterdir() if not path.name.startswith(".")}
    assert {name for name in names if name not in text} == set()


def test_every_key_of_a_checkpoint_is_on_the_page(run: Path) -> None:
    state = load_checkpoint(run, 5)
    assert set(torch.load(run / "checkpoints" / "step-00000005.pt", weights_only=True)) == named("Keys of a checkpoint")
    for key in ("loader", "rng", "schedule"):
        (row,) = re.findall(rf"^\| `{key}` \| (.*) \|$", PAGE, re.MULTILINE)
        assert set(state[key]) <= set(re.findall(r"`([^`]+)`", row)), key
    parts = {re.sub(r"(?<=_encoder\.).*", "*", name) for name in state["moco"]}
    assert all(f"`{part}`" in PAGE for part in parts), parts
    assert f"| `format_version` | {FORMAT_VERSION};" in PAGE


def test_every_key_of_backbone_json_is_on_the_page(run: Path) -> None:
    described = json.loads((run / "backbone.json").read_text(encoding="utf-8"))
    assert set(described) == named("Keys of backbone.json")
    assert all(f"`{key}`" in PAGE for key in described["provenance"])
